"""SPEED: a few rollouts tell which tasks are worth a whole group."""

from __future__ import annotations

import numpy as np

from rftlab.core import Feedback, InputError, Int, StepContext, TaskPool
from rftlab.samplers.base import Allocator


class SPEED(Allocator):
    """Screening of Selective Prompting with Efficient Estimation of Difficulty (Zhang et al., arXiv:2506.09016).

    Every task gets ``n_init`` rollouts; one with 0 < passes < n_init gets ``n_cont`` more, any other is settled at
    once. The screening rollouts are trained on too. With an admission that refills, one round generates the rest of
    the tasks that qualified together with the screening of those that replace the others.

    Differs from the release: groups are told apart by their counts, so n_cont may equal n_init and need not be a
    multiple of it; nothing fetched is dropped; a screening never waits for the next update. A group that was
    qualified by the rollouts it is trained on has its pass rate pulled towards one half, here as there.

    Args:
        n_init: Rollouts of the screening; None = half the group size (4 of 24 in the paper).
        n_cont: Rollouts of a task that qualified; None = the rest of the group size (20 in the paper).
    """

    def __init__(self, n_init: int | None = None, n_cont: int | None = None) -> None:
        if n_init is not None and n_init < 2:
            raise InputError(f"sampler.allocator.n_init={n_init}, wanted at least 2 rollouts (one never qualifies)")
        if n_cont is not None and n_cont < 1:
            raise InputError(f"sampler.allocator.n_cont={n_cont}, wanted at least 1 rollout or null")
        self.n_init, self.n_cont = n_init, n_cont

    def bind(self, pool: TaskPool, group_size: int) -> None:
        self.screen = self.n_init or max(2, group_size // 2)
        self.rest = max(0, group_size - self.screen) if self.n_cont is None else self.n_cont

    def rounds(self) -> int:
        return 2

    def first(self, tasks: Int, ctx: StepContext) -> Int:
        return np.full(len(tasks), self.screen, np.int64)

    def more(self, open: Feedback, ctx: StepContext) -> Int:
        qualified = (open.trials <= self.screen) & (open.wins > 0) & (open.wins < open.trials)
        return np.where(qualified, self.rest, 0)
