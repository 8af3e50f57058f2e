"""Asking for more tasks until the batch is full: what the online filters share."""

from __future__ import annotations

import math

from rftlab.core import Feedback, InputError, StepContext
from rftlab.samplers.base import Admission

MIN_YIELD = 0.25
"""A refill supposes at least this share of new groups to pass, so that one bad round cannot spend the whole budget."""


class Refill(Admission):
    """Base of admissions that reject groups and ask for others in their place.

    The first round asks for ``oversample`` times what is missing. A refill divides this by the share of this step's
    groups that was admitted, as in GRESO (arXiv:2506.02177), so that it takes two or three rounds and not ten; with the
    plain number the last groups trickle in one by one.

    Args:
        oversample: Tasks asked for per task wanted, at least 1. Above 1: fewer rounds, more rollouts thrown away.
        carry: Largest age in steps at which surplus groups are still trained on; 0 = they are discarded.
    """

    def __init__(self, oversample: float = 1.0, carry: int = 0) -> None:
        if oversample < 1:
            raise InputError(f"sampler.admission.oversample={oversample:g}, wanted at least 1")
        if carry < 0:
            raise InputError(f"sampler.admission.carry={carry}, wanted an age in steps, 0 or more")
        self.oversample, self.carry = oversample, carry

    def want(self, missing: int, so_far: Feedback, ctx: StepContext) -> int:
        admitted = max(float(so_far.trained.mean()), MIN_YIELD) if len(so_far) else 1.0
        return math.ceil(missing * self.oversample / admitted)
