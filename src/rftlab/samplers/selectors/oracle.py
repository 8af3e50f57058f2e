"""The true pass rates, which only a simulation knows: what the best choice of tasks could gain."""

from __future__ import annotations

import numpy as np

from rftlab.core import Bool, InputError, Int, Need, StepContext
from rftlab.samplers.base import Selector
from rftlab.samplers.selectors.ranking import lowest


class Oracle(Selector):
    """The tasks whose true pass rate is nearest to ``target``, ties at random. A bound, not a method.

    It says nothing through ``predict``: how well the truth predicts is no question. In a world that doesn't learn it
    asks for the same tasks in every step.

    Args:
        target: Wanted pass rate; 0 and 1 are the worst choices, a bound from below.
    """

    NEEDS = frozenset({Need.TRUTH})

    def __init__(self, target: float = 0.5) -> None:
        if not 0 <= target <= 1:
            raise InputError(f"sampler.selector.target={target:g}, wanted a pass rate in [0, 1]")
        self.target = target

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        assert ctx.truth is not None  # declared in NEEDS, so the sampler is not built without it
        return lowest(np.abs(ctx.truth - self.target), np.flatnonzero(~taken), m, ctx.rng)
