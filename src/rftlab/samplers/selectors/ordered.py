"""A fixed order by what a reference model got right: easy to hard, or hard to easy."""

from __future__ import annotations

import numpy as np

from rftlab.core import EMPTY, Float, Int, Need, TaskPool
from rftlab.samplers.selectors.offline import reference_rates
from rftlab.samplers.selectors.uniform import Uniform


class Ordered(Uniform):
    """Epochs without replacement, each in the order of a reference's pass rates (the offline baseline of BOTS,
    arXiv:2510.26374).

    Equal rates stand in the order of ``Uniform``'s permutation, another in every epoch. Tasks with an unknown rate end
    each epoch, in either direction. A pool that is through is begun anew: a task comes again only when every other has
    had its turn, so a run shorter than the pool sees only one end of it.

    Args:
        hard_first: The lowest pass rate first.
        reference: Name of the reference; None = the weakest.
    """

    NEEDS = frozenset({Need.REFERENCES})

    def __init__(self, hard_first: bool = False, reference: str | None = None) -> None:
        super().__init__(replacement=False)
        self.hard_first, self.reference = hard_first, reference
        self._sorted: tuple[int, Int] = (-1, EMPTY)

    def bind(self, pool: TaskPool, group_size: int) -> None:
        super().bind(pool, group_size)
        name, rate = reference_rates(pool, self.reference, "sampler.selector.reference")
        self.references = (name,)
        self._key: Float = rate if self.hard_first else -rate  # NaN sorts last

    def _permutation(self, epoch: int, seed: int) -> Int:
        if self._sorted[0] != epoch:
            shuffled = super()._permutation(epoch, seed)
            self._sorted = (epoch, shuffled[np.argsort(self._key[shuffled], kind="stable")])
        return self._sorted[1]
