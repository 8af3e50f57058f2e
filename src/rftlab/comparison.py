"""What a comparison says, as data: the content of ``compare.json``. Pages and tables draw from this alone.

Numbers that are not known are NaN here and null in the file. Accuracies, shares and intervals are in [0, 1]. All
intervals hold 95 %, for one arm at a time; ``Against.p_holm`` and the verdict allow for the number of arms.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from rftlab.rundir import write_atomic

NAN = float("nan")
FILE = "compare.json"
FORMAT = 1
"""Raised when a reader of the file has to know of a change."""

Endpoint = Literal["auc", "final"]
Verdict = Literal["better", "worse", "not distinguishable", "no verdict"]
"""``no verdict``: fewer than two paired seeds, or differences that are equal in every seed."""
Severity = Literal["error", "warning", "note"]
"""``error``: shown in red, the comparison is not of like with like. ``note``: good to know."""


@dataclass(frozen=True)
class Estimate:
    """A mean over seeds and its interval (Student's t); ``low`` and ``high`` are NaN with fewer than two seeds."""

    mean: float
    low: float = NAN
    high: float = NAN
    n: int = 0


@dataclass(frozen=True)
class RunPoint:
    """One run: what it ended with, and its evaluations."""

    path: str
    seed: int
    paired: bool
    """The baseline has this seed too."""
    auc: float
    """Mean accuracy over ``Comparison.common``, by rollouts."""
    final: float
    """Accuracy (avg@k) at the end of ``Comparison.common``."""
    steps: int
    rollouts: int
    tokens: int
    seconds: float
    evals: dict[str, list[float]]
    """Equally long lists: the axes of ``Comparison.axes``, and ``accuracy``."""


@dataclass(frozen=True)
class Ttb:
    """Time to baseline on one axis, for one share of the baseline's gain; < 1 is faster. Paired seeds only.

    ``ratio``: of the mean curves, inf (null) when the arm's does not get there. ``restricted`` is the ratio of mean
    times cut at the end of the common range, so that it always exists. ``by_seed`` is the ratio of geometric means, NaN
    unless every run reaches the target.
    """

    axis: str
    share: float
    """Of the gain: 0.5, 0.75 or 1."""
    target: float
    """The accuracy to reach."""
    baseline: float
    """Where the baseline's mean curve reaches it, in units of the axis."""
    arm: float
    ratio: float
    reached: int
    """Paired runs of the arm that reach the target within the common range, of ``runs``."""
    runs: int
    restricted: float
    by_seed: Estimate


@dataclass(frozen=True)
class Against:
    """An arm against the baseline on the primary endpoint, over paired seeds."""

    verdict: Verdict
    difference: Estimate
    """Of the primary endpoint, arm - baseline; Student's t over paired seeds."""
    p: float
    p_holm: float
    detectable: float
    """Minimum detectable difference: what these seeds would find in 80 % of the cases."""
    seeds: list[int]
    by_seed: list[float]
    """The difference in each of ``seeds``."""
    other: Estimate
    """The same difference on the endpoint that is not the primary one; no verdict is drawn from it."""
    bootstrap_seeds: Estimate
    """Percentile bootstrap over seeds: would other seeds say the same? Too narrow with few seeds: ``coverage``."""
    bootstrap_items: Estimate
    """Bootstrap over evaluation tasks: would other tasks say the same of these very runs?"""
    improvement: float
    """Probability that a run of the arm beats a run of the baseline, ties counted half. A description, not a test."""


@dataclass(frozen=True)
class Curve:
    """A metric on ``Comparison.grid[axis]``: mean over seeds and its interval; NaN where not every run is."""

    mean: list[float]
    low: list[float]
    high: list[float]


@dataclass(frozen=True)
class Arm:
    """The runs that agree in the compared axis."""

    label: str
    axis: dict[str, Any]
    """The compared keys and this arm's values."""
    baseline: bool
    runs: list[RunPoint]
    """Finished and not refused, by seed."""
    auc: Estimate
    final: Estimate
    iqm: Estimate
    """Interquartile mean of the primary endpoint, its bootstrap interval over seeds."""
    against: Against | None
    """None for the baseline."""
    ttb: list[Ttb]
    bsf: dict[str, float]
    """Best so far against the baseline's within ``25``, ``50``, ``100`` % of the common range: mean curves of paired
    seeds; NaN without a pair."""
    pass_at: dict[str, Estimate]
    """Unbiased pass@k of the last evaluation, by k."""
    shares: dict[str, Estimate]
    """Means over steps: ``etr``, ``yield``, ``all_pass``, ``all_fail``, ``truncated``, ``fault``, ``underfilled``."""
    belief: dict[str, Estimate]
    """Last panel: ``spearman``, ``mae``, ``brier``, ``calibration_error``; empty for samplers that predict nothing."""
    reliability: list[dict[str, float]]
    """Last panel by tenths of the prediction, over all seeds: ``said``, ``got``, ``tasks``."""
    cost: dict[str, float]
    """Mean of a run: ``rollouts``, ``tokens``, ``seconds``, ``steps``, ``eval_rollouts``, ``panel_rollouts``,
    ``reference_rollouts``, and seconds by phase: ``time/ask`` … ``time/checkpoint``."""
    differences: dict[str, list[Any]]
    """Configuration keys in which the arm differs from the baseline: [the baseline's, its own]; null for none."""
    curves: dict[str, dict[str, Curve]]
    """By axis, then by metric (keys of ``metrics.py``)."""


@dataclass(frozen=True)
class LeftOut:
    """A run that is shown and takes no part: unfinished, unreadable, or not of like with like."""

    path: str
    arm: str
    seed: int
    state: str
    step: int
    steps: int
    accuracy: float
    """The last evaluation's."""
    why: str
    differences: dict[str, list[Any]] = field(default_factory=dict)
    """Refused runs: key -> [the baseline's value, its own]."""


@dataclass(frozen=True)
class Caveat:
    """Something that a reader must know before believing the table."""

    severity: Severity
    code: str
    text: str
    arms: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Comparison:
    """Everything that ``rftlab compare`` has found."""

    title: str
    folders: list[str]
    by: list[str]
    """The compared keys; ``sampler`` stands for everything under it."""
    baseline: str
    """Label of the arm that the others are held against."""
    endpoint: Endpoint
    """The primary endpoint: the only one from which a verdict is drawn."""
    endpoint_says: str
    answer: list[str]
    """The result in plain sentences, the most important first."""
    common: list[float]
    """[from, to] in rollouts: where every finished run has been evaluated."""
    seeds: list[int]
    axes: list[str]
    """``rollouts``, ``tokens``, ``seconds``, ``steps``, and ``rollouts_with_references`` when a sampler reads some."""
    grid: dict[str, list[float]]
    """By axis: where the curves are given."""
    arms: list[Arm]
    """The baseline first, then by the paired difference to it, best first; arms without a pair last."""
    caveats: list[Caveat]
    unfinished: list[LeftOut]
    refused: list[LeftOut]
    mixed: bool
    """``--allow-mixed``: runs are compared that differ in more than the compared axis."""
    coverage: list[dict[str, float]]
    """How often the intervals hold, by number of seeds (``assets/coverage.json``)."""
    facts: dict[str, Any]
    """What all runs share of model, dataset, evaluation, budget and versions."""
    format: int = FORMAT

    def arm(self, label: str) -> Arm:
        return next(arm for arm in self.arms if arm.label == label)

    def write(self, folder: Path) -> Path:
        """Writes ``compare.json`` into ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(folder / FILE, json.dumps(_plain(asdict(self)), ensure_ascii=False, allow_nan=False) + "\n")
        return folder / FILE


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity: null stands for both. Six digits are more than any seed allows."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
