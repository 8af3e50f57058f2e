"""Trains on every group."""

from __future__ import annotations

from typing import Literal

import numpy as np

from rftlab.core import InputError, Outcomes, Pick, StepContext
from rftlab.samplers.base import Admission


class All(Admission):
    """P tasks are asked for and all are trained on, groups without variance too.

    Args:
        weight: ``group``: every group counts alike in the loss, so that more rollouts of a task only make its gradient
            less noisy. ``rollout``: every rollout counts alike, so that a task weighs by its rollouts, as in a loss
            that averages over all of them. Either way the batch as a whole weighs the same.
    """

    def __init__(self, weight: Literal["group", "rollout"] = "group") -> None:
        if weight not in ("group", "rollout"):
            raise InputError(f"sampler.admission.weight={weight}, wanted group or rollout")
        self.weight = weight

    def assemble(self, o: Outcomes, ctx: StepContext) -> Pick:
        picked = np.flatnonzero(o.valid)
        return Pick(o.task, picked, weight=len(picked) / ctx.group_size if self.weight == "rollout" else 1.0)
