"""AdaRFT: a target difficulty that rises while the policy does well, and the tasks nearest to it."""

from __future__ import annotations

import math

import numpy as np

from rftlab.core import Bool, Feedback, Float, InputError, Int, Need, StepContext, TaskPool
from rftlab.samplers.base import Selector
from rftlab.samplers.selectors.offline import reference_rates
from rftlab.samplers.selectors.ranking import lowest

HARDEST = 100.0
"""Difficulty of a task that the reference never solves; 0 is one that it always solves."""


class AdaRFT(Selector):
    """Adaptive curriculum by one controlled number (Shi et al., arXiv:2504.05520).

        T <- clip(T + eta * tanh(alpha * (R - target)), 0, 100)

    R is the mean pass rate of the tasks of the step that has just ended, rejected ones included. The next batch are
    tasks whose difficulty d = 100 * (1 - pass rate of a reference) is nearest to T. In the source d is a column of the
    dataset; that it is made from one reference's pass rate is our reading.

    The bare rule trains on the same batch again and again while T stands still, as it does at either end. Here a batch
    is chosen among the ``spread`` * m nearest tasks: those visited least, ties at random. So a standing T goes round
    its neighbourhood evenly; with spread = 1 only ties vary. Tasks with an unknown rate come last, at random. The
    release feeds R back some 16 batches late, an accident of its data loader that is not copied.

    Args:
        target: Wanted mean pass rate (beta of the paper).
        eta: Largest move of T in a step, on the scale of 0 to 100.
        alpha: How sharply a deviation of the pass rate is answered.
        start: T before the first step; 0 = the easiest.
        spread: Size of the neighbourhood that a batch comes from, in batches, at least 1.
        reference: Name of the reference; None = the weakest.
    """

    NEEDS = frozenset({Need.REFERENCES})
    STATE = ("level",)

    def __init__(
        self,
        target: float = 0.5,
        eta: float = 50.0,
        alpha: float = 2.0,
        start: float = 0.0,
        spread: float = 4.0,
        reference: str | None = None,
    ) -> None:
        if not 0 <= target <= 1:
            raise InputError(f"sampler.selector.target={target:g}, wanted a pass rate in [0, 1]")
        if eta < 0 or alpha < 0:
            raise InputError(f"sampler.selector.eta={eta:g} alpha={alpha:g}, wanted 0 or more")
        if not 0 <= start <= HARDEST:
            raise InputError(f"sampler.selector.start={start:g}, wanted a difficulty in [0, {HARDEST:g}]")
        if spread < 1:
            raise InputError(f"sampler.selector.spread={spread:g}, wanted at least 1 batch")
        self.target, self.eta, self.alpha, self.spread = target, eta, alpha, spread
        self.reference = reference
        self.level = float(start)

    def bind(self, pool: TaskPool, group_size: int) -> None:
        name, rate = reference_rates(pool, self.reference, "sampler.selector.reference")
        self.references = (name,)
        self.difficulty: Float = np.where(np.isnan(rate), np.inf, HARDEST * (1 - rate))

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        rng = ctx.rng
        near = lowest(np.abs(self.difficulty - self.level), np.flatnonzero(~taken), round(self.spread * m), rng)
        return lowest(ctx.stats.visits.astype(np.float64), near, m, rng)

    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        fb = fb.rows(fb.trials > 0)
        if len(fb):
            move = self.eta * math.tanh(self.alpha * (float(fb.rate.mean()) - self.target))
            self.level = min(max(self.level + move, 0.0), HARDEST)

    def metrics(self) -> dict[str, float]:
        return {"target_difficulty": self.level}
