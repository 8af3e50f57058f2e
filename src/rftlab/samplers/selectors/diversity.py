"""Batches of tasks that are good and differ: greedy choices by a score and the distances between feature vectors."""

from __future__ import annotations

import numpy as np

from rftlab.core import Float, Int
from rftlab.samplers.networks.flat import Flat


class Distances:
    """Euclidean distances between rows of centred features, 1 = their root mean square in the pool."""

    def __init__(self, x: Flat) -> None:
        self.x = x
        self.norm = np.einsum("ij,ij->i", x, x)
        self.unit = max(float(np.sqrt(2 * self.norm.mean())), 1e-6)

    def among(self, rows: Int) -> Distances:
        """Those of some rows, in the same unit."""
        part = object.__new__(Distances)
        part.x, part.norm, part.unit = self.x[rows], self.norm[rows], self.unit
        return part

    def to(self, point: Flat) -> Flat:
        """Distance of every row from ``point`` [D]."""
        square = self.norm - 2 * (self.x @ point) + point @ point
        return np.sqrt(np.maximum(square, 0)) / np.float32(self.unit)

    def mean_to(self, points: Flat) -> Flat:
        """Mean distance of every row from ``points`` [K, D]; 0 when there are none."""
        total = np.zeros(len(self.x), np.float32)
        for point in points:
            total += self.to(point)
        return total / np.float32(max(len(points), 1))


def max_min(score: Float, near: Distances, m: int, weight: float) -> Int:
    """PDTS: next is the highest score / 2 + weight * distance from the nearest one chosen (0 for the first)."""
    chosen: list[int] = []
    nearest = np.zeros(len(score), np.float32)
    free = np.array(score, np.float64)
    for _ in range(min(m, len(score))):
        best = int(np.argmax(free / 2 + weight * nearest))
        away = near.to(near.x[best])
        nearest = np.minimum(nearest, away) if chosen else away
        free[best] = -np.inf
        chosen.append(best)
    return np.array(chosen, np.int64)


def max_sum(score: Float, near: Distances, m: int, weight: float, intra: float, apart: Flat) -> Int:
    """GPS: next is the highest score + weight * (intra * summed distance from those chosen / m + ``apart``)."""
    chosen: list[int] = []
    free = score + weight * apart.astype(np.float64)
    for _ in range(min(m, len(score))):
        best = int(np.argmax(free))
        free += (weight * intra / m) * near.to(near.x[best])
        free[best] = -np.inf
        chosen.append(best)
    return np.array(chosen, np.int64)
