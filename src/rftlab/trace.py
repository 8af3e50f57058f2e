"""``tracking.profile=true``: a few steps under torch's profiler, into the run directory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rftlab.clock import Clock
from rftlab.rundir import write_atomic

FIRST, LAST = 2, 4
"""Steps of this process that are traced; the first one warms up."""
OPERATORS = 40
"""Rows of the summary."""


class Trace:
    """Counts the steps of a process and records some of them. Use as a context manager around the loop.

    Leaves ``trace/step_<a>-<b>.json.gz``, which chrome://tracing and Perfetto open, and ``trace/summary.txt``: the
    operators by their own seconds, the GPU's where there is one. The phases of a step are ranges of the same names as
    the ``time/<phase>`` metrics.

    Args:
        folder: the run's directory.
        clock: whose phases become ranges while steps are recorded.
        on: False = nothing is recorded and torch's profiler is not imported.
        say: called with one line: where the trace is, or that there is none.
    """

    def __init__(self, folder: Path, clock: Clock, on: bool, say: Callable[[str], None]) -> None:
        self.folder, self.clock, self.on, self.say = folder / "trace", clock, on, say
        self._begun = 0
        self._step = 0
        self._first = 0
        self._profiler: Any = None

    def __enter__(self) -> Trace:
        return self

    def __exit__(self, *_: object) -> None:
        if self._profiler is not None:
            self._write()
        elif self.on and self._begun < FIRST:
            self.say(
                f"tracking.profile=true traced nothing: it begins at the process's step {FIRST}; raise budget.steps"
            )

    def begin(self, step: int) -> None:
        """A step begins; what follows up to the next one belongs to it, records and evaluation included."""
        if not self.on:
            return
        self._begun += 1
        if self._begun == LAST + 1:
            self._write()
        self._step = step
        if self._begun == FIRST:
            self._start()

    def _start(self) -> None:
        import torch
        from torch.profiler import ProfilerActivity, profile, record_function

        activities = [ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(ProfilerActivity.CUDA)
        self._first = self._step
        self._profiler = profile(activities=activities, acc_events=True)
        self._profiler.start()
        self.clock.range = record_function

    def _write(self) -> None:
        import torch

        profiler, self._profiler = self._profiler, None
        self.clock.range = Clock.range
        profiler.stop()
        self.folder.mkdir(exist_ok=True)
        file = self.folder / f"step_{self._first:06d}-{self._step:06d}.json.gz"
        profiler.export_chrome_trace(str(file))
        by = "self_device_time_total" if torch.cuda.is_available() else "self_cpu_time_total"
        write_atomic(self.folder / "summary.txt", profiler.key_averages().table(sort_by=by, row_limit=OPERATORS) + "\n")
        self.say(f"traced steps {self._first} to {self._step}: {file}")
