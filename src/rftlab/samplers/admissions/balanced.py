"""Trains on as many passes as failures of a task that was sampled more than it is trained on."""

from __future__ import annotations

from typing import Literal

import numpy as np

from rftlab.core import Feedback, InputError, Int, Outcomes, Pick, StepContext
from rftlab.samplers.admissions.nonzero_var import NonzeroVar


class Balanced(NonzeroVar):
    """Balanced down-sampling to n rollouts, as in Reinforce-Ada (Xiong et al., arXiv:2510.04996).

    n/2 passes and n/2 failures, filled from the other side where one is short, drawn at random from each. With
    ``pool`` the baseline is the mean reward of all rollouts of the task:

        A_i = r_i - mean(r of all)            no division by the standard deviation

    so that the few passes of a hard task keep their size. With ``own`` it is the mean of those picked, as for every
    group. Differs from the release in drawing at random where it keeps the first ones.

    Flat groups have no advantage. ``reject``: left out. ``refill``: left out, and other tasks are asked for in their
    place. ``keep``: in the batch without effect, as in the paper; the loss is that of ``reject``, its denominator being
    fixed.

    Args:
        n: Rollouts trained on; None = the group size.
        baseline: ``pool`` or ``own``.
        flat: ``reject``, ``refill`` or ``keep``.
        oversample: As in ``Refill``; with ``flat=refill`` only.
        carry: As in ``Refill``.
    """

    def __init__(
        self,
        n: int | None = None,
        baseline: Literal["pool", "own"] = "pool",
        flat: Literal["reject", "refill", "keep"] = "reject",
        oversample: float = 1.0,
        carry: int = 0,
    ) -> None:
        super().__init__(oversample, carry)
        if n is not None and n < 2:
            raise InputError(f"sampler.admission.n={n}, wanted at least 2 rollouts (one has no counterpart) or null")
        if baseline not in ("pool", "own"):
            raise InputError(f"sampler.admission.baseline={baseline}, wanted pool or own")
        if flat not in ("reject", "refill", "keep"):
            raise InputError(f"sampler.admission.flat={flat}, wanted reject, refill or keep")
        if oversample > 1 and flat != "refill":
            raise InputError(f"sampler.admission.oversample={oversample:g} is for sampler.admission.flat=refill only")
        self.n, self.baseline, self.flat = n, baseline, flat

    def want(self, missing: int, so_far: Feedback, ctx: StepContext) -> int:
        if self.flat == "refill":
            return super().want(missing, so_far, ctx)
        return missing if ctx.round == 0 else 0

    def admit(self, o: Outcomes, ctx: StepContext) -> bool:
        return self.flat == "keep" or super().admit(o, ctx)

    def assemble(self, o: Outcomes, ctx: StepContext) -> Pick:
        rng, n = ctx.rng, self.n or ctx.group_size
        passes, failures = np.flatnonzero(o.valid & o.passed), np.flatnonzero(o.valid & ~o.passed)
        k = min(len(passes), n - min(len(failures), n // 2))
        picked: list[Int] = [
            rng.choice(passes, k, replace=False),
            rng.choice(failures, min(len(failures), n - k), replace=False),
        ]
        baseline = float(o.score[o.valid].mean()) if self.baseline == "pool" else None
        return Pick(o.task, np.sort(np.concatenate(picked)), baseline)
