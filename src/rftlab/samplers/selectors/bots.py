"""BOTS: Beta beliefs that forget, fed by observed tasks and, through two reference models, by all the others."""

from __future__ import annotations

import logging
from typing import Literal

import numpy as np

from rftlab.core import Bool, Feedback, Float, InputError, Int, Need, StepContext, TaskPool
from rftlab.samplers.base import Selector
from rftlab.samplers.references import by_strength, named
from rftlab.samplers.selectors.beliefs import draw
from rftlab.samplers.selectors.offline import offline_evidence
from rftlab.samplers.selectors.ranking import lowest

log = logging.getLogger(__name__)

GIVE = "give +references.NAME=FILE, made by rftlab profile"
MIN_GAP = 0.05
"""``mode=robust``: a batch on which the two references differ by less says nothing of mu (it would be noise / 0)."""
MU_RANGE = (-1.0, 2.0)
"""``mode=robust``: mu beyond one weak-to-strong distance outside of the references is clipped."""


class BOTS(Selector):
    """Bayesian Online Task Selection (Shen et al., arXiv:2510.26374).

    Every step, every task k decays, then takes its evidence:

        A = (1 - lam) * alpha + lam * alpha0,   B = (1 - lam) * beta + lam * beta0
        observed:       alpha = A + passes,           beta = B + failures          (real counts)
        not observed:   alpha = A + rho * n * q_k,    beta = B + rho * n * (1 - q_k)

    What is kept is alpha - alpha0 and beta - beta0, the evidence: it shrinks by 1 - lam and takes the new counts, which
    is the same equation.

    with n the nominal group size and q_k = clip(w_k + mu * (s_k - w_k), 0, 1) an interpolation between the pass rates w
    of a weak and s of a strong reference model. mu is a running mean of the policy's place between the two on the
    batch, mu_t = (mean p - mean w) / (mean s - mean w), updated before q. Selected: the draws nearest to ``target``.

    What ``mode=robust`` adds to the paper's equation, which ``mode=paper`` is: mu_t stays as it was on a batch with
    |mean s - mean w| < 0.05, and is clipped to [-1, 2]; a task with an unknown reference rate takes no part in mu and
    gets no implicit evidence; a pool without two references means rho = 0, with a warning. Healthy batches give the
    same numbers in both modes. Equal scores fall at random.

    Not in the paper: ``tau``, which the authors' code has, and ``prior=reference`` (ours): a prior of its own for every
    task, alpha0 and beta0 plus ``prior_weight`` times the passes and failures that a reference model had offline. It is
    where the belief starts and where forgetting returns it to, so unlike the implicit evidence it never follows mu.

    Args:
        lam: Forgetting in [0, 1]; larger forgets more (the opposite of MoPPS' lam).
        rho: Weight of the implicit evidence in [0, 1]; 0 = observed tasks only.
        gamma: Smoothing of mu in [0, 1); 0 = the last batch only.
        target: Wanted pass rate.
        thompson: Score a posterior draw; False scores the posterior mean.
        mode: ``robust`` or ``paper``.
        mu_eps: Added to the denominator of mu; the authors' code has 1e-6, the paper 0.
        adaptive_rho: Halve rho for good whenever the mean |q - p| of a batch reaches 0.25 (code only).
        weak: Name of the weak reference; None = the one with the lowest mean.
        strong: Name of the strong reference; None = the one with the highest mean.
        tau: Temperature: draw without replacement, each next task in proportion to exp(-|draw - target| / tau). None =
            the nearest.
        alpha0: Prior successes, also what forgetting returns to (1 in the authors' code).
        beta0: Prior failures, likewise.
        prior: ``fixed``: alpha0 and beta0 for every task. ``reference``: see above.
        prior_reference: Name of the reference that ``prior=reference`` reads; None = the weakest.
        prior_weight: What an offline rollout counts there.
    """

    STATE = ("passes", "failures", "mu", "mu_updates", "rho", "implicit_error")

    def __init__(
        self,
        lam: float = 0.1,
        rho: float = 0.1,
        gamma: float = 0.9,
        target: float = 0.5,
        thompson: bool = True,
        mode: Literal["robust", "paper"] = "robust",
        mu_eps: float = 0.0,
        adaptive_rho: bool = False,
        weak: str | None = None,
        strong: str | None = None,
        tau: float | None = None,
        alpha0: float = 1.0,
        beta0: float = 1.0,
        prior: Literal["fixed", "reference"] = "fixed",
        prior_reference: str | None = None,
        prior_weight: float = 1.0,
    ) -> None:
        for name, value in {"lam": lam, "rho": rho, "gamma": gamma, "target": target}.items():
            if not 0 <= value <= 1:
                raise InputError(f"sampler.selector.{name}={value:g}, wanted a number in [0, 1]")
        if mode not in ("robust", "paper"):
            raise InputError(f"sampler.selector.mode={mode}, wanted robust or paper")
        if tau is not None and tau <= 0:
            raise InputError(f"sampler.selector.tau={tau:g}, wanted a positive temperature, or null for the nearest")
        if alpha0 <= 0 or beta0 <= 0:
            raise InputError(f"sampler.selector.alpha0={alpha0:g} beta0={beta0:g}, wanted positive numbers")
        if prior not in ("fixed", "reference"):
            raise InputError(f"sampler.selector.prior={prior}, wanted fixed or reference")
        if prior_weight < 0:
            raise InputError(f"sampler.selector.prior_weight={prior_weight:g}, wanted 0 or more")
        self.lam, self.rho, self.gamma, self.target = lam, float(rho), gamma, target
        self.thompson, self.mode, self.mu_eps, self.adaptive_rho = thompson, mode, mu_eps, adaptive_rho
        self.weak, self.strong, self.tau = weak, strong, tau
        self.alpha0, self.beta0 = alpha0, beta0
        self.prior, self.prior_reference, self.prior_weight = prior, prior_reference, prior_weight
        self.mu, self.mu_updates = 0.0, 0
        self.implicit_error: float | None = None

    def needs(self) -> frozenset[Need]:
        reads = self.prior == "reference" or (self.mode == "paper" and self.rho > 0)
        return frozenset({Need.REFERENCES}) if reads else frozenset()

    def bind(self, pool: TaskPool, group_size: int) -> None:
        n = len(pool)
        self.group_size = group_size
        self.passes: Float = np.zeros(n)
        self.failures: Float = np.zeros(n)
        self.w: Float = np.full(n, np.nan)
        self.s: Float = np.full(n, np.nan)
        if self.rho > 0:
            self._take_references(pool)
        self.known: Bool = ~np.isnan(self.w) & ~np.isnan(self.s)
        self._base: tuple[Float | float, Float | float] = (self.alpha0, self.beta0)
        if self.prior == "reference":
            key = "sampler.selector.prior_reference"
            name, passes, failures = offline_evidence(pool, self.prior_reference, self.prior_weight, key)
            self._base = (self.alpha0 + passes, self.beta0 + failures)
            self.references = tuple(dict.fromkeys([*self.references, name]))

    @property
    def alpha(self) -> Float:
        """float64 [N]."""
        return self._base[0] + self.passes

    @property
    def beta(self) -> Float:
        """float64 [N]."""
        return self._base[1] + self.failures

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        rng = ctx.rng
        rate = draw(self.alpha, self.beta, rng) if self.thompson else self.predict()
        score = np.abs(rate - self.target)
        if self.tau is not None:  # the race of ``weighted`` in logarithms: exp(-score / tau) can be below any float
            score = score / self.tau + np.log(rng.standard_exponential(len(score)))
        return lowest(score, np.flatnonzero(~taken), m, rng)

    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        fb = fb.rows(fb.trials > 0)
        seen = self.known[fb.tasks]
        if seen.any():
            self._update_mu(fb.rows(seen))
        self.passes *= 1 - self.lam
        self.failures *= 1 - self.lam
        if self.mu_updates:
            q = self.implicit()
            self._compare(q, fb.rows(seen))
            guess = np.where(self.known, self.rho * self.group_size, 0.0)
            guess[fb.tasks] = 0.0
            q = np.nan_to_num(q)
            self.passes += guess * q
            self.failures += guess * (1 - q)
        self.passes[fb.tasks] += fb.wins
        self.failures[fb.tasks] += fb.trials - fb.wins

    def implicit(self) -> Float:
        """Pass rates that the references suggest for the present policy, float64 [N]; NaN = unknown."""
        return np.clip(self.w + self.mu * (self.s - self.w), 0.0, 1.0)

    def predict(self) -> Float:
        alpha, beta = self.alpha, self.beta
        return alpha / (alpha + beta)

    def metrics(self) -> dict[str, float]:
        found = {"mu": float(self.mu), "rho": self.rho, "evidence": float(np.mean(self.passes + self.failures))}
        if self.implicit_error is not None:
            found["implicit_mae"] = self.implicit_error
        return found

    def _update_mu(self, fb: Feedback) -> None:
        """Moves the smoothed relative capability by one batch of tasks with known references."""
        w, s = float(self.w[fb.tasks].mean()), float(self.s[fb.tasks].mean())
        gap = s - w + self.mu_eps
        if gap == 0 or (self.mode == "robust" and abs(s - w) < MIN_GAP):
            return
        mu = (float(fb.rate.mean()) - w) / gap
        if self.mode == "robust":
            mu = float(np.clip(mu, *MU_RANGE))
        self.mu = self.gamma * self.mu + (1 - self.gamma) * mu if self.mu_updates else mu
        self.mu_updates += 1

    def _compare(self, q: Float, fb: Feedback) -> None:
        """How far the implicit rates were from what was seen; halves rho when ``adaptive_rho`` asks for it."""
        if len(fb):
            self.implicit_error = float(np.abs(q[fb.tasks] - fb.rate).mean())
            if self.adaptive_rho and self.implicit_error >= 0.25:
                self.rho /= 2

    def _take_references(self, pool: TaskPool) -> None:
        names = by_strength(pool)
        weak = named(pool, self.weak, "sampler.selector.weak") if self.weak else names[0] if names else None
        strong = named(pool, self.strong, "sampler.selector.strong") if self.strong else names[-1] if names else None
        problem = None
        if weak is None or strong is None or weak == strong:
            problem = f"BOTS wants two reference models, dataset {pool.name!r} has {sorted(pool.references) or 'none'}"
        elif self.mode == "paper" and np.isnan(pool.references[weak] + pool.references[strong]).any():
            problem = f"BOTS with mode=paper wants every rate of {weak!r} and {strong!r}, some are unknown"
        if problem and self.mode == "paper":
            raise InputError(f"{problem}: {GIVE}, or sampler.selector.mode=robust, or sampler.selector.rho=0")
        if problem:
            log.warning(
                "%s: no implicit evidence, rho = 0 (give +references.NAME=FILE, made by rftlab profile, to have it)",
                problem,
            )
            self.rho = 0.0
            return
        assert weak is not None and strong is not None
        self.references = (weak, strong)
        self.w, self.s = pool.references[weak].astype(np.float64), pool.references[strong].astype(np.float64)
