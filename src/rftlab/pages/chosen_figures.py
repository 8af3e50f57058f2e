"""What the arms of a comparison chose, drawn from the runs' groups: the one part of the page that reads runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rftlab import curves
from rftlab.comparison import Comparison
from rftlab.core import InputError, TaskPool
from rftlab.pages import charts
from rftlab.pages.compare_figures import looks, named
from rftlab.pages.record import load, pool_of
from rftlab.pages.selection import Chosen, chosen, pool_shares
from rftlab.pages.sheets import Sheets
from rftlab.pages.style import COLOURS
from rftlab.pages.words import LABELS, count, number, share

SEEDS = 3
"""Runs of an arm whose groups are read: they are the bulk of a record, and differ little between seeds."""
EVEN = 0.1
"""Ratios closer together than this: no kind is preferred."""
GROUPS = ["step", "index", "purpose", "rollouts", "wins", "trials", "trained"]
LEDGER = ["step", "ledger/rollouts"]


def read(comparison: Comparison) -> tuple[dict[str, Chosen], dict[str, dict[str, float]], TaskPool | None]:
    """By label, of the arms that have a look of their own: what was chosen, and the rollouts of a run by their fate.

    And the tasks that they chose from, if the data set is here.
    """
    pool = _pool(comparison)
    picked, fates = {}, {}
    for arm in named(comparison):
        paths = [Path(run.path) for run in arm.runs[:SEEDS]]
        groups = [curves.groups(path, GROUPS) for path in paths]
        if not any(len(g) for g in groups):
            continue
        picked[arm.label] = chosen(groups, [curves.read(path, LEDGER) for path in paths], pool)
        probes = float(np.mean([g.loc[g["purpose"] == "probe", "rollouts"].sum() for g in groups]))
        trained = float(np.mean([g.loc[g["trained"].astype(bool), "rollouts"].sum() for g in groups]))
        total = float(np.mean([g["rollouts"].sum() for g in groups]))
        fates[arm.label] = {"trained on": trained, "rejected": max(0.0, total - probes - trained), "probes": probes}
    return picked, fates, pool


def _pool(comparison: Comparison) -> TaskPool | None:
    runs = [run for arm in comparison.arms for run in arm.runs]
    try:
        return pool_of(load(Path(runs[0].path))) if runs else None
    except InputError:  # the run's directory has gone since
        return None


def draw(
    comparison: Comparison,
    picked: Mapping[str, Chosen],
    fates: Mapping[str, Mapping[str, float]],
    pool: TaskPool | None,
    sheets: Sheets,
) -> None:
    """All pictures for which there are numbers."""
    if not picked:
        return
    by = looks(comparison)
    note = f"Up to {SEEDS} seeds an arm."
    heats = {label: one.heat for label, one in picked.items()}
    figure = charts.heat(heats, {label: one.reach for label, one in picked.items()}, LABELS["rollouts"])
    flat = "; ".join(
        f"{label} {share(float(np.nanmean(h[0])), 0)} none right, {share(float(np.nanmean(h[-1])), 0)} all right"
        for label, h in heats.items()
    )
    alt = f"Heat maps of the pass rates of generated groups over rollouts, one for each arm. On average: {flat}."
    sheets.add("chosen", "Pass rates of what was chosen", alt, figure, f"All groups generated for training. {note}")
    says = "; ".join(
        f"{label}: Gini {number(one.gini, 2)}, {share(one.untouched, 0)} never taken" for label, one in picked.items()
    )
    rows = [(label, by[label], one.per_task.ravel()) for label, one in picked.items()]
    figure = charts.histogram(rows, "rollouts of a task in a run", "share of tasks")
    sheets.add("per-task", "Rollouts per task", f"Histograms by arm. {says}.", figure, f"{says}. {note}")
    parts = {name: np.array([fate[name] for fate in fates.values()]) for name in ("trained on", "rejected", "probes")}
    parts = {name: values for name, values in parts.items() if values.any()}
    figure = charts.bars(list(fates), parts, "rollouts a run", COLOURS)
    told = "; ".join(f"{label} {count(fate['trained on'])} trained on" for label, fate in fates.items())
    caption = f"All of them are charged to the arm. {note}"
    sheets.add("cost-rollouts", "What became of the training rollouts", f"Bars by arm: {told}.", figure, caption)
    for kind, fair in pool_shares(pool).items():
        _kinds(kind, {label: one.by_kind.get(kind, {}) for label, one in picked.items()}, fair, sheets)


def _kinds(kind: str, mine: Mapping[str, Mapping[str, float]], fair: Mapping[str, float], sheets: Sheets) -> None:
    rows = {label: shares for label, shares in mine.items() if shares}
    if not rows or len(fair) > 30:
        return
    names = sorted(fair, key=lambda name: -fair[name])[:12] if kind == "category" else list(fair)
    table = np.array([[shares[name] / fair[name] for name in names] for shares in rows.values()])
    lines = dict(zip(rows, table, strict=True))
    says = "; ".join(
        f"{label} most of all {names[int(np.argmax(line))]}" if np.ptp(line) >= EVEN else f"{label} all alike"
        for label, line in lines.items()
    )
    figure = charts.matrix(list(rows), names, table, kind)
    caption = f"Rollouts over the pool's share of a {kind}: 1 is what a uniform choice takes. {says}."
    title = "Which categories were visited" if kind == "category" else "Which levels were visited"
    sheets.add(f"by-{kind}", title, f"Table of colours by arm and {kind}. {says}.", figure, caption)
