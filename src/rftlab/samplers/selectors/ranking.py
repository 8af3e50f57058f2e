"""Taking the best of many."""

from __future__ import annotations

import numpy as np

from rftlab.core import Float, Int


def lowest(score: Float, among: Int, m: int, rng: np.random.Generator) -> Int:
    """The ``m`` tasks of ``among`` with the lowest score, lowest first; ties fall at random.

    Equal scores are the norm at the start, when every belief is the prior. Index order would then pick the head of the
    file; here the tasks are shuffled before a stable choice, so that equal ones are equally likely.

    Args:
        score: float64 [N].
        among: int64 [K], distinct task indices to choose from.
        m: How many; fewer come back when K < m.
        rng: Decides ties.
    """
    shuffled = rng.permutation(among)
    values = score[shuffled]
    if m < len(shuffled):
        best = np.argpartition(values, m)[:m]
        shuffled, values = shuffled[best], values[best]
    return shuffled[np.argsort(values, kind="stable")]
