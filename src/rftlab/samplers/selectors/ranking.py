"""Taking some of many: the best, a weighted draw, a subset to look at."""

from __future__ import annotations

import numpy as np

from rftlab.core import EMPTY, Float, InputError, Int, StepContext


def lowest(score: Float, among: Int, m: int, rng: np.random.Generator) -> Int:
    """The ``m`` tasks of ``among`` with the lowest score, lowest first; ties fall at random. O(K).

    Equal scores are the norm at the start, when every belief is the prior. Index order would then pick the head of the
    file; here those that tie at the cut are drawn, and equal ones stand in random order.

    Args:
        score: float [N], no NaN; ``inf`` = last.
        among: int64 [K], distinct task indices to choose from.
        m: How many; fewer come back when K < m.
        rng: Decides ties.
    """
    m = min(m, len(among))
    if m <= 0:
        return EMPTY
    values = score[among]
    chosen = np.arange(len(among))
    if m < len(among):
        cut = _smallest(values, m)
        sure = np.flatnonzero(values < cut)
        tied = rng.choice(np.flatnonzero(values == cut), size=m - len(sure), replace=False)
        chosen = np.concatenate([sure, tied])
    chosen = rng.permutation(chosen)
    return among[chosen[np.argsort(values[chosen], kind="stable")]]


BLOCKS = 4096


def _smallest(values: Float, m: int) -> float:
    """The m-th smallest of ``values``.

    ``np.partition`` alone is 30 times slower where most values are equal, as beliefs of tasks never tried are. So the
    values are first narrowed to those below the m-th smallest of 4,096 blocks' minima: at most m blocks hold any.
    """
    size = len(values) // BLOCKS
    if size >= 4 and 4 * m <= BLOCKS:
        lows = values[: size * BLOCKS].reshape(BLOCKS, size).min(axis=1)
        bound = np.partition(lows, m - 1)[m - 1]  # m values or more are no larger
        below = values[values < bound]
        if len(below) < m:
            return float(bound)
        values = below
    return float(np.partition(values, m - 1)[m - 1])


def weighted(weight: Float, among: Int, m: int, rng: np.random.Generator) -> Int:
    """A draw of ``m`` distinct tasks, each next one in proportion to its weight; O(K), in the order of the draw.

    An exponential race: the first m arrivals of independent clocks with these rates are such a draw (Efraimidis and
    Spirakis, 2006). Tasks of weight 0 come last, at random, and only when the others do not suffice.

    Args:
        weight: float [N], finite and at least 0.
        among: int64 [K], distinct task indices to choose from.
        m: How many; fewer come back when K < m.
        rng: Makes the draw.
    """
    w = weight[among]
    arrival = np.divide(rng.standard_exponential(len(among)), w, out=np.full(len(among), np.inf), where=w > 0)
    return among[lowest(arrival, np.arange(len(among)), m, rng)]


def check_candidates(candidates: float | None) -> None:
    """Refuses a size that ``subset`` can't take."""
    if candidates is not None and candidates < 1:
        raise InputError(f"sampler.selector.candidates={candidates:g}, wanted at least 1 batch, or null")


def subset(among: Int, m: int, candidates: float | None, ctx: StepContext, rng: np.random.Generator) -> Int:
    """A fresh uniform subset of ``candidates`` batches of P tasks, at least ``m`` of them; None = all of ``among``."""
    if candidates is None:
        return among
    size = max(m, round(candidates * ctx.target_groups))
    return rng.choice(among, size=min(size, len(among)), replace=False)
