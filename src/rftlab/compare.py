"""Arms of finished runs held against a baseline: reads the runs, sorts them, and says what they show.

The verdict is drawn from one endpoint that is fixed beforehand: the area under the accuracy curve per rollout. On 41
samplers with three seeds each the spread of its paired differences over seeds was half of the final accuracy's (0.0043
against 0.0084) and that between arms three quarters (0.0084 against 0.0115): it sees as much with half the seeds.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from rftlab import endpoints, runs, verdict_text
from rftlab.arm_summary import Frame, pairs, summary, with_verdicts
from rftlab.arms import Cell, Split, flat, split
from rftlab.caveats import caveats
from rftlab.comparison import NAN, Arm, Comparison, Endpoint, LeftOut
from rftlab.core import Float, InputError
from rftlab.measured import AXES, REFERENCES, Measured, measure, measure_all
from rftlab.rundir import write_atomic
from rftlab.runs import RunState

POINTS = 61
"""Of a curve, beginning included."""
SAYS: dict[Endpoint, str] = {
    "auc": "the area under the evaluation curve from {low:,.0f} to {high:,.0f} rollouts, divided by its length",
    "final": "accuracy (avg@k) at {high:,.0f} rollouts, interpolated between the evaluations around them",
}
FACTS = ("model.name", "dataset.name", "engine._target_", "eval.samples", "eval.temperature", "eval.limit", "algo.lr")
BUDGET = ("budget.steps", "budget.prompts", "budget.group_size", "budget.rollouts")


def compare(
    folders: Sequence[Path],
    by: Sequence[str] = ("sampler",),
    baseline: str | None = None,
    endpoint: Endpoint = "auc",
    allow_mixed: bool = False,
) -> Comparison:
    """Compares the runs in ``folders`` and below.

    Args:
        by: the keys whose values make an arm; ``sampler`` stands for everything under it.
        baseline: label of the arm that the others are held against; None = ``uniform``.
        endpoint: what the verdict is drawn from.
        allow_mixed: compare runs too that differ in other keys; the result says so in red.

    Raises:
        InputError: no runs, none finished, or no such baseline.
    """
    states = _states(folders)
    found = split(states, by, baseline, allow_mixed)
    measured = _measured(found)
    arms = {label: own for label, own in measured.items() if own}
    frame = _frame(arms, found.baseline, endpoint)
    base = arms[found.baseline]
    summaries = with_verdicts([summary(label, own, base, frame) for label, own in arms.items()])
    ordered = sorted(summaries, key=_place)
    refused = [_left_out(cell, arm, why, differ) for cell, arm, why, differ in found.left_out]
    out = Comparison(
        title=", ".join(dict.fromkeys(_title(cell.state) for own in found.arms.values() for cell in own)),
        folders=[str(folder) for folder in folders],
        by=list(by),
        baseline=found.baseline,
        endpoint=endpoint,
        endpoint_says=SAYS[endpoint].format(low=frame.low, high=frame.high),
        answer=verdict_text.answer(ordered, endpoint, found.baseline),
        common=[frame.low, frame.high],
        seeds=sorted({run.seed for own in arms.values() for run in own}),
        axes=frame.axes,
        grid={axis: points.tolist() for axis, points in frame.grid.items()},
        arms=ordered,
        caveats=caveats(ordered, arms, found, refused),
        unfinished=[_left_out(cell, arm, cell.state.reason or cell.state.state) for cell, arm in found.unfinished],
        refused=refused,
        mixed=bool(found.mixed),
        coverage=coverage(),
        facts=_facts([run for own in arms.values() for run in own]),
    )
    return out


def write(comparison: Comparison, folder: Path, command: str) -> list[Path]:
    """Writes ``compare.json``, ``compare.md`` and the page into ``folder``; returns the three."""
    from rftlab.pages import compare_page

    data, text = comparison.write(folder), folder / "compare.md"
    write_atomic(text, verdict_text.markdown(comparison))
    return [compare_page.write_page(comparison, folder, command), text, data]


def _place(arm: Arm) -> tuple[bool, bool, float, str]:
    """The baseline, then by the paired difference, which the luck of a seed moves least; arms without a pair last."""
    if arm.against is None:
        return False, False, 0.0, arm.label
    difference = arm.against.difference.mean
    return True, np.isnan(difference), -difference, arm.label


def objective(run: Path) -> float:
    """Mean accuracy of one run over its rollouts: the area under its own curve per rollout, for a search over options.

    Raises:
        InputError: the run has no evaluation.
    """
    curve = measure(Cell(runs.read(run), {}, {}, {})).rollouts
    if not len(curve.x):
        raise InputError(f"{run} has no evaluation in metrics.jsonl: no objective")
    return endpoints.value(curve, float(curve.x[0]), float(curve.x[-1]), "auc")


def coverage() -> list[dict[str, float]]:
    """How often the intervals hold by number of seeds, measured by ``scripts/check_statistics.py``."""
    return json.loads((files("rftlab") / "assets" / "coverage.json").read_text(encoding="utf-8"))["rows"]


def _states(folders: Sequence[Path]) -> list[RunState]:
    """The runs of all folders, each once."""
    found = {state.path.resolve(): state for folder in folders for state in runs.find(folder)}
    if not found:
        where = ", ".join(str(folder) for folder in folders)
        raise InputError(f"no run in {where}: give a folder that holds runs, as outputs/NAME")
    return list(found.values())


def _measured(found: Split) -> dict[str, list[Measured]]:
    """The records of every arm's runs; runs without an evaluation leave the arms for ``found.left_out``."""
    cells = [cell for own in found.arms.values() for cell in own]
    by_path = {run.path: run for run in measure_all(cells)}
    out: dict[str, list[Measured]] = {}
    for label, own in found.arms.items():
        out[label] = []
        for cell in own:
            run = by_path[cell.state.path]
            if len(run.rollouts.x):
                out[label].append(run)
            else:
                found.left_out.append((cell, label, "no evaluation in metrics.jsonl", {}))
    if not out[found.baseline]:
        raise InputError(f"no run of the baseline {found.baseline} has an evaluation: run it again, or give --baseline")
    return out


