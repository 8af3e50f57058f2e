"""Beta beliefs of pass rates: an exact draw that is cheap for a fresh pool, and a prior fitted to counts."""

from __future__ import annotations

import numpy as np

from rftlab.core import Feedback, Float

PSEUDO_TASKS = 8
"""What the prior that a fit starts from counts, in tasks: it is left by degrees, not at a threshold."""
WEIGHTS = (0.2, 64.0)
"""A fitted prior counts so many rollouts at least and at most: moments of few counts say 0 or infinity."""


def draw(alpha: Float, beta: Float, rng: np.random.Generator) -> Float:
    """A draw from Beta(alpha, beta) for every task, float64 [N].

    Where alpha = beta = 1 that is a uniform number, for which numpy's general method is forty times slower; in a pool
    much larger than the run nearly every task is there.
    """
    rate = rng.random(len(alpha))
    informed = np.flatnonzero((alpha != 1) | (beta != 1))
    rate[informed] = rng.beta(alpha[informed], beta[informed])
    return rate


def moments(fb: Feedback) -> Float:
    """Sums over the rows of passes k, trials n, k(k - 1) and n(n - 1), float64 [4]."""
    k, n = fb.wins, fb.trials
    return np.array([k.sum(), n.sum(), (k * (k - 1)).sum(), (n * (n - 1)).sum()], np.float64)


def expected_moments(alpha: float, beta: float, n: int) -> Float:
    """What ``moments`` of ``PSEUDO_TASKS`` groups of ``n`` would be on average if Beta(alpha, beta) were true."""
    mean = alpha / (alpha + beta)
    second = mean * (alpha + 1) / (alpha + beta + 1)
    n = max(n, 2)
    return PSEUDO_TASKS * np.array([n * mean, n, n * (n - 1) * second, n * (n - 1)])


def fitted(sums: Float) -> tuple[float, float]:
    """The Beta(alpha, beta) whose first two moments are those of the pass rates behind ``sums``.

    E[k] = n E[p] and E[k(k - 1)] = n(n - 1) E[p^2] for a binomial k, so both moments of p are estimated without bias
    when the group sizes are fixed beforehand; alpha + beta = (E[p] - E[p^2]) / (E[p^2] - E[p]^2), kept within
    ``WEIGHTS``.
    """
    mean, second = sums[0] / sums[1], sums[2] / sums[3]
    spread = second - mean**2
    weight = np.clip((mean - second) / spread, *WEIGHTS) if spread > 0 else WEIGHTS[1]
    return float(mean * weight), float((1 - mean) * weight)
