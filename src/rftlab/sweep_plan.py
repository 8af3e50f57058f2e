"""What a sweep has still to do, on disk while it is at work: ``rftlab runs`` shows the jobs that have no run yet.

``.sweep-HOST-PID.jsonl`` in the experiment's folder: a line with the jobs, then one for every job looked at
and one for every job done. The sweep holds its lock; a file that nobody holds is of a sweep that was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rftlab import runs
from rftlab.runs import RunState

NAME = ".sweep-*.jsonl"


class Plan:
    """The file while its sweep is at work; it goes with the sweep.

    Args:
        folder: the experiment's.
        labels: what the jobs are called, in their order.
        places: jobs at once.
    """

    def __init__(self, folder: Path, labels: Sequence[str], places: int) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        for left in folder.glob(NAME):
            if not runs.locked(str(left)):
                left.unlink(missing_ok=True)
        self._file = (folder / f".sweep-{socket.gethostname()}-{os.getpid()}.jsonl").open("w", encoding="utf-8")
        fcntl.flock(self._file, fcntl.LOCK_EX)  # who looks whether it is held holds it for microseconds
        self._write({"jobs": list(labels), "places": places})

    def __enter__(self) -> Plan:
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):  # before it is let go: nobody sees one that is not held
            os.unlink(self._file.name)
        self._file.close()

    def looked_at(self, job: int) -> None:
        """A job, by its place in ``labels``, has been begun or found done: from here on its run says how it stands."""
        self._write({"looked_at": job})

    def took(self, seconds: float) -> None:
        """A job is done."""
        self._write({"took": seconds})

    def _write(self, row: dict[str, Any]) -> None:
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()


@dataclass(frozen=True)
class Waiting:
    """A sweep at work, as others see it."""

    folder: Path
    jobs: list[str]
    """Labels of those that it has not come to yet."""
    places: int
    """Jobs at once."""
    mean: float | None
    """Seconds that a job has taken; None while none is done."""

    def seconds_left(self, found: Sequence[RunState]) -> float | None:
        """Until all is done, about: what waits and what runs in ``found``, spread over the places; None = too early."""
        if self.mean is None:
            return None
        running = [run for run in found if run.state == "running" and self.folder in run.path.parents]
        left = [self.mean / 2 if run.eta is None else run.eta for run in running]
        return max((len(self.jobs) * self.mean + sum(left)) / self.places, *left, 0.0)


def waiting(folder: Path) -> list[Waiting]:
    """The sweeps at work on experiments in ``folder``, or on that which it is, that have jobs left to begin."""
    files = sorted([*folder.glob(NAME), *folder.glob(f"*/{NAME}")])
    found = [_read(file) for file in files if runs.locked(str(file))]
    return [sweep for sweep in found if sweep is not None and sweep.jobs]


def _read(file: Path) -> Waiting | None:
    """None where the file has just gone, or is no plan."""
    try:
        plan, *rows = [
            json.loads(line) for line in file.read_text(encoding="utf-8").splitlines(True) if line[-1] == "\n"
        ]
        begun = {row["looked_at"] for row in rows if "looked_at" in row}
        took = [row["took"] for row in rows if "took" in row]
        jobs = [label for i, label in enumerate(plan["jobs"]) if i not in begun]
        return Waiting(file.parent, jobs, max(1, plan["places"]), sum(took) / len(took) if took else None)
    except (OSError, ValueError, KeyError, TypeError):
        return None
