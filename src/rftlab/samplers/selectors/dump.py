"""DUMP: an upper confidence bound on every category's mean absolute advantage."""

from __future__ import annotations

import numpy as np

from rftlab.core import Feedback, Float, InputError, Int, Need, StepContext, TaskPool
from rftlab.samplers.selectors.arms import ByArm, softmax, told_advantage


class DUMP(ByArm):
    """Distribution-level curriculum by UCB (Wang et al., arXiv:2504.09710).

    Arms are the categories. With n_c the rollouts that arm c ever had and n their sum:

        U_c = mean of its last ``window`` absolute advantages + explore * sqrt(2 ln(n + 1) / (n_c + 1))
        P(c) = softmax(U / tau)_c, drawn anew for every slot of the batch

    The counts are never discounted, so the second term fades for good: an arm that was left is found again only
    through its share of the softmax.

    Differs from the release, which also feeds the *rewards of the evaluation* into the window: here only advantages,
    and only of training rollouts. Advantages come as one mean per group, so each of its rollouts counts with that mean;
    a group without an advantage (rejected, say) counts with 2 sqrt(p (1 - p)). The tasks of an arm come in rounds
    without repetition, ties at random. ``explore`` is 1 in the source.

    Args:
        window: Rollouts of an arm that its mean goes over.
        tau: Temperature.
        explore: Weight of the second term.
    """

    NEEDS = ByArm.NEEDS | {Need.ADVANTAGE}
    STATE = (*ByArm.STATE, "recent", "n")

    def __init__(self, window: int = 300, tau: float = 0.1, explore: float = 1.0) -> None:
        if window < 1:
            raise InputError(f"sampler.selector.window={window}, wanted at least 1 rollout")
        if tau <= 0:
            raise InputError(f"sampler.selector.tau={tau:g}, wanted a positive temperature")
        if explore < 0:
            raise InputError(f"sampler.selector.explore={explore:g}, wanted a weight of 0 or more")
        self.window, self.tau, self.explore = window, tau, explore

    def bind(self, pool: TaskPool, group_size: int) -> None:
        super().bind(pool, group_size)
        self.recent: Float = np.zeros((len(self.arms), self.window))
        self.n: Int = np.zeros(len(self.arms), np.int64)

    def probabilities(self, ctx: StepContext) -> Float:
        return softmax(self.bound(), self.tau)

    def bound(self) -> Float:
        """U of every arm, float64 [K]."""
        mean = self.recent.sum(1) / np.clip(self.n, 1, self.window)
        return mean + self.explore * np.sqrt(2 * np.log(self.n.sum() + 1) / (self.n + 1))

    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        super().observe(fb, ctx)
        fb = fb.rows(fb.trials > 0)
        arm = np.repeat(self.arms.of[fb.tasks], fb.trials)
        value = np.repeat(told_advantage(fb), fb.trials)
        for k in np.unique(arm):
            new = value[arm == k]
            at = np.arange(self.n[k], self.n[k] + len(new))[-self.window :]
            self.recent[k, at % self.window] = new[-self.window :]
            self.n[k] += len(new)

    def metrics(self) -> dict[str, float]:
        bound = self.bound()
        return {"bound_max": float(bound.max()), "bound_min": float(bound.min())}
