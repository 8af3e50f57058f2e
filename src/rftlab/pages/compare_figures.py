"""The figures of a comparison's page, drawn from ``Comparison`` alone."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.figure import Figure

from rftlab.comparison import Arm, Comparison
from rftlab.measured import AT_EVALUATIONS
from rftlab.pages import charts, lines
from rftlab.pages.charts import Dots
from rftlab.pages.lines import Series
from rftlab.pages.sheets import Sheets
from rftlab.pages.style import BASELINE, COLOURS, NAMED, REST, Look, look
from rftlab.pages.words import LABELS, interval, known, number, points, share

ENDPOINTS = {"auc": "mean accuracy over the run", "final": "accuracy at the end"}
COURSES = {
    "eval/accuracy": ("accuracy", "Accuracy", "evaluation accuracy"),
    "group/etr": ("etr", "Effective task ratio (ETR)", "share of trained groups"),
    "group/all_pass": ("all-right", "Groups all right", "share of generated groups"),
    "group/all_fail": ("all-wrong", "Groups all wrong", "share of generated groups"),
    "panel/spearman": ("spearman", "Rank correlation of beliefs", "Spearman's rank correlation"),
    "completion/tokens_mean": ("length", "Length of completions", "tokens"),
}
"""Metric -> name of the figure, title, label of the y axis."""
POINTS = 21
"""Of a curve of step metrics, and of the grey company."""
MOST = 60
"""Most rows of a picture with a row an arm."""


def looks(comparison: Comparison) -> dict[str, Look]:
    """How each arm is drawn: the baseline black, the best of the others in colours, the rest grey."""
    found, place = {}, 0
    for arm in comparison.arms:
        if arm.baseline:
            found[arm.label] = BASELINE
        else:
            found[arm.label] = look(place) if place < NAMED - 1 else REST
            place += 1
    return found


def named(comparison: Comparison) -> list[Arm]:
    """The arms that have a look of their own."""
    by = looks(comparison)
    return [arm for arm in comparison.arms if by[arm.label] is not REST]


def draw(comparison: Comparison, sheets: Sheets) -> None:
    """All pictures for which there are numbers."""
    _differences(comparison, sheets)
    _seeds(comparison, sheets)
    for metric in COURSES:
        _course(comparison, metric, sheets)
    _groups(comparison, sheets)
    _reliability(comparison, sheets)
    _costs(comparison, sheets)


def _differences(comparison: Comparison, sheets: Sheets) -> None:
    rows = [arm for arm in comparison.arms if arm.against and known(arm.against.difference.mean)][:MOST]
    if not rows:
        return
    by = looks(comparison)
    dots = [
        Dots(a.label, _dark(by[a.label]), np.array(a.against.by_seed), d.mean, d.low, d.high)
        for a in rows
        if a.against and (d := a.against.difference)
    ]
    what = ENDPOINTS[comparison.endpoint]
    figure = charts.dots(dots, f"points against {comparison.baseline}", zero=True)
    says = "; ".join(f"{dot.label} {points(dot.mean)} ({interval(dot.low, dot.high)})" for dot in dots)
    alt = f"Dot plot of differences from {comparison.baseline} in {what}, in points, with 95 % intervals: {says}."
    caption = (
        "A dot a seed, the bar their mean, the line the 95 % interval of the paired difference; "
        "intervals are for one arm at a time, not adjusted for the number of arms."
    )
    sheets.add("differences", f"Difference in {what}", alt, figure, caption)


def _seeds(comparison: Comparison, sheets: Sheets) -> None:
    rows, by = [arm for arm in comparison.arms if arm.runs][:MOST], looks(comparison)
    if not rows:
        return
    dots = []
    for arm in rows:
        estimate = getattr(arm, comparison.endpoint)
        values = np.array([getattr(run, comparison.endpoint) for run in arm.runs])
        dots.append(Dots(arm.label, _dark(by[arm.label]), values, estimate.mean, estimate.low, estimate.high))
    what = ENDPOINTS[comparison.endpoint]
    says = "; ".join(f"{dot.label} {share(dot.mean)} from {len(dot.values)} seeds" for dot in dots)
    figure = charts.dots(dots, f"{what}, percent")
    caption = "A dot a seed, the bar their mean, the line the 95 % interval of an arm by itself, seeds unpaired."
    sheets.add("seeds", f"Every seed: {what}", f"Dot plot of {what}: {says}.", figure, caption)


def _course(comparison: Comparison, metric: str, sheets: Sheets) -> None:
    name, title, label = COURSES[metric]
    by, percent = looks(comparison), metric not in ("panel/spearman", "completion/tokens_mean")

    def series(axis: str) -> list[Series]:
        grid = np.array(comparison.grid[axis], float)
        found = []
        for arm in comparison.arms:
            curve = arm.curves.get(axis, {}).get(metric)
            if curve is None:
                continue
            mean, low, high = (np.array(edge, float) for edge in (curve.mean, curve.low, curve.high))
            there = np.isfinite(mean)
            x, y = grid[there], mean[there]
            if metric not in AT_EVALUATIONS:  # a value a step, and noisy
                low = lines.smooth(x, low[there], POINTS)[1]
                high = lines.smooth(x, high[there], POINTS)[1]
                x, y = lines.smooth(x, y, POINTS)
            else:
                low, high = low[there], high[there]
            if by[arm.label] is REST:
                x, y = lines.smooth(x, y, POINTS)
            if len(x):
                found.append(Series(arm.label, by[arm.label], x, y, low, high))
        return found

    drawn = {axis: found for axis in sheets.axes if (found := series(axis))}
    if len(drawn) < len(sheets.axes):
        return

    def one(axis: str) -> Figure:
        return lines.curves(drawn[axis], LABELS[axis], label, percent=percent)

    say = share if percent else lambda value: number(value, 2)
    own = [s for s in drawn[sheets.axes[0]] if s.look is not REST]
    ends = "; ".join(f"{s.label} {say(float(s.y[-1]))}" for s in own)
    caption = "Mean over seeds; the band is its 95 % interval at each point by itself."
    if len(own) > lines.BANDED:
        caption += f" Only those of {own[0].label} and {own[1].label} are drawn."
    if any(s.look is REST for s in drawn[sheets.axes[0]]):
        caption += (
            f" In colour the baseline and the best {NAMED - 1} of {len(comparison.arms) - 1} others; grey the rest."
        )
    sheets.switchable(name, title, f"Curves of {label} by arm; they end at: {ends}.", one, caption)


def _groups(comparison: Comparison, sheets: Sheets) -> None:
    rows = [arm for arm in comparison.arms if {"all_pass", "all_fail"} <= arm.shares.keys()][:MOST]
    if not rows:
        return
    right = np.array([arm.shares["all_pass"].mean for arm in rows])
    wrong = np.array([arm.shares["all_fail"].mean for arm in rows])
    parts = {"mixed": 1 - right - wrong, "all right": right, "all wrong": wrong}
    figure = charts.bars([arm.label for arm in rows], parts, "share of the generated groups", COLOURS, percent=True)
    says = "; ".join(f"{a.label} {share(m)} mixed" for a, m in zip(rows, parts["mixed"], strict=True))
    caption = "Only a mixed group has an advantage to learn from. Rejected groups count: they cost rollouts, too."
    sheets.add("groups", "Generated groups by outcome", f"Bars by arm: {says}.", figure, caption)


def _reliability(comparison: Comparison, sheets: Sheets) -> None:
    by = looks(comparison)
    said = [
        Series(
            arm.label,
            by[arm.label],
            np.array([tenth["said"] for tenth in arm.reliability]),
            np.array([tenth["got"] for tenth in arm.reliability]),
        )
        for arm in named(comparison)
        if arm.reliability
    ]
    if not said:
        return
    errors = "; ".join(
        f"{arm.label} {share(arm.belief['calibration_error'].mean)}"
        for arm in named(comparison)
        if "calibration_error" in arm.belief
    )
    caption = (
        "Predicted against observed pass rates at the last reading of a fixed random panel, by tenths, all seeds. "
        f"Mean error over tenths: {errors}."
    )
    figure = charts.reliability(said)
    sheets.add("reliability", "Do their beliefs hold?", f"Reliability diagram. Mean errors: {errors}.", figure, caption)


SPENT = {
    "rollouts": "training",
    "eval_rollouts": "evaluation",
    "panel_rollouts": "panel",
    "reference_rollouts": "references",
}


def _costs(comparison: Comparison, sheets: Sheets) -> None:
    phases = {key: key.removeprefix("time/") for arm in comparison.arms for key in arm.cost if key.startswith("time/")}
    _cost(comparison, sheets, "time", "Where the time went", phases, "seconds a run")
    _cost(comparison, sheets, "beside", "Rollouts, the ledger's and those beside it", SPENT, "rollouts a run")


def _cost(comparison: Comparison, sheets: Sheets, name: str, title: str, keys: Mapping[str, str], label: str) -> None:
    rows = comparison.arms[:MOST]
    parts = {text: np.array([arm.cost.get(key, 0.0) for arm in rows], float) for key, text in keys.items()}
    parts = {text: values for text, values in parts.items() if np.nansum(values) > 0.005 * _total(parts)}
    if not parts:
        return
    says = "; ".join(f"{text} {number(float(np.nanmean(values)))}" for text, values in parts.items())
    figure = charts.bars([arm.label for arm in rows], parts, label, COLOURS)
    sheets.add(
        f"cost-{name}", title, f"Bars by arm of {label}; means over arms: {says}.", figure, f"Means over arms: {says}."
    )


def _total(parts: Mapping[str, np.ndarray]) -> float:
    return float(sum(np.nansum(values) for values in parts.values()))


def _dark(one: Look) -> Look:
    """Rows are named at their side: company need not be pale there."""
    return Look(COLOURS[0], "-", "o") if one is REST else one
