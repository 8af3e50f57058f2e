"""Numbers as words of a page: points, shares, counts, durations."""

from __future__ import annotations

import math
from typing import Any

AXES = {
    "rollouts": ("ledger/rollouts", "rollouts generated for training"),
    "tokens": ("ledger/tokens", "completion tokens generated for training"),
    "seconds": ("ledger/seconds", "seconds of training"),
    "steps": ("step", "optimisation steps"),
}
"""What a curve can be drawn against: key in ``metrics.jsonl`` and label; the first is the one shown first."""
WITH_REFERENCES = "rollouts_with_references"
"""An axis of comparisons only: the references' cost is added at the start."""
LABELS = {axis: label for axis, (_, label) in AXES.items()} | {
    WITH_REFERENCES: "rollouts generated, references' included"
}
NAMES = {axis: axis for axis in AXES} | {WITH_REFERENCES: "rollouts and references"}
"""Of the choices of a switch."""
MINUS = "\N{MINUS SIGN}"


def known(value: Any) -> bool:
    """Whether it is a number, and a finite one."""
    return isinstance(value, int | float) and math.isfinite(value)


def share(value: Any, digits: int = 1) -> str:
    """0.316 as 31.6 %."""
    return f"{100 * value:.{digits}f} %".replace("-", MINUS) if known(value) else "unknown"


def points(value: Any, digits: int = 1) -> str:
    """A difference of shares as signed percentage points: 0.009 as +0.9."""
    if not known(value):
        return "unknown"
    text = f"{100 * value:+.{digits}f}"
    return f"{0:.{digits}f}" if not float(text) else text.replace("-", MINUS)


def count(value: Any) -> str:
    """30720 as 30,720."""
    return f"{value:,.0f}".replace("-", MINUS) if known(value) else "unknown"


def number(value: Any, digits: int = 3) -> str:
    """Three significant digits, thousands apart."""
    if not known(value):
        return "unknown"
    if value and abs(value) < 10**-digits:
        return f"{value:.1e}".replace("-", MINUS)
    text = f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.{digits}g}"
    return text.replace("-", MINUS)


def duration(seconds: Any) -> str:
    """As the terminal says it."""
    from rftlab.terminal import duration as told

    return told(seconds) if known(seconds) else "unknown"


def interval(low: Any, high: Any) -> str:
    """A 95 % interval of a difference of shares, in points."""
    return f"{points(low)} to {points(high)}" if known(low) and known(high) else "unknown"


def short(text: str, most: int = 22) -> str:
    """A label that fits beside a curve."""
    return text if len(text) <= most else text[: most - 1] + "…"
