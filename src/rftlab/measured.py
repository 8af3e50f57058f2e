"""What a comparison needs of one run, reduced from its records: curves on every axis, means over steps, items."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from rftlab import curves, endpoints
from rftlab.arms import Cell
from rftlab.core import Float
from rftlab.endpoints import Curve

REFERENCES = "rollouts_with_references"
AXES = {
    "rollouts": "ledger/rollouts",
    "tokens": "ledger/tokens",
    "seconds": "ledger/seconds",
    "steps": "step",
    REFERENCES: "ledger/rollouts",
}
"""Axis to the metric that counts it; the last one begins at what the references have cost."""
SHARES = {
    "etr": "group/etr",
    "yield": "group/yield",
    "all_pass": "group/all_pass",
    "all_fail": "group/all_fail",
    "truncated": "completion/truncated",
    "fault": "verdict/fault",
    "underfilled": "sampler/underfilled",
}
BELIEF = ("spearman", "mae", "brier", "calibration_error")
AT_EVALUATIONS = ("eval/accuracy", "panel/spearman", "panel/mae")
"""Metrics of the curves that are straight between measurements."""
AT_STEPS = ("group/etr", "group/yield", "group/all_pass", "group/all_fail", "reward/mean", "completion/tokens_mean")
"""Metrics of the curves that are means over the steps of a stretch."""
PHASES = ("ask", "generate", "verify", "tell", "update", "sync", "eval", "checkpoint")
LEDGER = ("rollouts", "tokens", "seconds", "eval_rollouts", "panel_rollouts", "reference_rollouts")
TENTHS = [f"0.{i}" for i in range(10)]
TRIES = [2**i for i in range(11)]
"""k of pass@k, as the evaluation counts them."""

COLUMNS = list(
    dict.fromkeys(
        ["step", *AT_EVALUATIONS, *AT_STEPS, *SHARES.values(), "step/rollouts", "eval/truncated", "eval/faults"]
        + ["group/generated", "group/trained", "sampler/eligible"]
        + [*(f"ledger/{name}" for name in LEDGER), *(f"time/{phase}" for phase in PHASES)]
        + [f"panel/{name}" for name in BELIEF]
        + [f"panel/tenth_{t}/{what}" for t in TENTHS for what in ("tasks", "said", "got")]
        + [f"eval/pass@{k}" for k in TRIES]
    )
)


Columns = dict[str, Float]
"""By metric, float64 [rows]; NaN = not known."""


@dataclass(frozen=True)
class Measured:
    """One run with its numbers."""

    cell: Cell
    steps: Columns
    """A value a step: axes and ``AT_STEPS``."""
    evaluated: Columns
    """A value an evaluation: all of ``COLUMNS``."""
    means: dict[str, float]
    """Means over steps: ``SHARES``, and seconds by phase summed up."""
    ends: dict[str, float]
    """The last known value of all of ``COLUMNS``, at whatever step; NaN if there is none."""
    generated: float
    """Groups generated for training over the whole run, NaN if not recorded."""
    lost: list[int]
    """Steps that have records of an evaluation and no accuracy."""
    skipped: int
    """Lines that could not be read: of metrics, groups, evaluations and panel."""
    charged: bool
    """The ledger holds every rollout that the steps say they generated."""

    @property
    def path(self) -> Path:
        return self.cell.state.path

    @property
    def seed(self) -> int:
        return int(self.cell.state.seed or 0)

    def last(self, key: str) -> float:
        """The last known value, NaN if there is none."""
        return self.ends[key]

    @property
    def references(self) -> float:
        """Rollouts that the reference rates in use have cost."""
        found = self.last("ledger/reference_rollouts")
        return found if np.isfinite(found) else 0.0

    def x(self, rows: Columns, axis: str) -> Float:
        """What was spent on ``axis``, of ``steps`` or ``evaluated``."""
        values = rows[AXES[axis]]
        return values + self.references if axis == REFERENCES else values

    def curve(self, axis: str, metric: str = "eval/accuracy") -> Curve:
        """A metric at its measurements, by what was spent; repeated x (an axis that stood still) keep the last."""
        x, y = self.x(self.evaluated, axis), self.evaluated[metric]
        known = np.isfinite(x) & np.isfinite(y)
        x, y = x[known], y[known]
        keep = np.append(np.diff(x) > 0, True) if len(x) else np.zeros(0, bool)
        return Curve(x[keep], y[keep])

    @cached_property
    def rollouts(self) -> Curve:
        """Accuracy by rollouts."""
        return self.curve("rollouts")

    def on_grid(self, axis: str, metric: str, grid: Float) -> Float:
        """A metric at the points of ``grid`` [X], NaN where the run is not.

        At evaluations: interpolated. At steps: the mean over the steps that end between two points of the grid, carried
        on straight over points between which no step ended.
        """
        if metric in AT_EVALUATIONS:
            curve = self.curve(axis, metric)
            return curve.at(grid) if len(curve.x) else np.full(len(grid), np.nan)
        x, y = self.x(self.steps, axis), self.steps[metric]
        known = np.isfinite(x) & np.isfinite(y) & (x > grid[0])
        place = np.minimum(np.searchsorted(grid, x[known]), len(grid) - 1)
        count = np.bincount(place, minlength=len(grid))
        total = np.bincount(place, weights=y[known], minlength=len(grid))
        filled = count > 0
        if not filled.any():
            return np.full(len(grid), np.nan)
        return np.interp(grid, grid[filled], total[filled] / count[filled], left=np.nan, right=np.nan)

    def items(self, low: float, high: float, endpoint: str) -> pd.Series:
        """The endpoint of every evaluation task, by its id: its pass rates under the same weights as their mean's."""
        weight = endpoints.weights(self.rollouts.x, low, high, endpoint)
        step_at = dict(zip(self.evaluated[AXES["rollouts"]], self.evaluated["step"], strict=True))
        by_step = {int(step_at[x]): w for x, w in zip(self.rollouts.x, weight, strict=True)}
        rows = curves.evals(self.path, ["step", "task", "wins", "trials"])
        share = rows["step"].map(by_step).fillna(0.0)
        rows, share = rows[share > 0], share[share > 0]
        if set(rows["step"]) != {s for s, w in by_step.items() if w > 0}:
            return pd.Series(dtype=float)  # the records of an evaluation are lost
        rate = rows["wins"] / rows["trials"].where(rows["trials"] > 0)
        return (rate * share).groupby(rows["task"]).sum(min_count=rows["step"].nunique()).dropna()


