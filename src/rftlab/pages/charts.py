"""Every kind of picture but curves: heat maps, bars, dots, reliability, histograms. Numbers in, a figure out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from rftlab.core import Float
from rftlab.pages import ticks
from rftlab.pages.figure import sheet
from rftlab.pages.lines import Series
from rftlab.pages.style import GRID, INK, SEQUENTIAL, WIDTH, Look, ink_on
from rftlab.pages.words import MINUS, short

BANDS = ("none", "under 20 %", "20–40 %", "40–60 %", "60–80 %", "over 80 %", "all")
"""Pass rates of a group as rows of a heat map."""


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
        shown = range(len(BANDS)) if len(rows) == 1 else (0, len(BANDS) // 2, len(BANDS) - 1)
        axes.set_yticks(shown, [BANDS[band] for band in shown])
        ticks.counts(axes, "")
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
    ticks.counts(axes, x_label)
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
    sides = (np.arange(size + 1) - 0.5 for size in reversed(values.shape))
    cells = axes.pcolormesh(*sides, tilt, cmap="PuOr_r", vmin=-1, vmax=1, edgecolors="face", linewidth=0.3)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    for (i, j), value in np.ndenumerate(values):
        ink = ink_on(cells.to_rgba(tilt[i, j]))  # the cells' colours are the same in both themes
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
    figure = sheet(WIDTH, 0.9 + 0.15 * x_label.count("\n") + 0.27 * len(rows))
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
        axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{100 * v:g}".replace("-", MINUS)))
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
    """Shares of tasks by a whole count, as steps, so that several lie over one another; a bin begins at the least count
    that it holds, and the last one takes what is larger, too, and then says so: "≥ N"."""
    figure = sheet()
    axes = figure.subplots()
    every = np.concatenate([values for _, _, values in series]).astype(int)
    unit = max(1, int(np.gcd.reduce(every)))  # a group at a time: bins between its multiples would stay empty
    top = max(unit, int(np.quantile(every, 0.995)) if every.size else 1)
    width = unit * max(1, -(-top // unit // 24))
    edges = np.arange(0, top + width + 1, width)
    for label, look, values in series:
        heights, _ = np.histogram(np.minimum(values, edges[-2]), edges)
        kind = {"fill": True, "alpha": 0.35} if len(series) == 1 else {}
        axes.stairs(
            heights / max(1, len(values)), edges, color=look.colour, linestyle=look.line, label=short(label), **kind
        )
    ticks.counts(axes, x_label)
    axes.set_xlim(edges[0], edges[-1])
    if every.size and every.max() >= edges[-1]:
        ticks.and_more(axes, edges[-2])
    axes.set_ylabel(y_label)
    ticks.percent(axes)
    if len(series) > 1:
        figure.legend(loc="outside upper left", ncols=3, frameon=False, fontsize=8)
    return figure
