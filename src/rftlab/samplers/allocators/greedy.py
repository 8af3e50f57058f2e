"""Handing out rollouts one at a time to where the next one is worth most: what the allocating methods share."""

from __future__ import annotations

from collections.abc import Callable
from heapq import heapify, heappop, heapreplace

import numpy as np

from rftlab.core import Float, InputError, Int, TaskPool
from rftlab.samplers.base import Allocator


def hand_out(gain: Callable[[int, int], float], room: Int, total: int, rng: np.random.Generator) -> Int:
    """How many of ``total`` each of R tasks gets, int64 [R]; all of them unless there is no room. O(total log R).

    Every rollout goes to the largest gain; among equal gains to the task that has had fewest, then at random. Exactly
    optimal for the sum of the values wherever a task's gains never rise: then the best set holds the largest gains,
    and no gain is taken before the task's earlier ones.

    Args:
        gain: Of a row and the number x it was given so far: what one rollout more is worth.
        room: int64 [R], most that a task can get.
        total: Rollouts to give.
        rng: Decides ties.
    """
    given = np.zeros(len(room), np.int64)
    rank = rng.permutation(len(room)).tolist()
    heap = [(-gain(row, 0), 0, rank[row], row) for row in np.flatnonzero(room > 0).tolist()]
    heapify(heap)
    for _ in range(total):
        if not heap:
            break
        _, x, tie, row = heap[0]
        given[row] = x + 1
        if x + 1 < room[row]:
            heapreplace(heap, (-gain(row, x + 1), x + 1, tie, row))
        else:
            heappop(heap)
    return given


class Greedy(Allocator):
    """Base of allocators that share out a fixed number of rollouts by their marginal gain; a method gives ``gain``.

    The tasks of one call share ``n`` rollouts each: P tasks P times n, and a refill as many as its own tasks make.

    Args:
        n: Rollouts of a task on average; None = the group size.
        n_max: Most rollouts of a task; None = ``MOST`` times ``n``. Where no task has room, rollouts are left over.
    """

    MOST: float = 16.0

    def __init__(self, n: int | None = None, n_max: int | None = None) -> None:
        if n is not None and n < 2:
            raise InputError(f"sampler.allocator.n={n}, wanted at least 2 rollouts (one has no baseline) or null")
        self.n, self.n_max = n, n_max

    def bind(self, pool: TaskPool, group_size: int) -> None:
        self.mean = self.n or group_size
        self.most = int(self.MOST * self.mean) if self.n_max is None else self.n_max
        if self.most < self.mean:
            raise InputError(
                f"sampler.allocator.n_max={self.most} is below the {self.mean} rollouts that a task gets on average: "
                f"wanted at least {self.mean} or null"
            )

    def gain(self, belief: Float, n: int) -> float:
        """What one rollout more is worth to a task with this belief, float64 [k], and ``n`` rollouts. Pure."""
        raise NotImplementedError

    def spread(self, belief: Float, have: Int, room: Int, total: int, rng: np.random.Generator) -> Int:
        """``total`` rollouts over tasks with beliefs [R, k] that ``have`` so many and can get ``room`` more."""
        return hand_out(lambda row, x: self.gain(belief[row], int(have[row]) + x), room, total, rng)
