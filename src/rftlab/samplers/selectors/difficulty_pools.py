"""Difficulty pools: hard, normal and easy tasks, drawn with different weights."""

from __future__ import annotations

import numpy as np

from rftlab.core import Bool, InputError, Int, StepContext
from rftlab.samplers.base import Selector
from rftlab.samplers.selectors.ranking import weighted


class DifficultyPools(Selector):
    """Difficulty pools of prime-rl (PrimeIntellect-ai/prime-rl, no paper).

    A task's pool is that of the pass rate of its last visit: hard up to ``hard_up_to``, normal up to
    ``normal_up_to`` (both inclusive), easy above. Tasks are drawn in proportion to the weight of their pool.

    Differs from the release: distinct tasks within a step, where it draws each one anew; pass rates where it takes the
    mean reward; tasks of weight 0 come last, when the others do not fill the batch, where it stops.

    Args:
        hard: Weight of the hard pool.
        normal: Weight of the normal pool.
        easy: Weight of the easy pool.
        unseen: Weight of tasks that were never visited.
        hard_up_to: Highest pass rate of the hard pool.
        normal_up_to: Highest pass rate of the normal pool.
    """

    def __init__(
        self,
        hard: float = 0.2,
        normal: float = 1.0,
        easy: float = 0.2,
        unseen: float = 1.0,
        hard_up_to: float = 0.25,
        normal_up_to: float = 0.75,
    ) -> None:
        for name, value in {"hard": hard, "normal": normal, "easy": easy, "unseen": unseen}.items():
            if not 0 <= value < np.inf:
                raise InputError(f"sampler.selector.{name}={value:g}, wanted a weight of 0 or more")
        if not 0 <= hard_up_to <= normal_up_to <= 1:
            raise InputError(
                f"sampler.selector.hard_up_to={hard_up_to:g} normal_up_to={normal_up_to:g}, "
                "wanted 0 <= hard_up_to <= normal_up_to <= 1"
            )
        self.weights = np.array([hard, normal, easy, unseen])
        self.bounds = np.array([hard_up_to, normal_up_to, 1.0])

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        pool = np.searchsorted(self.bounds, ctx.stats.last_rate, side="left")  # NaN sorts behind: unseen
        return weighted(self.weights[pool], np.flatnonzero(~taken), m, ctx.rng)
