"""Every task equally often: the control arm of every comparison."""

from __future__ import annotations

import zlib

import numpy as np

from rftlab.core import EMPTY, Bool, Feedback, Int, StepContext, TaskPool
from rftlab.samplers.base import Selector


class Uniform(Selector):
    """Epochs without replacement, each in its own order.

    A task that was asked for e times stands in epoch e. The tasks of the lowest epoch come first, in the order of that
    epoch's permutation, which is a function of (seed, e) alone; so refills, carried groups and filters only delay a
    task and never make it come twice. A task whose rollouts all failed in grading has had its turn.

    Args:
        replacement: Draw every batch afresh from the whole pool (still distinct within a step).
    """

    STATE: tuple[str, ...] = ("turns",)

    def __init__(self, replacement: bool = False) -> None:
        self.replacement = replacement
        self._order: tuple[int, Int] = (-1, EMPTY)

    def bind(self, pool: TaskPool, group_size: int) -> None:
        self.turns: Int = np.zeros(len(pool), np.int64)

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        free = np.flatnonzero(~taken)
        if self.replacement:
            return ctx.rng.choice(free, size=min(m, len(free)), replace=False)
        picked = [EMPTY]
        for epoch in np.unique(self.turns[free]):
            if m <= 0:
                break
            order = self._permutation(int(epoch), ctx.seed)
            rows = order[~taken[order] & (self.turns[order] == epoch)][:m]
            picked.append(rows)
            m -= len(rows)
        return np.concatenate(picked)

    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        self.turns[fb.tasks] += 1

    def metrics(self) -> dict[str, float]:
        return {"epoch": float(self.turns.max())}

    def _permutation(self, epoch: int, seed: int) -> Int:
        """Order of an epoch, int64 [N]; the last one is kept, as drawing it is the cost of a step."""
        if self._order[0] != epoch:
            entropy = np.random.SeedSequence((seed, zlib.crc32(b"uniform"), epoch))
            self._order = (epoch, np.random.default_rng(entropy).permutation(len(self.turns)))
        return self._order[1]
