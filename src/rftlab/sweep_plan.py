"""What a sweep has still to do, on disk while it is at work: ``rftlab runs`` shows the jobs that have no run.

``.sweep-HOST-PID.jsonl`` in the experiment's folder: a line with the places, then one whenever a job begins to wait, is
begun or has ended; the last one of a job counts. The sweep holds its lock; a file that nobody holds is of a sweep that
was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rftlab import runs
from rftlab.runs import RunState

if TYPE_CHECKING:
    from rftlab.sweep_cells import Cell

NAME = ".sweep-*.jsonl"
KEYS = {"job", "label", "state", "run", "took"}


class Plan:
    """The file while its sweep is at work; it goes with the sweep. What cannot be written is not shown, and no more.

    It lies in the folder of the first job's experiment. A sweep over several experiments has none.

    Args:
        places: jobs at once.
    """

    def __init__(self, places: int) -> None:
        self._places = places
        self._folder: Path | None = None
        self._file: FileIO | None = None

    def __enter__(self) -> Plan:
        return self

    def __exit__(self, *_: object) -> None:
        self._drop()

    def note(self, cell: Cell, state: str, took: float | None = None) -> None:
        """A job is from here on "waiting", "running" or "ended"; ``took`` are the seconds of one that is done."""
        try:
            if self._folder is None:
                self._folder = cell.experiment
                self._file = _open(self._folder)
                self._write({"places": self._places})
            if self._file is not None and cell.experiment != self._folder:
                self._drop()
            run = None if cell.run is None else str(cell.run.relative_to(self._folder))
            self._write({"job": cell.number, "label": cell.label, "state": state, "run": run, "took": took})
        except (OSError, ValueError):
            self._drop()

    def _write(self, row: dict[str, Any]) -> None:
        if self._file is not None:
            self._file.write(json.dumps(row).encode() + b"\n")

    def _drop(self) -> None:
        if self._file is not None:
            with contextlib.suppress(OSError):  # before it is let go: nobody sees one that is not held
                os.unlink(self._file.name)
            with contextlib.suppress(OSError):
                self._file.close()
            self._file = None


def _open(folder: Path) -> FileIO:
    """A sweep's file, held. Those of sweeps that were killed go."""
    for left in folder.glob(NAME):
        with contextlib.suppress(OSError), left.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()  # held: whose it is waits for the lock, and sees that the file has gone
    path = folder / f".sweep-{socket.gethostname()}-{os.getpid()}.jsonl"
    while True:
        file = FileIO(path, "w")
        try:
            fcntl.flock(file, fcntl.LOCK_EX)  # who looks whether it is held holds it for microseconds
            if os.path.samestat(os.fstat(file.fileno()), os.stat(path)):
                return file
        except FileNotFoundError:
            pass
        except OSError:  # a file system without locks
            file.close()
            path.unlink(missing_ok=True)
            raise
        file.close()  # another sweep has found it before it was held, and swept it away


@dataclass(frozen=True)
class AtWork:
    """A sweep at work, as others see it."""

    folder: Path
    """Of its experiment."""
    jobs: list[tuple[str, str]]
    """Label and state ("waiting", "running") of the jobs without a run."""
    again: int
    """How many wait that have a run, which has stopped or failed."""
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
        states = [state for _, state in self.jobs]
        left += [self.mean / 2] * states.count("running")
        return max(((states.count("waiting") + self.again) * self.mean + sum(left)) / self.places, *left, 0.0)


def at_work(folder: Path, found: Sequence[RunState]) -> list[AtWork]:
    """The sweeps on experiments in ``folder``, or on that which it is, that have jobs to begin or without a run.

    ``found`` are the runs there: what runs or is done, by this sweep or another, waits no more; a run that two sweeps
    are to do waits once.
    """
    known: dict[Path | None, str] = {run.path: run.state for run in found}
    sweeps = []
    for file in sorted([*folder.glob(NAME), *folder.glob(f"*/{NAME}")]):
        rows = _read(file) if runs.locked(str(file)) else []
        last = {row["job"]: row for row in rows[1:]}
        took = [row["took"] for row in last.values() if row["took"] is not None]
        jobs, again = [], 0
        for row in last.values():
            path = None if row["run"] is None else file.parent / row["run"]
            if row["state"] == "waiting":
                again += known.get(path) in ("stopped", "failed", "stale", "unreadable")
            if row["state"] != "ended" and path not in known:
                jobs.append((row["label"], row["state"]))
                known |= {} if path is None else {path: row["state"]}
        if jobs or again:
            sweeps.append(AtWork(file.parent, jobs, again, rows[0]["places"], sum(took) / len(took) if took else None))
    return sweeps


def _read(file: Path) -> list[dict[str, Any]]:
    """The whole lines; none where the file has just gone, or is no plan."""
    try:
        rows = [json.loads(line) for line in file.read_bytes().splitlines(True) if line.endswith(b"\n")]
        if rows and rows[0]["places"] >= 1 and all(row.keys() >= KEYS for row in rows[1:]):
            return rows
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        pass
    return []
