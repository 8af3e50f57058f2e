"""Trains on every group."""

from __future__ import annotations

from typing import Literal

import numpy as np

from rftlab.core import InputError, Outcomes, Pick, StepContext
from rftlab.samplers.base import Admission


class All(Admission):
    """P tasks are asked for and all are trained on.

    Args:
        flat: What is done with groups without variance: ``keep`` them in the batch, where they have no gradient, or
            ``reject`` them, without asking for others. With ``weight=rollout`` kept ones take their share of the batch.
        weight: ``group``: every group counts alike in the loss, so that more rollouts of a task only make its gradient
            less noisy. ``rollout``: every rollout counts alike, so that a task weighs by its rollouts, as in a loss
            that averages over all of them. Either way the batch as a whole weighs the same.
    """

    def __init__(self, flat: Literal["keep", "reject"] = "keep", weight: Literal["group", "rollout"] = "group") -> None:
        if flat not in ("keep", "reject"):
            raise InputError(f"sampler.admission.flat={flat}, wanted keep or reject")
        if weight not in ("group", "rollout"):
            raise InputError(f"sampler.admission.weight={weight}, wanted group or rollout")
        self.flat, self.weight = flat, weight

    def admit(self, o: Outcomes, ctx: StepContext) -> bool:
        return self.flat == "keep" or 0 < o.wins < o.trials

    def assemble(self, o: Outcomes, ctx: StepContext) -> Pick:
        picked = np.flatnonzero(o.valid)
        return Pick(o.task, picked, weight=len(picked) / ctx.group_size if self.weight == "rollout" else 1.0)
