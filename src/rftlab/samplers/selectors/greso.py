"""GRESO: tasks that keep showing no variance are skipped more often than not."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from rftlab.core import EMPTY, Bool, Feedback, Float, InputError, Int, StepContext, TaskPool
from rftlab.samplers.base import Selector

LEAST_KEPT = 0.01
"""However long the streak, a task keeps this chance of its turn."""
P_RANGE = (0.05, 0.95)


class GRESO(Selector):
    """GRPO with Efficient Selective Rollout (Zheng et al., arXiv:2506.02177): its filter before the rollouts.

    Tasks come in epochs, each in its own order. A task whose last z visits in a row were all too easy (pass rate at
    least ``easy``), or all too hard (at most ``hard``), is skipped in this epoch with probability

        1 - max(p^z, 0.01),   p = p_easy or p_hard;   z = 0 and unseen tasks: never

    After each step beyond the first epoch the two adjust themselves, within [0.05, 0.95]:

        p_easy -= delta if the share of easy tasks in this step's rollouts >= target / 3,       else += delta
        p_hard -= delta if the share of hard tasks                        >= 2 target / 3,      else += delta

    So nothing is skipped before the second epoch: useless where steps x P stays below the pool. Its other half,
    dropping groups without variance and refilling by 1.25 / (share admitted), is the admission ``nonzero_var`` with
    ``oversample`` 1.25.

    Differs from the release: the thresholds are those of a plain 0/1 accuracy, its 0.98 and 0.11 fit a reward with a
    format credit of 0.1. Streaks are kept in place of whole histories. The draw that skips a task is fixed by (seed,
    epoch, task) and a skipped task has had its turn; when all others are used up, skipped ones fill the batch.

    Args:
        p_easy: First value of p for easy tasks, in [0.05, 0.95].
        p_hard: The same for hard tasks.
        target: Wanted share of groups without variance, alpha in the paper.
        delta: Step of the adjustment; 0 = p_easy and p_hard stay.
        easy: Lowest pass rate of an easy visit.
        hard: Highest pass rate of a hard visit.
    """

    STATE = ("turns", "streak", "p_easy", "p_hard", "skipped")

    def __init__(
        self,
        p_easy: float = 0.5,
        p_hard: float = 0.5,
        target: float = 0.25,
        delta: float = 0.01,
        easy: float = 1.0,
        hard: float = 0.0,
    ) -> None:
        for name, value in {"p_easy": p_easy, "p_hard": p_hard}.items():
            if not P_RANGE[0] <= value <= P_RANGE[1]:
                raise InputError(f"sampler.selector.{name}={value:g}, wanted a number in [0.05, 0.95]")
        if not 0 <= target <= 1:
            raise InputError(f"sampler.selector.target={target:g}, wanted a share in [0, 1]")
        if not 0 <= delta < 1:
            raise InputError(f"sampler.selector.delta={delta:g}, wanted a step in [0, 1)")
        if not 0 <= hard < easy <= 1:
            raise InputError(f"sampler.selector.easy={easy:g} hard={hard:g}, wanted 0 <= hard < easy <= 1")
        self.p_easy, self.p_hard = float(p_easy), float(p_hard)
        self.target, self.delta, self.easy, self.hard = target, delta, easy, hard
        self._drawn: tuple[int, Int, NDArray[np.float32]] = (-1, EMPTY, np.empty(0, np.float32))
        self.skipped = 0

    def bind(self, pool: TaskPool, group_size: int) -> None:
        self.turns: NDArray[np.int32] = np.zeros(len(pool), np.int32)
        self.streak: NDArray[np.int16] = np.zeros(len(pool), np.int16)
        """Visits in a row that were too easy, negative = too hard; 0 = the last one was neither."""

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        kept, skipped = [EMPTY], [EMPTY]
        free = ~taken
        missing = m
        while missing > 0 and free.any():
            epoch = int(self.turns[free].min())
            order, luck = self._epoch(epoch, ctx.seed)
            rows = order[free[order] & (self.turns[order] == epoch)]
            skip = luck[rows] >= self.chance(rows)
            kept.append(rows[~skip][:missing])
            skipped.append(rows[skip])
            missing -= len(kept[-1])
            free &= self.turns != epoch
        return np.concatenate([*kept, *skipped])[:m]

    def chance(self, tasks: Int) -> Float:
        """Probability that a task is not skipped, float64 [R]."""
        z = self.streak[tasks].astype(np.float64)
        p = np.where(z > 0, self.p_easy, self.p_hard)
        return np.maximum(p ** np.abs(z), LEAST_KEPT)

    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        if len(fb) == 0:
            return
        epoch = int(self.turns[fb.tasks].max())
        self._pass_over(fb.tasks, epoch, ctx.seed)
        fb = fb.rows(fb.trials > 0)
        easy, hard = fb.rate >= self.easy, fb.rate <= self.hard
        z = self.streak[fb.tasks].astype(np.int64)
        z = np.where(easy, np.maximum(z, 0) + 1, np.where(hard, np.minimum(z, 0) - 1, 0))
        self.streak[fb.tasks] = z.clip(-1000, 1000)
        if epoch > 0 and len(fb):
            self.p_easy = self._adjusted(self.p_easy, float(easy.mean()) >= self.target / 3)
            self.p_hard = self._adjusted(self.p_hard, float(hard.mean()) >= 2 * self.target / 3)

    def metrics(self) -> dict[str, float]:
        return {
            "p_easy": self.p_easy,
            "p_hard": self.p_hard,
            "skipped": float(self.skipped),
            "epoch": float(self.turns.max()),
        }

    def _pass_over(self, asked: Int, epoch: int, seed: int) -> None:
        """Everything that stood before the last task asked for has had its turn, the skipped ones too."""
        order, _ = self._epoch(epoch, seed)
        mine = self.turns[order] == epoch
        is_asked = np.zeros(len(order), bool)
        is_asked[asked] = True
        last = int(np.flatnonzero(mine & is_asked[order])[-1])
        passed = self.turns < epoch
        passed[order[: last + 1][mine[: last + 1]]] = True
        self.skipped = int(passed.sum()) - len(asked)
        self.turns += passed

    def _adjusted(self, p: float, too_many: bool) -> float:
        return float(np.clip(p - self.delta if too_many else p + self.delta, *P_RANGE))

    def _epoch(self, epoch: int, seed: int) -> tuple[Int, NDArray[np.float32]]:
        """Order int64 [N] and a uniform draw per task float32 [N] of an epoch; the last ones are kept."""
        if self._drawn[0] != epoch:
            rng = np.random.default_rng(np.random.SeedSequence((seed, zlib.crc32(b"greso"), epoch)))
            n = len(self.turns)
            self._drawn = (epoch, rng.permutation(n), rng.random(n, np.float32))
        return self._drawn[1:]
