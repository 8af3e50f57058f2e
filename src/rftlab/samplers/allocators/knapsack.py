"""Knapsack-RL: a step's rollouts go where they are most likely to give a useful gradient."""

from __future__ import annotations

import math

import numpy as np

from rftlab.core import Float, InputError, Int, StepContext, TaskPool
from rftlab.samplers.allocators.greedy import Greedy, hand_out

EDGE = 1 / 32
"""Rates nearer to 0 or 1 count as 0 or 1: a window of 16 rollouts, as the release keeps, cannot show them. Discounted
counts never forget a pass altogether."""


class Knapsack(Greedy):
    """Knapsack-RL (Li et al., arXiv:2509.25849).

    The value of n rollouts of a task with pass rate p is the chance of a gradient times what it is worth,

        V(p, n) = (1 - p^n - (1 - p)^n) * p (1 - p)^2,
        gain(p, n) = V(p, n + 1) - V(p, n) = (p^n (1 - p) + (1 - p)^n p) * p (1 - p)^2,

    largest at p = 1/3. The tasks of a batch share P times n rollouts:

    1. a task that is not known yet gets n, one with 0 < p < 1 gets n_min, with p = 0 n_neg, with p = 1 n_pos
    2. no task with 0 < p < 1: the rest is split evenly over those with p = 0, else over all
    3. such a task can use c = ln(1 - alpha) / ln(max(p, 1 - p)) rollouts (a gradient with chance alpha), n_max at most;
       when the rest is larger than the sum of c, the surplus goes evenly to tasks with p = 0, else with p = 1
    4. what is left goes to 0 < p < 1 by gain. V is concave in n, so greedy is exact; the release solves the same
       problem by dynamic programming

    Differs from the release in the history: p is the rate of the counts that all parts share (``stats_discount``), not
    that of the last 16 rollouts of a list, so that visits of v rollouts settle at v / (1 - discount) of them. A task is
    known while these are ``min_trials``, which visits of n_min must keep up: 0.75 holds 8 of visits of 2, and 32 of 8.

    Admission ``all_by_rollout`` gives a task a share of the step by its rollouts, as a loss that averages over rollouts
    does; with ``all`` more rollouts mean a surer gradient only.

    Args:
        n: Rollouts of a task on average; None = the group size.
        n_max: Most rollouts of a task; None = 16 n (128 in the paper, n = 8).
        n_min: Least rollouts of a task with 0 < p < 1.
        n_neg: Rollouts of a task with p = 0 before any surplus.
        n_pos: Rollouts of a task with p = 1 before any surplus.
        alpha: Chance of a gradient beyond which a task needs no more.
        min_trials: Discounted trials from which on a rate is trusted.
    """

    def __init__(
        self,
        n: int | None = None,
        n_max: int | None = None,
        n_min: int = 2,
        n_neg: int = 2,
        n_pos: int = 2,
        alpha: float = 0.9,
        min_trials: float = 8.0,
    ) -> None:
        super().__init__(n, n_max)
        for name, value in {"n_min": n_min, "n_neg": n_neg, "n_pos": n_pos}.items():
            if value < 1:
                raise InputError(f"sampler.allocator.{name}={value}, wanted at least 1 rollout")
        if not 0 < alpha < 1:
            raise InputError(f"sampler.allocator.alpha={alpha:g}, wanted a chance in (0, 1)")
        if min_trials <= 0:
            raise InputError(f"sampler.allocator.min_trials={min_trials:g}, wanted more than 0")
        self.n_min, self.n_neg, self.n_pos, self.alpha, self.min_trials = n_min, n_neg, n_pos, alpha, min_trials

    def bind(self, pool: TaskPool, group_size: int) -> None:
        super().bind(pool, group_size)
        for name in ("n_min", "n_neg", "n_pos"):
            if (value := getattr(self, name)) > self.mean:
                raise InputError(
                    f"sampler.allocator.{name}={value} is above the {self.mean} rollouts that a task gets on average: "
                    f"wanted {self.mean} at most"
                )

    def first(self, tasks: Int, ctx: StepContext) -> Int:
        rng = ctx.rng
        trials = ctx.stats.trials[tasks]
        known = trials >= self.min_trials
        rate = np.divide(ctx.stats.wins[tasks], trials, out=np.full(len(tasks), 0.5), where=known)
        never, always = known & (rate < EDGE), known & (rate > 1 - EDGE)
        live = known & ~never & ~always
        n = np.select([live, never, always], [self.n_min, self.n_neg, self.n_pos], self.mean)
        rest = self.mean * len(tasks) - int(n.sum())
        flat = never if never.any() else always if live.any() else np.ones(len(tasks), bool)
        surplus = rest - self._useful(rate[live]) if live.any() else rest
        if surplus > 0 and flat.any():
            given = hand_out(lambda row, x: 0.0, self.most - n[flat], surplus, rng)
            n[flat] += given
            rest -= int(given.sum())
        n[live] += self.spread(rate[live, None], n[live], self.most - n[live], rest, rng)
        return n

    def gain(self, belief: Float, n: int) -> float:
        p = float(belief[0])
        return (p**n * (1 - p) + (1 - p) ** n * p) * p * (1 - p) ** 2

    def _useful(self, rate: Float) -> int:
        """Rollouts that tasks with these rates [L] can use."""
        cost = np.ceil(math.log(1 - self.alpha) / np.log(np.maximum(rate, 1 - rate)))
        return int(np.minimum(cost, self.most).sum())
