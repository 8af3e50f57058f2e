"""DART: as many trials as it takes to see the wanted number of passes, more of them for hard tasks."""

from __future__ import annotations

import math
from typing import Literal

import numpy as np

from rftlab.core import Feedback, Float, InputError, Int, Need, StepContext, TaskPool
from rftlab.samplers.allocators.quota import Quota
from rftlab.samplers.references import named


class DART(Quota):
    """Difficulty-Aware Rejection Tuning, its quotas in an online step (Tong et al., arXiv:2407.13690).

    With f_i the fail rate of task i, it is tried until it has passed this many times:

        uniform:    k
        prop2diff:  max(1, ceil(k * f_i / max_j f_j))        the hardest tasks get k, the easiest 1

    f_i comes from the discounted counts of earlier steps (``stats_discount``), j runs over the tasks that were visited.
    A task that was never visited takes its f_i from ``reference``, or else from its own rollouts of this step; when
    nothing is known yet, max_j f_j = 1.

    Differs from the source, which builds a data set offline (k of 40 and 192 passes, no cap or one of 2048 trials):
    small quotas, a cap, and a count after every chunk; the release counts after sweeps over all tasks and wants one
    pass more than it says. Which rollouts are trained on is the admission's business: with ``balanced`` they are as
    many passes as failures, where the source fine-tunes on passes alone.

    Args:
        variant: ``prop2diff`` or ``uniform``.
        k: Passes wanted (of the hardest); None = the group size, for ``uniform`` half of it.
        chunk: As in ``Quota``; None = half the group size.
        cap: As in ``Quota``; None = four times the group size.
        reference: Name of the reference whose fail rates stand in for tasks never visited; None = no reference.
    """

    def __init__(
        self,
        variant: Literal["prop2diff", "uniform"] = "prop2diff",
        k: int | None = None,
        chunk: int | None = None,
        cap: int | None = None,
        reference: str | None = None,
    ) -> None:
        super().__init__(chunk, cap)
        if variant not in ("prop2diff", "uniform"):
            raise InputError(f"sampler.allocator.variant={variant}, wanted prop2diff or uniform")
        if k is not None and k < 1:
            raise InputError(f"sampler.allocator.k={k}, wanted at least 1 pass or null")
        if variant == "uniform" and reference is not None:
            raise InputError(f"sampler.allocator.reference={reference} is not read by variant=uniform: give null")
        self.variant, self.k, self.reference = variant, k, reference

    def needs(self) -> frozenset[Need]:
        return frozenset({Need.REFERENCES}) if self.reference else frozenset()

    def bind(self, pool: TaskPool, group_size: int) -> None:
        super().bind(pool, group_size)
        self.passes = self.largest(group_size)[0]
        self.prior: Float = np.full(len(pool), np.nan)
        if self.reference:
            self.references = (named(pool, self.reference, "sampler.allocator.reference"),)
            self.prior = pool.references[self.reference].astype(np.float64)
            if np.isnan(self.prior).all():
                raise InputError(
                    f"sampler.allocator.reference={self.reference} has no known rate: give another or null"
                )

    def largest(self, group_size: int) -> tuple[int, int]:
        return self.k or (group_size if self.variant == "prop2diff" else math.ceil(group_size / 2)), 0

    def quota(self, open: Feedback, ctx: StepContext) -> tuple[Int | int, Int | int]:
        if self.variant == "uniform":
            return self.passes, 0
        rate = self.prior.copy()
        np.divide(ctx.stats.wins, ctx.stats.trials, out=rate, where=ctx.stats.trials > 0)
        lowest = float(np.fmin.reduce(rate))  # NaN when nothing is known
        hardest = 1.0 if math.isnan(lowest) else 1.0 - lowest
        own = 1.0 - np.where(np.isnan(rate[open.tasks]), open.rate, rate[open.tasks])
        share = np.nan_to_num(np.minimum(own / hardest, 1.0)) if hardest > 0 else np.zeros(len(open))
        # the rounding error of f / max f must not cost one pass more
        return np.maximum(1, np.ceil(self.passes * share - 1e-9)).astype(np.int64), 0
