"""The jobs of a sweep as processes on this machine; the same sweep again does what is missing."""

from __future__ import annotations

import fcntl
import os
import shlex
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from omegaconf import OmegaConf

from rftlab import runs
from rftlab.config import LENGTH
from rftlab.core import InputError
from rftlab.signals import Stopped, Stopper
from rftlab.sweep_cells import Cell, Sweep, place
from rftlab.sweep_plan import Plan
from rftlab.terminal import duration, say

POLL = 0.05
"""Seconds between two looks at the processes."""


@dataclass
class Job:
    """A cell at work."""

    cell: Cell
    process: subprocess.Popen[bytes]
    slot: str | None
    began: float
    offset: int
    """Where its part of ``console.log`` begins."""


class Pool:
    """Runs cells, as many at once as there are slots.

    Args:
        slots: What each place gets as ``CUDA_VISIBLE_DEVICES``; None leaves the variable alone.
        fail_fast: Begin nothing more once a cell has failed.
        total: How many cells there will be, if that is known.
        plan: Where it is noted what is still to do.
        options: What stands on every job's command line beside its overrides.
        measure: Gives the number of a finished cell that goes back to the sweeper, from its configuration.
    """

    def __init__(
        self,
        *,
        slots: Sequence[str | None],
        fail_fast: bool,
        total: int | None,
        plan: Plan,
        options: list[str],
        measure: Callable[[Any], float] | None,
    ) -> None:
        self.free, self.fail_fast, self.total = list(slots), fail_fast, total
        self.plan, self.options, self.measure = plan, options, measure
        self.jobs: list[Job] = []
        self.asked = False
        """Whether the jobs were asked to stop."""

    def run(self, cells: Iterator[Cell], sweep: Sweep) -> list[Cell]:
        """Runs all cells and returns them; ``sweep.cells`` has each as soon as it is looked at.

        Raises:
            SystemExit: A signal came (130, 143). The jobs were asked to stop, and have saved.
        """
        seen: list[Cell] = []
        waiting: deque[Cell] = deque()
        lifeline, self._alive = os.pipe()
        self._lifeline = lifeline
        with Stopper() as stopper:
            try:
                for cell in cells:
                    seen.append(cell)
                    sweep.cells.append(cell)
                    if self._locate(cell):
                        waiting.append(cell)
                        if not self.free:
                            self.plan.note(cell, "waiting")
                    self._turn(waiting, seen, stopper)
                self._work_off(waiting, seen, stopper)
                # what others had in hand has been done since, or was left
                self._work_off(deque(cell for cell in seen if cell.outcome == "elsewhere"), seen, stopper)
            except Stopped as signalled:
                say(f"{signalled}: {len(self.jobs)} jobs asked to stop; they save first")
                self._stop()
                raise SystemExit(signalled.code) from None
            except BaseException:
                self._kill()
                raise
            finally:
                os.close(lifeline)
                os.close(self._alive)
        return seen

    def _turn(self, waiting: deque[Cell], seen: Sequence[Cell], stopper: Stopper) -> None:
        """Takes in what has ended and begins what there is place for."""
        stopper.poll()
        self._reap()
        while waiting and self.free:
            cell = waiting.popleft()
            if self._given_up(seen) or not self._locate(cell) or not self._begin(cell):  # done by others meanwhile
                self.plan.note(cell, "ended")

    def _work_off(self, waiting: deque[Cell], seen: Sequence[Cell], stopper: Stopper) -> None:
        self._turn(waiting, seen, stopper)
        while waiting or self.jobs:
            time.sleep(POLL)
            self._turn(waiting, seen, stopper)

    def _given_up(self, cells: Sequence[Cell]) -> bool:
        return self.fail_fast and any(cell.outcome == "failed" for cell in cells)

    def _locate(self, cell: Cell) -> bool:
        """Finds the cell's run; whether there is something to do."""
        try:
            cell.path = place(cell)
        except InputError as error:
            self._end(cell, "failed", f"rftlab: {error}")
            return False
        if cell.run is None:
            return True
        run = runs.read(cell.path)
        if run.finished and run.length == {key: OmegaConf.select(cell.cfg, key) for key in LENGTH}:
            self._measure(cell, "done before")
            return False
        if run.state == "running":
            cell.outcome, cell.reason = "elsewhere", f"process {run.pid or '?'} on {run.host or 'this host'} is at it"
            return False
        return True

    def _begin(self, cell: Cell) -> bool:
        """Starts the cell's job; whether it could."""
        assert cell.path is not None
        command = [sys.executable, "-m", "rftlab.lifeline", str(self._lifeline), cell.verb, *cell.overrides]
        environment = {  # one thread and no spinning, so that jobs beside each other do not starve
            "OMP_NUM_THREADS": str(cell.cfg.get("threads", 1)),
            "OMP_WAIT_POLICY": "PASSIVE",
            "PYTHONUNBUFFERED": "1",
            **os.environ,
        }
        slot = self.free[0]
        if slot is not None:
            environment["CUDA_VISIBLE_DEVICES"] = slot
        try:
            cell.path.mkdir(parents=True, exist_ok=True)
            with open(cell.path / "console.log", "ab", buffering=0) as log, open(log.name, "ab") as claim:
                fcntl.flock(claim, fcntl.LOCK_EX | fcntl.LOCK_NB)  # the job keeps it: seen as running from here on
                log.write(f"\n$ rftlab {cell.verb} {shlex.join(cell.overrides)}\n".encode())
                offset = log.tell()
                process = subprocess.Popen(
                    [*command, *self.options],
                    stdin=subprocess.DEVNULL,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    start_new_session=True,  # Ctrl-C on a terminal reaches the sweep alone, which tells its jobs
                    pass_fds=(self._lifeline, claim.fileno()),
                )
        except BlockingIOError:
            cell.outcome, cell.reason = "elsewhere", "another sweep has just begun it"
            return False
        except OSError as error:
            self._end(cell, "failed", f"rftlab: cannot write {error.filename or cell.path}: {error.strerror}")
            return False
        self.free.pop(0)
        self.jobs.append(Job(cell, process, slot, time.monotonic(), offset))
        gpu = "" if slot is None else f"  GPU {slot}"
        say(f"{self._place(cell)} begins  {cell.label}{gpu}  {cell.path}")
        self.plan.note(cell, "running")
        return True

    def _reap(self) -> None:
        """Takes in the jobs that have ended."""
        for job in [job for job in self.jobs if job.process.poll() is not None]:
            self.jobs.remove(job)
            self.free.append(job.slot)
            cell, code = job.cell, job.process.returncode
            cell.seconds = time.monotonic() - job.began
            if code == 0:
                self._measure(cell, "done")
            elif code in (128 + signal.SIGINT, 128 + signal.SIGTERM):
                self._end(cell, "stopped", _last_words(job))
            elif self.asked and -code in (signal.SIGINT, signal.SIGTERM):
                self._end(cell, "stopped", "before it listened for signals")  # while it imported, mostly
            else:
                how = f"killed by {signal.Signals(-code).name}" if code < 0 else f"exit {code}"
                self._end(cell, "failed", f"{how}: {_last_words(job)}")
            if cell.run is None and (printed := _beside_reason(job)):  # its result, which is wanted here
                say(printed)
            self.plan.note(cell, "ended", cell.seconds if code == 0 else None)

    def _measure(self, cell: Cell, outcome: str) -> None:
        cell.outcome = outcome
        if self.measure is not None:
            try:
                cell.objective = self.measure(cell.cfg)
            except InputError as error:
                self._end(cell, "failed", f"no objective: {error}")
                return
        self._end(cell, outcome)

    def _end(self, cell: Cell, outcome: str, reason: str = "") -> None:
        """Keeps what became of a cell and says it."""
        cell.outcome, cell.reason = outcome, reason
        parts = [f"{self._place(cell)} {outcome:<7} {cell.label}"]
        if cell.seconds is not None:
            parts.append(duration(cell.seconds))
        if not cell.failed and cell.run is not None:
            accuracy = runs.last_accuracy(str(cell.run))
            parts += [f"accuracy {accuracy:.3f}"] if accuracy is not None else []
            parts += [f"objective {cell.objective:.4f}"] if cell.objective is not None else []
        if reason:
            parts.append(reason)
            parts += [f"({cell.path}/console.log)"] if cell.path is not None else []
        say("  ".join(parts), sys.stderr if outcome == "failed" else sys.stdout)

    def _place(self, cell: Cell) -> str:
        width = len(str(self.total or 1))
        return f"[{cell.number + 1:{width}}" + (f"/{self.total}]" if self.total else "]")

    def _stop(self) -> None:
        """Asks the jobs to stop and waits until they have saved; a second signal to this process ends them at once."""
        self.asked = True
        for job in self.jobs:
            job.process.terminate()
        try:
            while self.jobs:
                self._reap()
                time.sleep(POLL)
        except KeyboardInterrupt:
            self._kill()

    def _kill(self) -> None:
        for job in self.jobs:
            os.killpg(job.process.pid, signal.SIGKILL)
            job.process.wait()


def _console(job: Job) -> bytes:
    """What a job has written to its console."""
    assert job.cell.path is not None
    with open(job.cell.path / "console.log", "rb") as log:
        log.seek(job.offset)
        return log.read()


def _beside_reason(job: Job) -> str:
    """What it has printed, without the line that is said as its reason."""
    lines, words = _console(job).decode(errors="replace").rstrip().split("\n"), _last_words(job)
    if job.cell.reason.endswith(words):
        lines = [line for line in lines if not line.strip() or runs.last_words(line.encode()) != words]
    return "\n".join(lines)


def _last_words(job: Job) -> str:
    """The last of it."""
    return runs.last_words(_console(job))
