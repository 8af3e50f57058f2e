"""Sampling a task until it has shown enough passes and failures: what the sequential methods share."""

from __future__ import annotations

import math

import numpy as np

from rftlab.core import Feedback, InputError, Int, StepContext, TaskPool
from rftlab.samplers.base import Allocator


class Quota(Allocator):
    """Base of allocators that stop at a quota of (passes, failures); a method gives ``quota`` and its default sizes.

    A task gets ``chunk`` rollouts, is counted, and gets the next chunk until it has at least the quota or has been
    tried ``cap`` times. It is counted after every chunk, so it overshoots by less than a chunk. Rollouts whose grading
    failed fill neither quota nor cap, but a task of which nothing could be graded is given up.

    Stopping by outcome biases the pass rate of the group (sampling until one pass gives E[k/n] > p), not the counts
    that selectors learn from.

    Args:
        chunk: Rollouts at a time; None = ``CHUNK`` times the group size.
        cap: Most rollouts of a task; None = ``CAP`` times the group size.
    """

    CHUNK: float = 0.5
    CAP: float = 4.0

    def __init__(self, chunk: int | None = None, cap: int | None = None) -> None:
        if chunk is not None and chunk < 1:
            raise InputError(f"sampler.allocator.chunk={chunk}, wanted at least 1 rollout or null")
        if cap is not None and cap < 2:
            raise InputError(f"sampler.allocator.cap={cap}, wanted at least 2 rollouts (one has no baseline) or null")
        self.chunk, self.cap = chunk, cap

    def bind(self, pool: TaskPool, group_size: int) -> None:
        self.size = self.chunk or math.ceil(self.CHUNK * group_size)
        self.most = self.cap or max(2, math.ceil(self.CAP * group_size))
        passes, failures = self.largest(group_size)
        if passes + failures > self.most:
            raise InputError(
                f"sampler.allocator.cap={self.most} is below the quota of {passes} passes and {failures} failures: "
                f"no task could ever meet it; wanted at least {passes + failures}"
            )

    def largest(self, group_size: int) -> tuple[int, int]:
        """The largest quota of (passes, failures) that a task can have. Called once, by ``bind``."""
        raise NotImplementedError

    def quota(self, open: Feedback, ctx: StepContext) -> tuple[Int | int, Int | int]:
        """(passes, failures) wanted of each open task, int64 [R] or one number for all. Pure."""
        raise NotImplementedError

    def rounds(self) -> int:
        return math.ceil(self.most / self.size)

    def first(self, tasks: Int, ctx: StepContext) -> Int:
        return np.full(len(tasks), min(self.size, self.most), np.int64)

    def more(self, open: Feedback, ctx: StepContext) -> Int:
        passes, failures = self.quota(open, ctx)
        unmet = (open.wins < passes) | (open.trials - open.wins < failures)
        room = np.minimum(self.size, self.most - open.trials)
        return np.where(unmet & (open.trials > 0), np.maximum(room, 0), 0)

    def report(self, fb: Feedback, ctx: StepContext) -> dict[str, float]:
        """``capped``: share of tasks that were tried ``cap`` times without meeting their quota."""
        if not len(fb):
            return {}
        passes, failures = self.quota(fb, ctx)
        unmet = (fb.wins < passes) | (fb.trials - fb.wins < failures)
        return {"capped": float((unmet & (fb.trials >= self.most)).mean())}
