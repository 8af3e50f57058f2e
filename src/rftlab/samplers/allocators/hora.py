"""HORA: a few rollouts of every task, the rest where a first further pass is likeliest."""

from __future__ import annotations

import math

import numpy as np

from rftlab.core import Feedback, Float, InputError, Int, StepContext, TaskPool
from rftlab.samplers.allocators.greedy import Greedy


class HORA(Greedy):
    """Allocation by the posterior hit probability (arXiv:2605.07114).

    Every task gets ``probe`` rollouts, which are trained on too. With a = a0 + passes, b = b0 + failures, the chance
    that m further rollouts bring a pass is

        U(m) = 1 - prod_{j < m} (b + j) / (a + b + j),
        gain(m) = U(m + 1) - U(m) = a / (a + b + m) * prod_{j < m} (b + j) / (a + b + j),

    and the rest of the step's P times n rollouts maximises the sum of U. The gains of a task fall with m, so greedy is
    exact. The paper's abstract was at hand, not its text: the equations are derived from it, sizes are ours. Admission
    ``all_by_rollout`` gives a task a share of the step by its rollouts; with ``all`` they make its gradient surer only.

    Args:
        n: Rollouts of a task on average, the first ones included; None = the group size.
        n_max: Most rollouts of a task; None = four times ``n``.
        probe: Rollouts of every task to begin with; None = half of ``n``.
        a0: Passes of the Beta prior.
        b0: Failures of the Beta prior.
    """

    MOST = 4.0

    def __init__(
        self,
        n: int | None = None,
        n_max: int | None = None,
        probe: int | None = None,
        a0: float = 1.0,
        b0: float = 1.0,
    ) -> None:
        super().__init__(n, n_max)
        if probe is not None and probe < 1:
            raise InputError(f"sampler.allocator.probe={probe}, wanted at least 1 rollout or null")
        if a0 <= 0 or b0 <= 0:
            raise InputError(f"sampler.allocator.a0={a0:g} b0={b0:g}, wanted positive numbers")
        self.probe, self.a0, self.b0 = probe, a0, b0

    def bind(self, pool: TaskPool, group_size: int) -> None:
        super().bind(pool, group_size)
        self.share = self.probe or max(1, self.mean // 2)
        if self.share > self.mean:
            raise InputError(
                f"sampler.allocator.probe={self.share} is above the {self.mean} rollouts that a task gets on average: "
                f"wanted {self.mean} at most"
            )

    def rounds(self) -> int:
        return 2

    def first(self, tasks: Int, ctx: StepContext) -> Int:
        return np.full(len(tasks), self.share, np.int64)

    def more(self, open: Feedback, ctx: StepContext) -> Int:
        n = np.zeros(len(open), np.int64)
        rows = (open.trials > 0) & (open.trials <= self.share)  # the others have had their part
        fresh = open.rows(rows)
        belief = np.stack([self.a0 + fresh.wins, self.b0 + fresh.trials - fresh.wins], axis=1)
        total = (self.mean - self.share) * len(fresh)
        n[rows] = self.spread(belief, np.zeros(len(fresh), np.int64), self.most - fresh.trials, total, ctx.rng)
        return n

    def gain(self, belief: Float, n: int) -> float:
        a, b = belief.tolist()
        miss = math.lgamma(b + n) - math.lgamma(b) + math.lgamma(a + b) - math.lgamma(a + b + n)
        return a / (a + b + n) * math.exp(miss)
