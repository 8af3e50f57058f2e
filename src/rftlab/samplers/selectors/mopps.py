"""MoPPS: a Beta belief per task, a Thompson draw, and the tasks whose draw is nearest to one half."""

from __future__ import annotations

from typing import Literal

import numpy as np

from rftlab.core import Bool, Feedback, Float, InputError, Int, Need, StepContext, TaskPool
from rftlab.samplers.base import Selector
from rftlab.samplers.selectors.beliefs import draw, expected_moments, fitted, moments
from rftlab.samplers.selectors.offline import offline_evidence
from rftlab.samplers.selectors.ranking import check_candidates, lowest, subset

FADE = 0.95
"""``prior=moments``: share of the counts behind the fit that a step keeps."""


class MoPPS(Selector):
    """Model Predictive Prompt Selection (Qu et al., arXiv:2507.04632, eqs. 8-10).

    For a task that was observed with s passes in k trials:

        alpha <- lam * alpha + (1 - lam) * alpha0 + s
        beta  <- lam * beta  + (1 - lam) * beta0  + k - s

    A task that was not observed keeps its belief: ``lam`` discounts by visit, not by step. It is the share retained,
    the opposite of BOTS' lambda. What is kept is alpha - alpha0 and beta - beta0, the evidence: discounted by lam, plus
    the new counts, which is the same equation.

    The prior (alpha0, beta0) is, by ``prior``:

    - ``fixed``: the options, the same for every task.
    - ``reference``: the options plus ``prior_weight`` times the passes and failures that a reference model had offline
      (the release's offline prior, weight 3). Forgetting returns a task to its own prior.
    - ``moments``: one Beta for all tasks, fitted by moments to the first group of every task tried so far, and fitted
      anew after every step (not published; ours). Only first groups count: which untried task comes next says nothing
      of its pass rate, so they are a fair sample of the pool, while later groups come from tasks chosen for their
      results. Old ones fade by 5 % a step, as the policy that gave them does, towards the options, where the fit
      starts. An allocator that stops by outcome biases the fit. When the prior moves, every belief moves with
      it and keeps its evidence, as if the new prior had held from the start.

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
        prior: ``fixed``, ``reference`` or ``moments``.
        prior_reference: Name of the reference that ``prior=reference`` reads; None = the weakest.
        prior_weight: What an offline rollout counts there.
    """

    STATE = ("passes", "failures", "seen", "sums")

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
        prior: Literal["fixed", "reference", "moments"] = "fixed",
        prior_reference: str | None = None,
        prior_weight: float = 3.0,
    ) -> None:
        for name, value in {"lam": lam, "target": target}.items():
            if not 0 <= value <= 1:
                raise InputError(f"sampler.selector.{name}={value:g}, wanted a number in [0, 1]")
        if strategy not in ("topk", "threshold"):
            raise InputError(f"sampler.selector.strategy={strategy}, wanted topk or threshold")
        if not 0 <= lower <= upper <= 1:
            raise InputError(f"sampler.selector.lower={lower:g} upper={upper:g}, wanted 0 <= lower <= upper <= 1")
        check_candidates(candidates)
        if alpha0 <= 0 or beta0 <= 0:
            raise InputError(f"sampler.selector.alpha0={alpha0:g} beta0={beta0:g}, wanted positive numbers")
        if prior not in ("fixed", "reference", "moments"):
            raise InputError(f"sampler.selector.prior={prior}, wanted fixed, reference or moments")
        if prior_weight < 0:
            raise InputError(f"sampler.selector.prior_weight={prior_weight:g}, wanted 0 or more")
        self.lam, self.target, self.thompson, self.strategy = lam, target, thompson, strategy
        self.lower, self.upper, self.candidates = lower, upper, candidates
        self.alpha0, self.beta0 = alpha0, beta0
        self.prior, self.prior_reference, self.prior_weight = prior, prior_reference, prior_weight

    def needs(self) -> frozenset[Need]:
        return frozenset({Need.REFERENCES}) if self.prior == "reference" else frozenset()

    def bind(self, pool: TaskPool, group_size: int) -> None:
        n = len(pool)
        self.passes: Float = np.zeros(n)
        self.failures: Float = np.zeros(n)
        self.seen: Bool = np.zeros(n, bool)
        self.start = expected_moments(self.alpha0, self.beta0, group_size)
        self.sums: Float = self.start
        self._base: tuple[Float | float, Float | float] = (self.alpha0, self.beta0)
        if self.prior == "reference":
            key = "sampler.selector.prior_reference"
            name, passes, failures = offline_evidence(pool, self.prior_reference, self.prior_weight, key)
            self._base = (self.alpha0 + passes, self.beta0 + failures)
            self.references = (name,)

    @property
    def alpha(self) -> Float:
        """float64 [N]."""
        return self.base()[0] + self.passes

    @property
    def beta(self) -> Float:
        """float64 [N]."""
        return self.base()[1] + self.failures

    def base(self) -> tuple[Float | float, Float | float]:
        """The prior as it stands, alpha and beta, each for all tasks or [N]."""
        return fitted(self.sums) if self.prior == "moments" else self._base

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        rng = ctx.rng
        among = subset(np.flatnonzero(~taken), m, self.candidates, ctx, rng)
        alpha, beta = self.alpha[among], self.beta[among]
        rate = draw(alpha, beta, rng) if self.thompson else alpha / (alpha + beta)
        return among[lowest(self.score(rate), np.arange(len(among)), m, rng)]

    def score(self, rate: Float) -> Float:
        """Distance of pass rates from what is wanted; lower is better."""
        if self.strategy == "topk":
            return (rate - self.target) ** 2
        return np.maximum(np.maximum(self.lower - rate, rate - self.upper), 0.0)

    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        fb = fb.rows(fb.trials > 0)
        k = fb.tasks
        self.sums = FADE * self.sums + (1 - FADE) * self.start + moments(fb.rows(~self.seen[k]))
        self.seen[k] = True
        self.passes[k] = self.lam * self.passes[k] + fb.wins
        self.failures[k] = self.lam * self.failures[k] + fb.trials - fb.wins

    def predict(self) -> Float:
        alpha, beta = self.alpha, self.beta
        return alpha / (alpha + beta)

    def metrics(self) -> dict[str, float]:
        found = {"evidence": float(np.mean(self.passes + self.failures))}
        if self.prior == "moments":
            alpha, beta = fitted(self.sums)
            found |= {"prior_mean": alpha / (alpha + beta), "prior_weight": alpha + beta}
        return found
