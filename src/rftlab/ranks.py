"""What the ranks of an update do together."""

from __future__ import annotations

from collections.abc import Sequence, Sized

from torch import Tensor


class Alone:
    """One process: everything is its own."""

    def share(self, rows: Sequence[Sized]) -> list[int]:
        """Positions of the rows that are this rank's, balanced by their lengths; every row is of one rank."""
        return list(range(len(rows)))

    def sum_(self, *tensors: Tensor) -> None:
        """Each tensor becomes its sum over the ranks, in place."""

    def max_(self, tensor: Tensor) -> None:
        """The tensor becomes its maximum over the ranks, in place."""
