"""Trains on groups whose pass rate lies in a band: online accuracy filtering."""

from __future__ import annotations

from rftlab.core import InputError, Outcomes, StepContext
from rftlab.samplers.admissions.refill import Refill


class Window(Refill):
    """Groups with ``lo <= passes / trials <= hi``, both ends included (PRIME, arXiv:2502.01456: 0.2 and 0.8).

    Args:
        lo: Lowest pass rate.
        hi: Highest pass rate.
        oversample: As in ``Refill``.
        carry: As in ``Refill``.
    """

    def __init__(self, lo: float = 0.2, hi: float = 0.8, oversample: float = 1.0, carry: int = 0) -> None:
        super().__init__(oversample, carry)
        if not 0 <= lo <= hi <= 1:
            raise InputError(f"sampler.admission.lo={lo:g} hi={hi:g}, wanted 0 <= lo <= hi <= 1")
        self.lo, self.hi = lo, hi

    def admit(self, o: Outcomes, ctx: StepContext) -> bool:
        return self.lo <= o.wins / o.trials <= self.hi