def measure(cell: Cell) -> Measured:
    """Reads and reduces one run."""
    frame = curves.read(cell.state.path, COLUMNS)
    # arrays: a hundred columns one by one cost pandas a fifth of the time of the whole, and under Python's lock
    of = {name: frame[name].to_numpy(np.float64, copy=True) for name in COLUMNS}
    of["group/etr"][of["group/trained"] == 0] = np.nan  # runs were written that have 0 there
    known = {name: values[~np.isnan(values)] for name, values in of.items()}
    taken = of["step"] > 0
    means = {name: _mean(of[key][taken]) for name, key in SHARES.items()}
    means |= {f"time/{phase}": float(known[f"time/{phase}"].sum()) for phase in PHASES}
    at = ~np.isnan(of["eval/accuracy"]) & ~np.isnan(of["ledger/rollouts"])
    evaluated = {name: values[at] for name, values in of.items()}
    rollouts, charged = known["step/rollouts"].sum(), known["ledger/rollouts"].max(initial=-np.inf)
    generated = known["group/generated"]
    records = [table(cell.state.path, ["step"]) for table in (curves.evals, curves.groups, curves.panel)]
    return Measured(
        cell,
        {name: of[name] for name in (*AXES.values(), *AT_STEPS)},
        evaluated,
        means,
        ends={name: float(values[-1]) if len(values) else np.nan for name, values in known.items()},
        generated=float(generated.sum()) if len(generated) else np.nan,
        lost=sorted({int(step) for step in records[0]["step"].dropna().unique()} - set(evaluated["step"])),
        skipped=sum(int(found.attrs["skipped"]) for found in (frame, *records)),
        charged=not len(known["ledger/rollouts"]) or bool(charged >= rollouts),
    )


def measure_all(cells: Sequence[Cell]) -> list[Measured]:
    """Every run, in order; as many at once as there are processors, as the parsers leave Python's lock."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(measure, cells))


def _mean(values: Float) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else np.nan
