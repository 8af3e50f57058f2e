"""The same number of rollouts for every task."""

from __future__ import annotations

import numpy as np

from rftlab.core import InputError, Int, StepContext
from rftlab.samplers.base import Allocator


class Fixed(Allocator):
    """n rollouts, once.

    Args:
        n: Rollouts of a task; None = the group size.
    """

    def __init__(self, n: int | None = None) -> None:
        if n is not None and n < 2:
            raise InputError(f"sampler.allocator.n={n}, wanted at least 2 rollouts (one has no baseline) or null")
        self.n = n

    def first(self, tasks: Int, ctx: StepContext) -> Int:
        return np.full(len(tasks), self.n or ctx.group_size, np.int64)
