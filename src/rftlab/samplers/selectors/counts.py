"""Discounted counts per task, turned into what a visit is worth: learnability or failure."""

from __future__ import annotations

from typing import Literal

import numpy as np

from rftlab.core import Bool, Feedback, Float, InputError, Int, StepContext, TaskPool
from rftlab.samplers.base import Selector
from rftlab.samplers.selectors.ranking import lowest, weighted


class Counts(Selector):
    """Tasks by what their own counts promise: p(1 - p), or 1 - s as in Kimi's prioritised sampling.

    A visit turns a task's passes w and trials n into lam * w + passes and lam * n + trials. With a = alpha0 + w and
    b = beta0 + n - w its pass rate p is believed to be Beta(a, b), and the utility is the expected value of

        ``learnability``   p (1 - p):  a b / ((a + b) (a + b + 1))      (the variance of a 0/1 reward)
        ``failure``        1 - p:      b / (a + b)                      (Kimi k1.5, arXiv:2501.12599: P_i ~ 1 - s_i)

    A task that was never tried has the utility of the prior: with alpha0 = beta0 = 1, 1/6 and 1/2. p(1 - p) is the
    criterion of LILO (Foster et al., arXiv:2502.12272) and of sampling for learnability in games, which spend probe
    rollouts on it every step; here it costs none and knows nothing of a task before its first visit.

    Neither source says how the running rate is smoothed, discounted, or begun: prior, ``lam`` and the expectation are
    ours. Kimi draws in proportion, LILO takes the top; both rules are here for both utilities.

    Args:
        utility: ``learnability`` or ``failure``.
        rule: ``top``: the highest, ties at random. ``proportional``: a draw without replacement, each next task in
            proportion to its utility.
        lam: Share of the old counts kept at a visit, in [0, 1]; 1 = plain counts.
        alpha0: Prior successes.
        beta0: Prior failures.
    """

    STATE = ("passes", "failures")

    def __init__(
        self,
        utility: Literal["learnability", "failure"] = "learnability",
        rule: Literal["top", "proportional"] = "top",
        lam: float = 0.5,
        alpha0: float = 1.0,
        beta0: float = 1.0,
    ) -> None:
        if utility not in ("learnability", "failure"):
            raise InputError(f"sampler.selector.utility={utility}, wanted learnability or failure")
        if rule not in ("top", "proportional"):
            raise InputError(f"sampler.selector.rule={rule}, wanted top or proportional")
        if not 0 <= lam <= 1:
            raise InputError(f"sampler.selector.lam={lam:g}, wanted a retention in [0, 1]")
        if alpha0 <= 0 or beta0 <= 0:
            raise InputError(f"sampler.selector.alpha0={alpha0:g} beta0={beta0:g}, wanted positive numbers")
        self.utility, self.rule, self.lam = utility, rule, lam
        self.alpha0, self.beta0 = alpha0, beta0

    def bind(self, pool: TaskPool, group_size: int) -> None:
        self.passes: Float = np.zeros(len(pool))
        self.failures: Float = np.zeros(len(pool))

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        free = np.flatnonzero(~taken)
        if self.rule == "top":
            return lowest(-self.worth(), free, m, ctx.rng)
        return weighted(self.worth(), free, m, ctx.rng)

    def worth(self) -> Float:
        """Expected utility of a visit, float64 [N]."""
        b = self.beta0 + self.failures
        total = self.alpha0 + self.beta0 + self.passes + self.failures
        if self.utility == "failure":
            return b / total
        return (self.alpha0 + self.passes) * b / (total * (total + 1))

    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        fb = fb.rows(fb.trials > 0)
        k = fb.tasks
        self.passes[k] = self.lam * self.passes[k] + fb.wins
        self.failures[k] = self.lam * self.failures[k] + fb.trials - fb.wins

    def predict(self) -> Float:
        a = self.alpha0 + self.passes
        return a / (a + self.beta0 + self.failures)
