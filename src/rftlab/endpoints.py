"""What one learning curve says: area, end, time to a target, best so far. Pure functions of arrays.

A curve is its evaluations: ``x`` float64 [E], what was spent, strictly increasing; ``y`` float64 [E], accuracy. Between
two evaluations it is a straight line, so that arms which were evaluated at slightly different points can be compared.
Nothing is ever taken from beyond the last evaluation.

Definitions follow the BOTS paper (arXiv:2510.26374) where it gives them. It leaves open what tau is a share of, what
lies between evaluations and which score of the baseline counts. Here tau is a share of the gain over step 0, curves are
interpolated, and the baseline's best point of its mean curve counts.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from rftlab.core import Float

SHARES = (0.5, 0.75, 1.0)
"""tau of TTB."""
QUARTERS = (25, 50, 100)
"""Per cent of the common range, of BSF."""


@dataclass(frozen=True)
class Curve:
    """Evaluations of one run, or of an arm's mean."""

    x: Float
    y: Float

    def at(self, x: Float | float) -> Float:
        """Accuracy at ``x``, NaN outside of the evaluations."""
        return np.interp(x, self.x, self.y, left=np.nan, right=np.nan)

    def within(self, low: float, high: float) -> Curve:
        """The curve on [low, high], with points at both ends. Both must lie within its evaluations."""
        inside = (self.x > low) & (self.x < high)
        x = np.concatenate([[low], self.x[inside], [high]]) if high > low else np.array([low])
        return Curve(x, np.interp(x, self.x, self.y))


def etr(rates: Float) -> float:
    """Effective task ratio: the share of groups with a pass rate [n] strictly between 0 and 1; NaN without a group.

    BOTS counts the tasks of the training batch (``group/etr``); over everything generated it is ``group/yield``.
    """
    known = rates[np.isfinite(rates)]
    return float(((known > 0) & (known < 1)).mean()) if len(known) else np.nan


def common_range(curves: list[Curve]) -> tuple[float, float]:
    """Where every curve is known: from the latest beginning to the earliest end."""
    return max(float(c.x[0]) for c in curves), min(float(c.x[-1]) for c in curves)


def weights(x: Float, low: float, high: float, endpoint: str) -> Float:
    """The endpoint as weights [E] of the evaluations at ``x``; they sum to 1.

    ``auc``: the area under the interpolated curve over [low, high] by the trapezoid rule, divided by high - low: the
    mean accuracy of the run while it spends. ``final``: the interpolated accuracy at ``high``. Weights serve for every
    single task of an evaluation as well as for their mean.
    """
    each = np.eye(len(x))
    if endpoint == "final" or high <= low:
        return np.array([float(np.interp(high, x, row)) for row in each])
    nodes = np.unique(np.concatenate([[low, high], x[(x > low) & (x < high)]]))
    return np.array([np.trapezoid(np.interp(nodes, x, row), nodes) for row in each]) / (high - low)


def value(curve: Curve, low: float, high: float, endpoint: str) -> float:
    """The endpoint of a curve that covers [low, high]."""
    return float(weights(curve.x, low, high, endpoint) @ curve.y)


def mean_curve(curves: list[Curve]) -> Curve:
    """Mean over runs of one arm, at every point where one of them was evaluated and all of them are known."""
    low, high = common_range(curves)
    x = np.unique(np.concatenate([c.x for c in curves] + [np.array([low, high])]))
    x = x[(x >= low) & (x <= high)]
    return Curve(x, np.mean([c.at(x) for c in curves], axis=0))


def first_passage(curve: Curve, target: float) -> float:
    """The smallest x at which the interpolated curve reaches ``target``; inf if it never does."""
    reached = np.flatnonzero(curve.y >= target - 1e-12)
    if not len(reached):
        return np.inf
    i = int(reached[0])
    if i == 0:
        return float(curve.x[0])
    (x0, x1), (y0, y1) = curve.x[i - 1 : i + 1], curve.y[i - 1 : i + 1]
    return float(x0 + (x1 - x0) * min(1.0, (target - y0) / (y1 - y0)))


def target(baseline: Curve, share: float) -> float:
    """y(0) + share · (best - y(0)) of the baseline's mean curve; NaN if it never was better than at its beginning."""
    gain = float(baseline.y.max() - baseline.y[0])
    return float(baseline.y[0] + share * gain) if gain > 0 else np.nan


def restricted(times: Float, horizon: float) -> float:
    """Restricted mean time to the target: a run that has not reached it by ``horizon`` counts with ``horizon``.

    Right-censoring at one common horizon makes the product-limit curve the plain share of runs that are not there yet,
    and the area under it up to ``horizon`` (Irwin, 1949) the mean of min(time, horizon).
    """
    return float(np.minimum(times, horizon).mean()) if len(times) else np.nan


def best_so_far(curve: Curve, until: float) -> float:
    """The best accuracy within [start, until], the interpolated one at ``until`` among them."""
    return float(curve.within(float(curve.x[0]), until).y.max())