def _frame(arms: dict[str, list[Measured]], baseline: str, endpoint: Endpoint) -> Frame:
    every = [run for own in arms.values() for run in own]
    low, high = endpoints.common_range([run.rollouts for run in every])
    if high < low:
        raise InputError(
            f"no stretch of rollouts was evaluated in every run: one begins at {low:,.0f}, one ends at {high:,.0f}; "
            "compare a folder without it"
        )
    axes = [axis for axis in AXES if axis != REFERENCES or any(run.references for run in every)]
    grid: dict[str, Float] = {}
    for axis in axes:
        ends = [run.x(run.evaluated, axis)[-1] for run in every]
        grid[axis] = np.linspace(0.0, float(max(ends)) or 1.0, POINTS)
    both = {label: pairs(own, arms[baseline]) for label, own in arms.items() if label != baseline}
    needed = {run.path: run for own in both.values() for pair in own for run in pair}
    with ThreadPoolExecutor() as pool:
        items = pool.map(lambda run: run.items(low, high, endpoint), needed.values())
        by_run = dict(zip(needed, items, strict=True))
    tested = sum(len(own) > 1 for own in both.values())
    return Frame(endpoint, low, high, axes, grid, tested, by_run)


def _left_out(cell: Cell, arm: str, why: str, differ: dict[str, list[Any]] | None = None) -> LeftOut:
    s = cell.state
    accuracy = NAN if s.accuracy is None else s.accuracy
    return LeftOut(str(s.path), arm, int(s.seed or 0), s.state, s.step, s.steps or 0, accuracy, why, differ or {})


def _title(state: RunState) -> str:
    config = flat(state.config)
    return f"{config.get('name')}: {config.get('model.name')} on {config.get('dataset.name')}"


def _facts(measured: Sequence[Measured]) -> dict[str, Any]:
    """What all of the runs agree in."""
    states = [run.cell.state for run in measured]
    started = [(state.identity.get("starts") or [{}])[-1] for state in states]
    config = _shared([flat(state.config) for state in states])
    return {
        **{key: config[key] for key in (*FACTS, *BUDGET) if key in config},
        "runs": len(states),
        "versions": _shared([start.get("versions") or {} for start in started]),
        "made": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
    }


def _shared(found: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The items that are in every one of ``found``."""
    first, *others = found
    return {key: value for key, value in first.items() if all(key in o and o[key] == value for o in others)}
