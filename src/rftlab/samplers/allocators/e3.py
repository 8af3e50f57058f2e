"""E3: rollouts in proportion to a task's rank of difficulty."""

from __future__ import annotations

import math

import numpy as np

from rftlab.core import Float, InputError, Int, StepContext, TaskPool
from rftlab.samplers.allocators.greedy import Greedy

STEPS = 4096
"""Rates within about 1/4096 of each other share a rank; counting them is faster than sorting a million."""


class E3(Greedy):
    """Dynamic rollout budget of E3-RL4LLMs (code at LiaoMengqi/E3-RL4LLMs).

    With r_i in [0, 1] the rank of task i by its last pass rates among all tasks visited so far, the hardest at 1, a
    batch of m tasks shares its m n rollouts as

        n_i = n_min + (m n - m n_min) * r_i / sum r,      rounded, n_max at most

    n_min and n_max begin at n and widen by ``widen`` with every epoch (mean visits of a task) up to their limits, so
    nothing happens before tasks come back. A task that was never visited has r = 1/2; equal rates share their ranks.

    Rounding is D'Hondt's: every rollout goes to the largest r / (x + 1), x being what a task has got beyond n_min.
    That is a greedy rule too, its totals are exact, and what n_max cuts off goes to others. Differs from the release,
    which enforces n_max only where it hands out what rounding left, and ranks once an epoch; a ``stats_discount`` of 0
    ranks by the last visit, as there. Admission ``all_by_rollout`` gives a task a share of the step by its rollouts.

    Args:
        n: Rollouts of a task on average; None = the group size.
        n_max: Most rollouts of a task; None = 1.5 n (12 in the release, n = 8).
        n_min: Least rollouts of a task; None = half of ``n`` (4).
        widen: How far the two bounds move with an epoch; None = their limits from the start.
    """

    MOST = 1.5

    def __init__(
        self,
        n: int | None = None,
        n_max: int | None = None,
        n_min: int | None = None,
        widen: float | None = 2.0,
    ) -> None:
        super().__init__(n, n_max)
        if n_min is not None and n_min < 1:
            raise InputError(f"sampler.allocator.n_min={n_min}, wanted at least 1 rollout or null")
        if widen is not None and widen < 0:
            raise InputError(f"sampler.allocator.widen={widen:g}, wanted a number of rollouts, 0 or more, or null")
        self.n_min, self.widen = n_min, widen

    def bind(self, pool: TaskPool, group_size: int) -> None:
        super().bind(pool, group_size)
        self.least = self.n_min or max(1, self.mean // 2)
        if self.least > self.mean:
            raise InputError(
                f"sampler.allocator.n_min={self.least} is above the {self.mean} rollouts that a task gets on average: "
                f"wanted {self.mean} at most"
            )

    def first(self, tasks: Int, ctx: StepContext) -> Int:
        low, high = self.bounds(float(ctx.stats.visits[tasks].mean()) if len(tasks) else 0.0)
        none = np.zeros(len(tasks), np.int64)
        rest = (self.mean - low) * len(tasks)
        return low + self.spread(self.rank(tasks, ctx)[:, None], none, none + high - low, rest, ctx.rng)

    def gain(self, belief: Float, n: int) -> float:
        return float(belief[0]) / (n + 1)

    def bounds(self, epochs: float) -> tuple[int, int]:
        """Least and most rollouts of a task after so many visits of every task."""
        if self.widen is None:
            return self.least, self.most
        reach = int(self.widen * math.floor(epochs))
        return max(self.least, self.mean - reach), min(self.most, self.mean + reach)

    def rank(self, tasks: Int, ctx: StepContext) -> Float:
        """Ranks float64 [R] in [0, 1], the hardest at 1."""
        trials = ctx.stats.trials
        seen = trials > 0
        rate = np.divide(ctx.stats.wins, trials, out=np.zeros(len(trials)), where=seen)
        step = np.rint(rate * STEPS).astype(np.int32)
        tasks_at = np.bincount(step[seen], minlength=STEPS + 1)
        others = int(tasks_at.sum()) - 1
        if others < 1:
            return np.full(len(tasks), 0.5)
        harder = np.cumsum(tasks_at) - tasks_at  # tasks with a lower rate
        rank = 1 - (harder + (tasks_at - 1) / 2) / others
        return np.where(seen[tasks], rank[step[tasks]], 0.5)
