"""The kinds of picture: curves, a heat map, bars, dots, reliability. Each draws numbers into a figure, and no more."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter

from rftlab.core import Float
from rftlab.pages.figure import sheet
from rftlab.pages.style import GRID, INK, REST, SEQUENTIAL, WIDTH, Look
from rftlab.pages.words import short

POINTS = 200
"""Most points of one curve: more are not seen, and make a page heavy."""
BANDED = 5
"""Most curves that all have their bands; of more only the first two, the baseline and the best, do."""
BANDS = ("none", "under 20 %", "20–40 %", "40–60 %", "60–80 %", "over 80 %", "all")
"""Pass rates of a group as rows of a heat map."""


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
    _count_axis(axes, x_label)
    axes.set_ylabel(y_label)
    axes.set_ylim(*_reach(series))
    if percent:
        _percent(axes)
    _end_labels(axes, own)
    return figure


def smooth(x: Float, y: Float, most: int) -> tuple[Float, Float]:
    """Means of neighbours, so that at most ``most`` points are left: every step counts, none is picked."""
    if len(x) <= most:
        return x, y
    parts = np.array_split(np.arange(len(x)), most)
    return np.array([x[p[-1]] for p in parts]), np.array([y[p].mean() for p in parts])


def _reach(series: Sequence[Series]) -> tuple[float, float]:
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
    return float(banded.min()) - 0.05 * room, float(banded.max()) + 0.05 * room


def heat(rows: Mapping[str, Float], extent: Mapping[str, float], x_label: str) -> Figure:
    """Small pictures, one for each label: columns are time, rows are ``BANDS``, colour is the share of groups.

    Args:
        rows: label -> float64 [len(BANDS), columns]; NaN = nothing was generated then.
        extent: label -> x at its right edge.
    """
    across = 1 if len(rows) == 1 else 2
    down = -(-len(rows) // across)
    figure = sheet(WIDTH, 1.0 + (1.9 if across == 1 else 1.25) * down)
    grid = figure.subplots(down, across, squeeze=False, sharey=True, sharex=True)
    widest = max(extent.values())
    for place, axes in enumerate(grid.flat):
        if place >= len(rows):
            axes.set_visible(False)
            continue
        label = list(rows)[place]
        picture = axes.imshow(
            rows[label],
            aspect="auto",
            origin="lower",
            cmap=SEQUENTIAL,
            vmin=0,
            vmax=1,
            interpolation="nearest",
            extent=(0, extent[label], -0.5, len(BANDS) - 0.5),
        )
        axes.set_xlim(0, widest)
        axes.grid(visible=False)
        ticks = range(len(BANDS)) if len(rows) == 1 else (0, len(BANDS) // 2, len(BANDS) - 1)
        axes.set_yticks(ticks, [BANDS[tick] for tick in ticks])
        _count_axis(axes, "")
        axes.tick_params(labelbottom=True)
        if len(rows) > 1:
            axes.set_title(short(label))
    figure.supxlabel(x_label, fontsize=9)
    bar = figure.colorbar(picture, ax=list(grid.flat), location="top", aspect=40, fraction=0.06, shrink=0.8)
    bar.ax.xaxis.set_major_formatter(PercentFormatter(1, 0))
    bar.set_label("share of the groups of that time", fontsize=8.5)
    return figure


def bars(
    rows: Sequence[str], parts: Mapping[str, Float], x_label: str, colours: Sequence[str], *, percent: bool = False
) -> Figure:
    """Horizontal bars, one a row, made of parts that follow one another."""
    figure = sheet(WIDTH, 1.1 + 0.26 * len(rows) + 0.18 * -(-len(parts) // 3))
    axes = figure.subplots()
    at, left = np.arange(len(rows)), np.zeros(len(rows))
    for place, (name, values) in enumerate(parts.items()):
        hatch = ("", "////", "....", "xxxx")[place // len(colours) % 4]
        colour = colours[place % len(colours)]
        axes.barh(at, values, left=left, label=name, color=colour, height=0.7, hatch=hatch, edgecolor=GRID, linewidth=0)
        left = left + np.nan_to_num(values)
    axes.set_yticks(at, [short(row) for row in rows])
    axes.invert_yaxis()
    axes.grid(visible=False, axis="y")
    _count_axis(axes, x_label)
    if percent:
        axes.xaxis.set_major_formatter(PercentFormatter(1, 0))
    if len(parts) > 1:
        figure.legend(loc="outside upper left", ncols=3, frameon=False, fontsize=8, handlelength=1.2)
    return figure


def matrix(rows: Sequence[str], columns: Sequence[str], values: Float, x_label: str) -> Figure:
    """Ratios [rows, columns] around 1 as coloured cells with their numbers: less than 1 is one colour, more another."""
    figure = sheet(WIDTH, 0.9 + 0.27 * len(rows))
    axes = figure.subplots()
    tilt = np.clip(np.log2(np.clip(values, 0.25, 4)) / 2, -1, 1)
    axes.imshow(tilt, aspect="auto", cmap="PuOr_r", vmin=-1, vmax=1)
    for (i, j), value in np.ndenumerate(values):
        ink = "#ffffff" if abs(tilt[i, j]) > 0.6 else "#000000"  # the cells' colours are the same in both themes
        axes.text(j, i, f"{value:.1f}", ha="center", va="center", fontsize=7.5, color=ink)
    turned = sum(map(len, columns)) > 40
    axes.set_xticks(range(len(columns)), [short(c, 14) for c in columns], rotation=45 if turned else 0)
    if turned:
        for tick in axes.get_xticklabels():
            tick.set(ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(rows)), [short(row) for row in rows])
    axes.set_xlabel(x_label)
    axes.grid(visible=False)
    return figure


@dataclass(frozen=True)
class Dots:
    """One row of a dot plot."""

    label: str
    look: Look
    values: Float
    """Each seed's."""
    mean: float
    low: float = float("nan")
    high: float = float("nan")


