"""DARS: a second round of rollouts for the tasks of which fewer than half passed."""

from __future__ import annotations

from typing import Literal

import numpy as np

from rftlab.core import Feedback, InputError, Int, StepContext, TaskPool
from rftlab.samplers.base import Allocator


class DARS(Allocator):
    """Difficulty-Adaptive Rollout Sampling (Yang et al., arXiv:2508.13755).

    Round 1: N rollouts, N the group size, with the pass rate a (none passed: a = 0.5 / N). Round 2, where a < 1/2:

        S(a) = 2 a (1 - a),  with std: 2 sqrt(a (1 - a))                  a rollout's mean absolute advantage
        et:  ceil((N S(1/2) - N S(a)) / S(a))                             equal to the advantage at 1/2
        hw:  ceil((2 (1 - a) N S(1/2) - N S(a)) / S(a))                   more, the harder the task

    more rollouts, ``cap`` in all. Without std and cap, hw makes N / (2a) in all: half a group of passes is expected of
    every task, DART's uniform quota in two rounds.

    Built for a loss in which a task's share grows with its rollouts: admission ``all_by_rollout``. With ``all`` the
    second round finds passes of hard tasks and makes their gradient surer, but does not weigh them more. ``std``
    must be that of the loss, or the treatment is not equal: in the paper ``std=False`` and
    ``algo.advantage=group_mean``.

    Args:
        variant: ``et`` (equal treatment) or ``hw`` (hardness weighted).
        std: Whether the loss divides advantages by the standard deviation (``algo.advantage=group_std``); False in the
            paper.
        cap: Most rollouts of a task; None = 4 N for ``et`` and 8 N for ``hw`` (32 and 64 in the paper, N = 8).
    """

    def __init__(self, variant: Literal["et", "hw"] = "et", std: bool = True, cap: int | None = None) -> None:
        if variant not in ("et", "hw"):
            raise InputError(f"sampler.allocator.variant={variant}, wanted et or hw")
        self.variant, self.std, self.cap = variant, std, cap

    def bind(self, pool: TaskPool, group_size: int) -> None:
        self.most = self.cap or (4 if self.variant == "et" else 8) * group_size
        if self.most < group_size:
            raise InputError(f"sampler.allocator.cap={self.cap}, wanted at least the group size {group_size} or null")

    def rounds(self) -> int:
        return 2

    def first(self, tasks: Int, ctx: StepContext) -> Int:
        return np.full(len(tasks), ctx.group_size, np.int64)

    def more(self, open: Feedback, ctx: StepContext) -> Int:
        n = ctx.group_size
        again = (open.trials > 0) & (open.trials <= n)
        a = np.where(open.wins > 0, open.wins, 0.5) / np.where(open.wins > 0, np.maximum(open.trials, 1), n)
        spread = np.minimum(a, 0.5) * (1 - np.minimum(a, 0.5))
        share, peak = (2 * np.sqrt(spread), 1.0) if self.std else (2 * spread, 0.5)
        goal = n * peak * (2 * (1 - a) if self.variant == "hw" else 1.0)
        extra = np.ceil((goal - n * share) / share - 1e-9).astype(np.int64)  # no rollout for a rounding error
        return np.where(again & (a < 0.5), np.minimum(extra, self.most - n), 0)
