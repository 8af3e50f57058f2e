"""Statistics of a comparison: intervals, tests and what they can see. Pure functions of arrays, numpy and scipy only.

The verdict is the paired t test with Holm's correction. Percentile bootstrap is too narrow for a handful of seeds and
no sign-flip test reaches 0.05 with five of them; ``scripts/check_statistics.py`` measures all of it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import optimize, special, stats

from rftlab.core import Float

LEVEL = 0.95
"""Of every interval."""
ALPHA = 0.05
"""Family-wise error of the verdicts."""
POWER = 0.8
"""Of the minimum detectable difference."""
ZERO = 1e-12
"""Up to which a spread is 0 but for rounding."""

Statistic = Callable[[Float], Float]
"""Of draws [..., R, M] (runs, strata) to values [...]."""


class MeanInterval(NamedTuple):
    """A mean and an interval around it; NaN where too little is known."""

    mean: float
    low: float
    high: float


def t_interval(values: Float, level: float = LEVEL) -> MeanInterval:
    """Mean of ``values`` [n] and Student's interval, mean ± t(n - 1) s / sqrt(n) (Student, 1908); NaN ends if n < 2."""
    n = len(values)
    if n < 2:
        return MeanInterval(float(values.mean()) if n else np.nan, np.nan, np.nan)
    mean = float(values.mean())
    half = float(special.stdtrit(n - 1, (1 + level) / 2) * values.std(ddof=1) / np.sqrt(n))
    return MeanInterval(mean, mean - half, mean + half)


def pointwise_intervals(values: Float, level: float = LEVEL) -> tuple[Float, Float, Float]:
    """``t_interval`` of every column of ``values`` [R, X], NaN = not there: means, lows, highs, each [X]."""
    there = np.isfinite(values)
    n = there.sum(axis=0)
    total = np.where(there, values, 0.0).sum(axis=0)
    mean = np.divide(total, n, out=np.full(len(n), np.nan), where=n > 0)
    squares = np.where(there, (values - mean) ** 2, 0.0).sum(axis=0)
    variance = np.divide(squares, n - 1, out=np.full(len(n), np.nan), where=n > 1)
    half = special.stdtrit(np.maximum(n - 1, 1), (1 + level) / 2) * np.sqrt(variance / np.maximum(n, 1))
    return mean, mean - half, mean + half


def paired_p(differences: Float) -> float:
    """Two-sided p of the paired t test on differences [n].

    NaN when nothing can be said: fewer than two, or the same difference in every one (scores come in steps of one
    rollout, so that a spread of 0 is no proof of a spread of 0); 1 when all of them are 0.
    """
    n = len(differences)
    if n < 2:
        return np.nan
    spread = float(differences.std(ddof=1))
    if spread <= ZERO:
        return 1.0 if np.abs(differences).max() <= ZERO else np.nan
    return float(2 * stats.t.sf(abs(differences.mean()) / (spread / np.sqrt(n)), n - 1))


def holm(p: Float) -> Float:
    """Holm's adjusted p values [m] (Holm, 1979): max over j <= i of (m - j) p_(j), at most 1.

    NaN stays NaN and is no test.
    """
    adjusted = np.full(len(p), np.nan)
    known = np.flatnonzero(np.isfinite(p))
    order = known[np.argsort(p[known], kind="stable")]
    adjusted[order] = np.minimum(1.0, np.maximum.accumulate(p[order] * np.arange(len(order), 0, -1)))
    return adjusted


def verdict(difference: float, p_holm: float) -> str:
    """``better``, ``worse``, ``not distinguishable``; ``no verdict`` where there is no p."""
    if not np.isfinite(p_holm):
        return "no verdict"
    if p_holm >= ALPHA:
        return "not distinguishable"
    return "better" if difference > 0 else "worse"


def detectable(spread: float, n: int, arms: int = 1) -> float:
    """The true difference that n pairs would show in 80 % of the cases; NaN if n < 2 or the spread is 0.

    Power of the two-sided t test from the noncentral t distribution (Cohen, 1988, chapter 2), at the level that the
    smallest of ``arms`` p values has to pass with Holm, 0.05 / arms: a larger difference than the later ones need.

    Args:
        spread: standard deviation of the paired differences.
        n: pairs.
        arms: verdicts drawn together.
    """
    if n < 2 or not np.isfinite(spread) or spread <= ZERO:
        return np.nan
    return float(_noncentrality(n - 1, ALPHA / max(1, arms)) * spread / np.sqrt(n))


def _noncentrality(df: int, alpha: float) -> float:
    """The noncentrality at which Student's two-sided test of level ``alpha`` has the wanted power."""
    critical = stats.t.isf(alpha / 2, df)

    def lack(nc: float) -> float:
        # with a power of 0.8 the other tail is far below rounding
        return float(special.nctdtr(df, nc, critical)) - (1 - POWER)

    high = critical
    while lack(high) > 0:
        high *= 2
    return float(optimize.brentq(lack, 0.0, high))


def iqm(scores: Float) -> Float:
    """Interquartile mean over the last two axes [..., R, M] together (Agarwal et al., arXiv:2108.13264, section 4.3).

    A quarter of the values, rounded down, is left out at each end: with fewer than four it is the mean.
    """
    flat = np.sort(scores.reshape(*scores.shape[:-2], -1), axis=-1)
    cut = flat.shape[-1] // 4
    return flat[..., cut : flat.shape[-1] - cut].mean(axis=-1)


def mean(scores: Float) -> Float:
    """Mean over the last two axes [..., R, M]."""
    return scores.mean(axis=(-2, -1))


def stratified_bootstrap(
    scores: Float, statistic: Statistic, rng: np.random.Generator, reps: int = 2000, level: float = LEVEL
) -> MeanInterval:
    """``statistic`` of ``scores`` [R, M] and its percentile interval.

    Runs are drawn anew within each of the M strata on their own (arXiv:2108.13264, section 4.1). Its measured coverage
    is below ``level`` with few runs.
    """
    runs, strata = scores.shape
    if runs < 2:
        return MeanInterval(float(statistic(scores)) if runs else np.nan, np.nan, np.nan)
    drawn = rng.integers(runs, size=(reps, runs, strata))
    values = statistic(scores[drawn, np.arange(strata)])
    low, high = np.quantile(values, [(1 - level) / 2, (1 + level) / 2])
    return MeanInterval(float(statistic(scores)), float(low), float(high))


def item_bootstrap(differences: Float, rng: np.random.Generator, reps: int = 2000) -> MeanInterval:
    """Mean of differences by item [I] and its percentile interval over items.

    Answers another question than seeds do: would other evaluation tasks of the same kind say the same of these very
    runs? With hundreds of items its coverage is the nominal one.
    """
    items = len(differences)
    if items < 2:
        return MeanInterval(float(differences.mean()) if items else np.nan, np.nan, np.nan)
    means = np.empty(reps)
    for start in range(0, reps, 250):  # in pieces: thousands of items times thousands of draws
        size = min(250, reps - start)
        means[start : start + size] = differences[rng.integers(items, size=(size, items))].mean(axis=1)
    low, high = np.quantile(means, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return MeanInterval(float(differences.mean()), float(low), float(high))


def improvement(own: Float, other: Float) -> float:
    """P(X > Y) + P(X = Y) / 2 over all pairs of ``own`` [n] and ``other`` [m] (arXiv:2108.13264, section 4.3)."""
    if not len(own) or not len(other):
        return np.nan
    pairs = own[:, None] - other[None, :]
    return float((pairs > 0).mean() + 0.5 * (pairs == 0).mean())
