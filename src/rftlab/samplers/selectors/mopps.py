"""MoPPS: a Beta belief per task, a Thompson draw, and the tasks whose draw is nearest to one half."""

from __future__ import annotations

from typing import Literal

import numpy as np

from rftlab.core import Bool, Feedback, Float, InputError, Int, StepContext, TaskPool
from rftlab.samplers.base import Selector
from rftlab.samplers.selectors.ranking import lowest, subset


class MoPPS(Selector):
    """Model Predictive Prompt Selection (Qu et al., arXiv:2507.04632, eqs. 8-10).

    For a task that was observed with s passes in k trials:

        alpha <- lam * alpha + (1 - lam) * alpha0 + s
        beta  <- lam * beta  + (1 - lam) * beta0  + k - s

    A task that was not observed keeps its belief: ``lam`` discounts by visit, not by step. It is the share retained,
    the opposite of BOTS' lambda.

    Differs from the release: equal draws fall at random instead of in file order, and the candidates of a step are a
    fresh uniform subset instead of the next piece of a shuffled epoch.

    Args:
        lam: Retention in [0, 1]; 1 = plain counts (the release's default and MATH), 0.5 in Countdown and Geometry3k.
        target: Wanted pass rate.
        thompson: Score a posterior draw; False scores the posterior mean.
        strategy: ``topk``: lowest (draw - target)^2. ``threshold``: draws in [lower, upper] first, at random, then the
            nearest to the band.
        lower: Lower end of the band of ``threshold``.
        upper: Upper end of the band of ``threshold``.
        candidates: Size of the candidate subset, in batches of P tasks; None = the whole pool.
        alpha0: Prior successes, also what a discounted belief returns to.
        beta0: Prior failures, likewise.
    """

    STATE = ("alpha", "beta")

    def __init__(
        self,
        lam: float = 1.0,
        target: float = 0.5,
        thompson: bool = True,
        strategy: Literal["topk", "threshold"] = "topk",
        lower: float = 0.3,
        upper: float = 0.7,
        candidates: float | None = None,
        alpha0: float = 1.0,
        beta0: float = 1.0,
    ) -> None:
        if not 0 <= lam <= 1:
            raise InputError(f"sampler.selector.lam={lam:g}, wanted a retention in [0, 1]")
        if strategy not in ("topk", "threshold"):
            raise InputError(f"sampler.selector.strategy={strategy}, wanted topk or threshold")
        if not 0 <= lower <= upper <= 1:
            raise InputError(f"sampler.selector.lower={lower:g} upper={upper:g}, wanted 0 <= lower <= upper <= 1")
        if candidates is not None and candidates < 1:
            raise InputError(f"sampler.selector.candidates={candidates:g}, wanted at least 1 batch, or null")
        if alpha0 <= 0 or beta0 <= 0:
            raise InputError(f"sampler.selector.alpha0={alpha0:g} beta0={beta0:g}, wanted positive numbers")
        self.lam, self.target, self.thompson, self.strategy = lam, target, thompson, strategy
        self.lower, self.upper, self.candidates = lower, upper, candidates
        self.alpha0, self.beta0 = alpha0, beta0

    def bind(self, pool: TaskPool, group_size: int) -> None:
        self.alpha: Float = np.full(len(pool), float(self.alpha0))
        self.beta: Float = np.full(len(pool), float(self.beta0))

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        rng = ctx.rng
        among = subset(np.flatnonzero(~taken), m, self.candidates, ctx, rng)
        rate = rng.beta(self.alpha, self.beta) if self.thompson else self.predict()
        return lowest(self.score(rate), among, m, rng)

    def score(self, rate: Float) -> Float:
        """Distance of a pass rate [N] from what is wanted; lower is better."""
        if self.strategy == "topk":
            return (rate - self.target) ** 2
        return np.maximum(np.maximum(self.lower - rate, rate - self.upper), 0.0)

    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        fb = fb.rows(fb.trials > 0)
        k = fb.tasks
        self.alpha[k] = self.lam * self.alpha[k] + (1 - self.lam) * self.alpha0 + fb.wins
        self.beta[k] = self.lam * self.beta[k] + (1 - self.lam) * self.beta0 + fb.trials - fb.wins

    def predict(self) -> Float:
        return self.alpha / (self.alpha + self.beta)

    def metrics(self) -> dict[str, float]:
        return {"evidence": float(np.mean(self.alpha + self.beta) - self.alpha0 - self.beta0)}
