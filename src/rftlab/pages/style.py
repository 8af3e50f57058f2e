"""How figures look: one set of colours for paper and page, light and dark.

The series' colours are Okabe and Ito's ("Color universal design", 2008) without yellow and with orange and sky blue
darkened, so that every one has a contrast of 3:1 on white; black is the baseline's. Line style and marker differ too:
no figure is read by colour alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

INK, GRID, PAPER = "#1b1f24", "#c9ced6", "#fffffe"
"""Text and axes; grid lines; what lies behind. On a page each becomes a CSS variable, and none is used for data."""


class Look(NamedTuple):
    """How one series is drawn."""

    colour: str
    line: Any
    marker: str


BASELINE = Look(INK, "-", "o")
REST = Look("#9aa1ab", "-", "")
"""A series that is only shown as company of the named ones."""
COLOURS = ("#0072b2", "#d55e00", "#008f68", "#c2609a", "#b87d00", "#2f8fcb")
LINES = ("-", (0, (5, 2)), (0, (2, 1.5)))
MARKERS = ("s", "^", "D", "v", "P", "X", "<", ">", "p", "h")
DARK = {
    INK: "#e6e9ee",
    GRID: "#4a525d",
    PAPER: "#15181d",
    REST.colour: "#7d8591",
    "#0072b2": "#4aa8e0",
    "#d55e00": "#f08a3c",
    "#008f68": "#2fc79a",
    "#c2609a": "#e295c3",
    "#b87d00": "#e8b13a",
    "#2f8fcb": "#8ecdf5",
}
"""The same colours on a dark page."""
VARIABLES = {
    INK: "--ink",
    GRID: "--grid",
    PAPER: "--paper",
    REST.colour: "--rest",
    **{c: f"--c{i}" for i, c in enumerate(COLOURS)},
}
"""CSS variable of every colour."""
SEQUENTIAL = "viridis"
"""Colour map of heat maps: rises in lightness, readable in grey."""
NAMED = 10
"""Series that are drawn in colours of their own; more are grey company."""

RC = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 9.5,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": GRID,
    "grid.linewidth": 0.5,
    "lines.linewidth": 1.5,
    "lines.markersize": 4,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    "svg.fonttype": "none",
    "path.simplify": True,
}
WIDTH, HEIGHT = 4.8, 3.1
"""Of a figure, in inches: a column and a half on paper, and still readable when a phone shrinks it to 330 px."""


def look(place: int) -> Look:
    """Of the ``place``-th series that is not the baseline."""
    return Look(COLOURS[place % len(COLOURS)], LINES[place // len(COLOURS) % len(LINES)], MARKERS[place % len(MARKERS)])


def ink_on(colour: Sequence[float]) -> str:
    """Black or white, whichever has more contrast with the colour (sRGB, 0 to 1): never less than 4.58:1.

    Relative luminance as WCAG 2.2 defines it; both inks are as far away at sqrt(1.05 * 0.05) - 0.05.
    """
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3])
    return "#000000" if 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 else "#ffffff"


def css_colours(dark: bool) -> str:
    """The CSS variables of a theme."""
    return " ".join(f"{name}: {DARK[colour] if dark else colour};" for colour, name in VARIABLES.items())
