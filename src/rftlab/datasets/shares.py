"""How many tasks of each part a mixture takes, and in which order."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def apportion(weights: Mapping[str, float], total: int) -> dict[str, int]:
    """``total`` split in proportion to the weights, by largest remainders (Hamilton's method)."""
    names, shares = list(weights), np.array(list(weights.values())) / sum(weights.values()) * total
    counts = np.floor(shares + 1e-9).astype(int)
    for i in np.argsort(counts - shares, kind="stable")[: total - counts.sum()]:
        counts[i] += 1
    return dict(zip(names, counts.tolist(), strict=True))


def largest(weights: Mapping[str, float], available: Mapping[str, int]) -> dict[str, int]:
    """The most that can be taken in proportion to the weights without taking anything twice."""
    scale = min(available[name] / weight for name, weight in weights.items())
    return {name: int(scale * weight + 1e-9) for name, weight in weights.items()}


def interleaved(counts: Mapping[str, int]) -> list[tuple[str, int]]:
    """(part, position in it), spread evenly, so that every stretch of the whole holds the parts in proportion."""
    spread = [((i + 0.5) / count, name, i) for name, count in counts.items() for i in range(count)]
    return [(name, i) for _, name, i in sorted(spread, key=lambda each: each[0])]
