"""Reinforce-Ada: every task is sampled until it has something to compare."""

from __future__ import annotations

import math
from typing import Literal

from rftlab.core import Feedback, InputError, Int, StepContext, TaskPool
from rftlab.samplers.allocators.quota import Quota


class ReinforceAda(Quota):
    """The sampling of Reinforce-Ada (Xiong et al., arXiv:2510.04996).

    A task leaves the step as soon as its rollouts so far have

        balance:  at least n/2 passes and n/2 failures        positive:  at least one pass

    and keeps what it has when the cap comes first. The other half of the method is the admission ``balanced``, which
    trains on n of these rollouts against the mean of all.

    Differs from the source in size, so that a step fits the usual budget: chunks of n rollouts and 4n at most, n being
    the group size; the paper has n = 4, chunks of 8, and 32 at most.

    Args:
        exit: ``balance`` or ``positive``.
        n: Rollouts that are trained on, which ``balance`` halves; None = the group size. Give ``admission.n`` the same.
        chunk: As in ``Quota``; None = the group size.
        cap: As in ``Quota``; None = four times the group size.
    """

    CHUNK = 1.0

    def __init__(
        self,
        exit: Literal["balance", "positive"] = "balance",
        n: int | None = None,
        chunk: int | None = None,
        cap: int | None = None,
    ) -> None:
        super().__init__(chunk, cap)
        if exit not in ("balance", "positive"):
            raise InputError(f"sampler.allocator.exit={exit}, wanted balance or positive")
        if n is not None and n < 2:
            raise InputError(f"sampler.allocator.n={n}, wanted at least 2 rollouts or null")
        self.exit, self.n = exit, n

    def bind(self, pool: TaskPool, group_size: int) -> None:
        super().bind(pool, group_size)
        self.wanted = self.largest(group_size)

    def largest(self, group_size: int) -> tuple[int, int]:
        half = math.ceil((self.n or group_size) / 2)
        return (half, half) if self.exit == "balance" else (1, 0)

    def quota(self, open: Feedback, ctx: StepContext) -> tuple[Int | int, Int | int]:
        return self.wanted
