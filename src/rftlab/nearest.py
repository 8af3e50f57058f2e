"""The name that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import SequenceMatcher


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name most like ``name``; None when nothing comes near.

    The last part of a dotted key weighs most, so ``sampler.lamda`` finds ``sampler.selector.lam`` and ``budget.lr``
    finds ``algo.lr``.
    """

    def likeness(other: str) -> float:
        last = SequenceMatcher(None, _last(name), _last(other)).ratio()
        return 0.7 * last + 0.3 * SequenceMatcher(None, name, other).ratio()

    best = max(known, key=likeness, default=None)
    return best if best is not None and likeness(best) >= cutoff else None


def _last(name: str) -> str:
    return name.rsplit(".", 1)[-1]