def dots(rows: Sequence[Dots], x_label: str, *, zero: bool = False, percent: bool = True) -> Figure:
    """A row each: every seed a dot, the mean a bar, the interval a line. ``zero`` draws the line of no difference."""
    figure = sheet(WIDTH, 0.9 + 0.27 * len(rows))
    axes = figure.subplots()
    for at, row in enumerate(rows):
        axes.plot([row.low, row.high], [at, at], color=row.look.colour, linewidth=2.2, solid_capstyle="butt")
        spread = np.linspace(-0.16, 0.16, len(row.values)) if len(row.values) > 1 else [0]
        marker = row.look.marker or "o"
        axes.plot(row.values, at + np.array(spread), marker, color=row.look.colour, markersize=3.2, alpha=0.75)
        axes.plot([row.mean, row.mean], [at - 0.3, at + 0.3], color=row.look.colour, linewidth=2)
    axes.set_yticks(range(len(rows)), [short(row.label) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    axes.set_xlim(*_reach_of_dots(rows, zero))
    axes.grid(visible=False, axis="y")
    axes.set_xlabel(x_label)
    if percent:
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:g}"))
    if zero:
        axes.axvline(0, color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
    return figure


def _reach_of_dots(rows: Sequence[Dots], zero: bool) -> tuple[float, float]:
    """The x axis that holds all dots; an interval that is much wider than they lie apart leaves it."""
    every = np.concatenate([*(row.values for row in rows), [row.mean for row in rows], [0.0] if zero else []])
    ends = np.array([end for row in rows for end in (row.low, row.high) if np.isfinite(end)])
    low, high = float(np.nanmin(every)), float(np.nanmax(every))
    room = (high - low) or 0.02
    left, right = min([low, *ends]), max([high, *ends])
    return max(left, low - room) - 0.04 * room, min(right, high + room) + 0.04 * room


def reliability(said: Sequence[Series]) -> Figure:
    """Observed against predicted pass rates; a belief that holds lies on the diagonal."""
    figure = sheet(WIDTH, 3.6)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=(0, (4, 2)))
    for s in said:
        marker = s.look.marker or "o"
        axes.plot(s.x, s.y, color=s.look.colour, linestyle=s.look.line, marker=marker, label=short(s.label))
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel="predicted pass rate", ylabel="observed pass rate")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, 0))
    if len(said) > 1:
        figure.legend(loc="outside upper left", ncols=3, frameon=False, fontsize=8)
    return figure


def histogram(series: Sequence[tuple[str, Look, Float]], x_label: str, y_label: str) -> Figure:
    """Shares of tasks by a whole count, as steps, so that several lie over one another; the last bin takes
    what is larger, too."""
    figure = sheet()
    axes = figure.subplots()
    every = np.concatenate([values for _, _, values in series]).astype(int)
    unit = max(1, int(np.gcd.reduce(every)))  # a group at a time: bins between its multiples would stay empty
    top = max(unit, int(np.quantile(every, 0.995)) if every.size else 1)
    width = unit * max(1, -(-top // unit // 24))
    edges = np.arange(-unit / 2, top + width + unit / 2, width)
    for label, look, values in series:
        heights, _ = np.histogram(np.minimum(values, edges[-1] - width / 2), edges)
        kind = {"fill": True, "alpha": 0.35} if len(series) == 1 else {}
        axes.stairs(
            heights / max(1, len(values)), edges, color=look.colour, linestyle=look.line, label=short(label), **kind
        )
    _count_axis(axes, x_label)
    axes.set_xlim(edges[0], edges[-1])
    axes.set_ylabel(y_label)
    _percent(axes)
    if len(series) > 1:
        figure.legend(loc="outside upper left", ncols=3, frameon=False, fontsize=8)
    return figure


def _percent(axes: Axes) -> None:
    low, high = axes.get_ylim()
    axes.yaxis.set_major_formatter(PercentFormatter(1, 0 if high - low > 0.04 else 1))


def _count_axis(axes: Axes, label: str) -> None:
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))


def _thousands(value: float, _: int) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"


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
