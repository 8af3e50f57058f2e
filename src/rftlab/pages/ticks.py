"""Ticks that a reader takes in at once: 30k for 30,000, percent for shares."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, MaxNLocator, PercentFormatter


def percent(axes: Axes) -> None:
    """The y axis in percent."""
    low, high = axes.get_ylim()
    axes.yaxis.set_major_formatter(PercentFormatter(1, 0 if high - low > 0.04 else 1))


def counts(axes: Axes, label: str) -> None:
    """The x axis as counts of something, ``label``."""
    axes.set_xlabel(label)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
    axes.xaxis.set_major_formatter(FuncFormatter(_thousands))


def and_more(axes: Axes, at: float) -> None:
    """The last bin of the x axis, which begins at ``at``, as the one that takes everything from there on."""
    low, high = axes.get_xlim()
    others = [place for place in axes.get_xticks() if low <= place < at - 0.12 * (high - low)]
    axes.set_xticks([*others, at], [*(_thousands(place, 0) for place in others), f"≥ {_thousands(at, 0)}"])


def _thousands(value: float, _: int) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:g}{letter}"
    return f"{value:g}"
