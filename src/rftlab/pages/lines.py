"""Curves with their bands and labels."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rftlab.core import Float
from rftlab.pages import ticks
from rftlab.pages.figure import sheet
from rftlab.pages.style import REST, Look
from rftlab.pages.words import short

POINTS = 200
"""Most points of one curve: more are not seen, and make a page heavy."""
BANDED = 5
"""Most curves that all have their bands; of more only the first two, the baseline and the best, do."""


@dataclass(frozen=True)
class Series:
    """One curve."""

    label: str
    look: Look
    x: Float
    y: Float
    low: Float | None = None
    high: Float | None = None

    def thinned(self) -> Series:
        """Every so many-th point, so that at most ``POINTS`` are left, the last one among them."""
        keep = np.unique(np.linspace(0, len(self.x) - 1, POINTS).round().astype(int)) if len(self.x) > POINTS else None
        if keep is None:
            return self
        low, high = (None if edge is None else edge[keep] for edge in (self.low, self.high))
        return Series(self.label, self.look, self.x[keep], self.y[keep], low, high)


def curves(series: Sequence[Series], x_label: str, y_label: str, *, percent: bool = True) -> Figure:
    """Curves; each named one has its label at its end, spread so that none covers another.

    Bands are drawn as far as ``BANDED`` says, and never stretch the y axis: it is the curves'.
    """
    figure = sheet()
    axes = figure.subplots()
    own = [s for s in series if s.look is not REST]
    for s in (one.thinned() for one in own if own.index(one) < (len(own) if len(own) <= BANDED else 2)):
        if s.low is not None and s.high is not None:
            axes.fill_between(s.x, s.low, s.high, color=s.look.colour, alpha=0.14, linewidth=0)
    for s in (one.thinned() for one in series):
        company = s.look is REST
        axes.plot(
            s.x,
            s.y,
            color=s.look.colour,
            linestyle=s.look.line,
            marker=s.look.marker,
            markevery=max(1, len(s.x) // 10),
            alpha=0.45 if company else 1,
            linewidth=0.8 if company else 1.5,
            zorder=1 if company else 3,
        )
    ticks.counts(axes, x_label)
    axes.set_ylabel(y_label)
    axes.set_ylim(*_reach(series, percent))
    if percent:
        ticks.percent(axes)
    _end_labels(axes, own)
    return figure


def smooth(x: Float, y: Float, most: int) -> tuple[Float, Float]:
    """Means of neighbours, so that at most ``most`` points are left: every step counts, none is picked."""
    if len(x) <= most:
        return x, y
    parts = np.array_split(np.arange(len(x)), most)
    return np.array([x[p[-1]] for p in parts]), np.array([y[p].mean() for p in parts])


def _reach(series: Sequence[Series], percent: bool) -> tuple[float, float]:
    """The y axis that holds all curves, with some air, and of their bands what lies near."""
    every = np.concatenate([s.y[np.isfinite(s.y)] for s in series])
    if not every.size:
        return 0.0, 1.0
    low, high = float(every.min()), float(every.max())
    room = (high - low) or 0.02
    edges = [
        edge[np.isfinite(edge)] for s in series if s.look is not REST for edge in (s.low, s.high) if edge is not None
    ]
    banded = np.clip(np.concatenate([every, *edges]), low - 0.6 * room, high + 0.6 * room)
    if percent:  # an interval of a share may leave what a share can be
        banded = np.clip(banded, min(low, 0.0), max(high, 1.0))
    return float(banded.min()) - 0.05 * room, float(banded.max()) + 0.05 * room


def _end_labels(axes: Axes, series: Sequence[Series]) -> None:
    """Labels to the right of the axes at the height of their curves' ends, moved apart where they would overlap."""
    if len(series) < 2:
        return
    low, high = axes.get_ylim()
    gap = (high - low) / 17
    ends = [float(s.y[np.isfinite(s.y)][-1]) if np.isfinite(s.y).any() else low for s in series]
    order = np.argsort(ends)
    places = spread([ends[i] for i in order], gap, low, high)
    axes.autoscale(False)
    right = axes.get_xlim()[1]
    text = right + 0.05 * (right - axes.get_xlim()[0])
    for i, place in zip(order, places, strict=True):
        s = series[i]
        leader = ([float(s.x[-1]), text], [ends[i], place])
        axes.plot(*leader, color=s.look.colour, linewidth=0.8, clip_on=False)  # an arrow would take 20 times as long
        axes.text(text, place, " " + short(s.label, 18), va="center", fontsize=8)


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> list[float]:
    """Places near the ``wanted`` ones (ascending) that are ``gap`` apart and, as far as they fit, in [low, high]."""
    places: list[float] = []
    for value in wanted:
        places.append(max(value, places[-1] + gap) if places else max(value, low))
    over = places[-1] - high if places else 0.0
    if over > 0:  # push down from the top again
        limit = high
        for i in range(len(places) - 1, -1, -1):
            places[i] = min(places[i], limit)
            limit = places[i] - gap
    return places
