"""The figures of one run's page."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from matplotlib.figure import Figure

from rftlab.core import TaskPool
from rftlab.pages import charts, lines
from rftlab.pages.cost import PURPOSES, rollouts_by_purpose, seconds_by_phase
from rftlab.pages.lines import Series
from rftlab.pages.record import Record
from rftlab.pages.selection import Chosen, pool_shares
from rftlab.pages.sheets import Sheets
from rftlab.pages.style import BASELINE, COLOURS, look
from rftlab.pages.words import AXES, count, number, share


def draw(record: Record, picked: Chosen, pool: TaskPool | None, sheets: Sheets) -> None:
    """All pictures for which the run has numbers."""
    _accuracy(record, sheets)
    _lines(record, sheets, "etr", "Groups with something to learn from", ETR, "share of groups")
    _lines(record, sheets, "reward", "Reward and truncation", REWARD, "share")
    _chosen(record, picked, pool, sheets)
    _strata(record, sheets)
    _belief(record, sheets)
    _cost(record, sheets)


ETR = {
    "group/etr": "effective (ETR)",
    "group/yield": "mixed (generated)",
    "group/all_pass": "all right",
    "group/all_fail": "all wrong",
}
STEPS = 60
"""Points of a curve that has one a step."""
REWARD = {"reward/mean": "mean reward", "completion/truncated": "truncated"}


def _accuracy(record: Record, sheets: Sheets) -> None:
    start, end = record.known("eval/accuracy")[:1], record.known("eval/accuracy")[-1:]
    if not len(end):
        return

    def one(axis: str) -> Figure:
        x, y = record.against(axis, "eval/accuracy")
        _, error = record.against(axis, "eval/accuracy_se")
        band = (y - error, y + error) if len(error) == len(y) else (None, None)
        return lines.curves([Series("accuracy", look(0), x, y, *band)], AXES[axis][1], "evaluation accuracy")

    times = len(record.known("eval/accuracy"))
    alt = f"Curve of evaluation accuracy: from {share(start[0])} to {share(end[0])} in {times} evaluations."
    sheets.switchable("accuracy", "Accuracy", alt, one, "The band is one standard error over evaluation tasks.")


def _lines(record: Record, sheets: Sheets, name: str, title: str, keys: Mapping[str, str], label: str) -> None:
    there = {key: text for key, text in keys.items() if len(record.known(key))}
    if not there:
        return

    def one(axis: str) -> Figure:
        series = [
            Series(text, BASELINE if i == 0 else look(i - 1), *lines.smooth(*record.against(axis, key), STEPS))
            for i, (key, text) in enumerate(there.items())
        ]
        return lines.curves(series, AXES[axis][1], label)

    means = ", ".join(f"{text} {share(float(record.known(key).mean()))}" for key, text in there.items())
    sheets.switchable(name, title, f"Curves over the run; means: {means}.", one, f"Means over the run: {means}.")


def _chosen(record: Record, picked: Chosen, pool: TaskPool | None, sheets: Sheets) -> None:
    if not picked.per_task.size:
        return
    flat = picked.heat[[0, -1]]
    alt = (
        f"Heat map of the pass rates of generated groups over rollouts. On average {share(float(np.nanmean(flat[0])))} "
        f"of the groups had no right answer and {share(float(np.nanmean(flat[1])))} had only right ones."
    )
    figure = charts.heat({record.sampler: picked.heat}, {record.sampler: picked.reach}, AXES["rollouts"][1])
    sheets.add("chosen", "Pass rates of what was chosen", alt, figure, "Everything generated for training counts.")
    counts = picked.per_task.ravel()
    says = (
        f"Gini {number(picked.gini, 2)}; of {count(len(counts))} tasks {share(picked.untouched)} were never taken; the "
        f"most taken got {count(counts.max())} rollouts."
    )
    figure = charts.histogram([(record.sampler, look(0), counts)], "rollouts of a task", "share of tasks")
    sheets.add("per-task", "Rollouts per task", f"Histogram of training rollouts per task. {says}", figure, says)
    for kind, shares in picked.by_kind.items():
        mine, theirs = np.array(list(shares.values())), np.array(list(pool_shares(pool)[kind].values()))
        dots = [
            charts.Dots(name, look(0), np.array([a]), a, min(a, b), max(a, b))
            for name, a, b in zip(shares, mine, theirs, strict=True)
        ]
        figure = charts.dots(dots, "share of training rollouts, percent\nthe line leads to its share of the pool")
        most = max(shares, key=lambda name: shares[name])
        fair = float(theirs[list(shares).index(most)])
        says = f"Most rollouts went to {kind} {most}: {share(shares[most])}, against {share(fair)} of the pool."
        sheets.add(f"by-{kind}", f"Which {KINDS[kind]} were visited", says, figure, says)


KINDS = {"category": "categories", "level": "levels"}


def _strata(record: Record, sheets: Sheets) -> None:
    for kind in KINDS:
        keys = record.keys(f"eval/by_{kind}/")
        if not keys or len(keys) > 30:
            continue
        first = [float(record.known(key)[0]) for key in keys]
        last = [record.last(key) for key in keys]
        names = [key.rsplit("/", 1)[1] for key in keys]
        rows = [
            charts.Dots(name, look(0), np.array([b]), b, a, b) for name, a, b in zip(names, first, last, strict=True)
        ]
        figure = charts.dots(rows, "accuracy, percent\nthe line leads from the first to the last evaluation")
        gains = {name: b - a for name, a, b in zip(names, first, last, strict=True)}
        top = max(gains, key=lambda name: gains[name])
        says = f"The largest gain: {kind} {top}, {share(first[names.index(top)])} to {share(last[names.index(top)])}."
        sheets.add(f"eval-by-{kind}", f"Accuracy by {kind}", says, figure, says)


def tenths(record: Record) -> Series:
    """Predicted against observed pass rates by tenths of predictions, all panel readings together."""
    said: list[float] = []
    got: list[float] = []
    for tenth in range(10):
        base = f"panel/tenth_{tenth / 10:.1f}"
        weight = np.nan_to_num(record.column(f"{base}/tasks"))
        if weight.sum():
            said.append(float(np.nansum(record.column(f"{base}/said") * weight) / weight.sum()))
            got.append(float(np.nansum(record.column(f"{base}/got") * weight) / weight.sum()))
    return Series(record.sampler, look(0), np.array(said), np.array(got))


def _belief(record: Record, sheets: Sheets) -> None:
    points = tenths(record)
    if not len(points.x):
        return
    error = record.last("panel/calibration_error")
    alt = f"Reliability diagram on the fixed panel. At the last reading tenths were off by {share(error)}, the mean."
    sheets.add("reliability", "Do its beliefs hold?", alt, charts.reliability([points]), RELIABILITY)
    if len(record.known("panel/spearman")) > 1:

        def one(axis: str) -> Figure:
            series = [Series("panel", look(0), *record.against(axis, "panel/spearman"))]
            return lines.curves(series, AXES[axis][1], "Spearman's rank correlation", percent=False)

        end = number(record.last("panel/spearman"), 2)
        alt = f"Curve of the rank correlation of predicted and observed pass rates on the panel; it ends at {end}."
        sheets.switchable("spearman", "Rank correlation of its beliefs", alt, one, f"At the end: {end}.")


RELIABILITY = (
    "Predicted against observed pass rates on a fixed random panel of training tasks, all readings together. On the "
    "dashed line belief and outcome agree."
)


def _cost(record: Record, sheets: Sheets) -> None:
    spent = rollouts_by_purpose(record.metrics, record.groups)
    _split(sheets, "rollouts", "Where the rollouts went", spent, "rollouts", count)
    _split(sheets, "time", "Where the time went", seconds_by_phase(record.metrics), "seconds", number)


def _split(
    sheets: Sheets, name: str, title: str, parts: Mapping[str, float], unit: str, say: Callable[[float], str]
) -> None:
    parts = {key: value for key, value in parts.items() if value > 0}
    if not parts:
        return
    total = sum(parts.values())
    figure = charts.bars(list(parts), {unit: np.array(list(parts.values()))}, unit, COLOURS)
    says = ", ".join(f"{key} {say(value)} ({share(value / total, 0)})" for key, value in parts.items())
    note = PURPOSES if name == "rollouts" else ""
    sheets.add(f"cost-{name}", title, f"Bars of {unit}: {says}.", figure, f"{says}. {note}".strip())
