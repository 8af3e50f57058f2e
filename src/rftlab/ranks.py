"""What the ranks of an update do together, and how work is divided among them."""

from __future__ import annotations

import heapq
from collections.abc import Sequence, Sized
from typing import Any

import torch
from torch import Tensor


class Alone:
    """One process: everything is its own."""

    rank, size = 0, 1
    sharded = False
    """The layers of the base are split over the ranks, so that every forward is work of all of them."""

    def cradle(self, device: torch.device) -> torch.device:
        """Where the base of a policy on ``device`` is loaded."""
        return device

    def placed(self, model: Any, device: torch.device) -> Any:
        """A peft model, ready for forwards on ``device``."""
        return model

    def share(self, rows: Sequence[Sized]) -> list[int]:
        """Positions of the rows that are this rank's, balanced by their lengths; every row is of one rank."""
        return list(range(len(rows)))

    def sum_(self, *tensors: Tensor) -> None:
        """Each tensor becomes its sum over the ranks, in place."""

    def max_(self, tensor: Tensor) -> None:
        """The tensor becomes its maximum over the ranks, in place."""

    def most(self, count: int) -> int:
        """How many forwards this rank takes part in, ``count`` of them with rows of its own."""
        return count


current = Alone()
"""The ranks of this process."""


def balanced(loads: Sequence[float], ranks: int) -> list[list[int]]:
    """Positions of ``loads`` for each rank, rising, so that the sums are about equal; the same on every rank.

    The largest load goes first, each to the rank that has the least (longest processing time first; Graham, 1969): no
    rank has more than 4/3 of what the best division gives its fullest one.
    """
    shares: list[list[int]] = [[] for _ in range(ranks)]
    fill: list[tuple[float, int]] = [(0.0, rank) for rank in range(ranks)]
    for i in sorted(range(len(loads)), key=lambda i: (-loads[i], i)):
        load, rank = heapq.heappop(fill)
        shares[rank].append(i)
        heapq.heappush(fill, (load + loads[i], rank))
    return [sorted(share) for share in shares]
