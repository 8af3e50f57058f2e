"""The tables of a comparison's page and of its Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rftlab.comparison import Arm, Comparison, Estimate, LeftOut, Ttb
from rftlab.pages.html import Table
from rftlab.pages.style import NAMED
from rftlab.pages.words import LABELS, count, interval, known, number, points, share
from rftlab.verdict_text import reached_at, seeds

NONE = "–"
RUNS = 600
"""Most rows of the table of runs."""


def results(comparison: Comparison) -> Table:
    """The table that answers."""
    heads = ["arm", "seeds", "AUC", "final", "difference", "95 % interval", "verdict", "p", "p (Holm)", "detectable"]
    rows = []
    for arm in comparison.arms:
        row = [arm.label, seeds(arm), _share(arm.auc.mean), _share(arm.final.mean)]
        if (found := arm.against) is None:
            row += [NONE, NONE, "baseline", NONE, NONE, NONE]
        else:
            d = found.difference
            row += [_points(d.mean), _interval(d), found.verdict, _p(found.p), _p(found.p_holm)]
            row += [_points(found.detectable).lstrip("+")]
        rows.append(row)
    what = "AUC" if comparison.endpoint == "auc" else "final accuracy"
    caption = f"Results; difference, verdict and detectable difference are of the {what}, in points"
    return Table(caption, heads, rows, frozenset(range(1, 10)) - {6})


def speed(comparison: Comparison) -> Table:
    """Time to baseline on rollouts and best so far."""
    heads = ["arm", *(f"TTB({p})" for p in (50, 75, 100)), "runs that reach it", "restricted", "by seed"]
    heads += [f"BSF({p})" for p in (25, 50, 100)]
    rows = []
    for arm in comparison.arms:
        if arm.baseline:
            continue
        by_share = {round(100 * t.share): t for t in arm.ttb if t.axis == "rollouts"}
        full = by_share.get(100)
        rows.append(
            [
                arm.label,
                *(reached_at(by_share[p].ratio) if p in by_share else NONE for p in (50, 75, 100)),
                f"{full.reached} of {full.runs}" if full else NONE,
                _ratio(full.restricted) if full else NONE,
                _ratio(full.by_seed.mean) if full else NONE,
                *(_ratio(arm.bsf.get(str(p), float("nan"))) for p in (25, 50, 100)),
            ]
        )
    return Table("Speed against the baseline, by rollouts", heads, rows, frozenset(range(1, len(heads))))


def ttb_by_axis(comparison: Comparison) -> Table:
    """Every axis and share."""

    def cells(arm: Arm, t: Ttb) -> list[str]:
        at = [arm.label, LABELS.get(t.axis, t.axis), share(t.share, 0), share(t.target)]
        return [
            *at,
            _count(t.baseline),
            _count(t.arm),
            reached_at(t.ratio),
            f"{t.reached} of {t.runs}",
            _ratio(t.restricted),
        ]

    arms = comparison.arms[:NAMED]
    rows = [cells(arm, t) for arm in arms for t in arm.ttb]
    heads = [
        "arm",
        "axis",
        "of the gain",
        "target",
        "baseline at",
        "arm at",
        "ratio",
        "runs that reach it",
        "restricted",
    ]
    best = f", the best {NAMED - 1} arms; compare.json has all" if len(comparison.arms) > NAMED else ""
    return Table(f"Time to baseline on every axis{best}", heads, rows, frozenset(range(2, len(heads))))


def doubt(comparison: Comparison) -> Table:
    """The other ways to look at the same difference."""
    heads = ["arm", "IQM", "other endpoint", "bootstrap over seeds", "bootstrap over tasks", "P(improvement)"]
    rows = []
    for arm in comparison.arms:
        row = [arm.label, f"{_share(arm.iqm.mean)} ({_shares(arm.iqm)})"]
        if (found := arm.against) is None:
            row += [NONE] * 4
        else:
            row += [f"{_points(found.other.mean)} ({_interval(found.other)})"]
            row += [_interval(found.bootstrap_seeds), _interval(found.bootstrap_items), _share(found.improvement, 0)]
        rows.append(row)
    return Table("Beside the verdict; differences in points", heads, rows, frozenset(range(1, 6)))


def shares(comparison: Comparison) -> Table:
    """Groups and beliefs; means over the steps of a run, then over seeds."""
    keys = {"etr": "ETR", "yield": "mixed (generated)", "all_pass": "all right", "all_fail": "all wrong"}
    keys |= {"truncated": "truncated", "fault": "faults", "underfilled": "underfilled steps"}
    heads = ["arm", *keys.values(), "rank correlation", "calibration error"]
    rows = [
        [
            arm.label,
            *(_share(arm.shares[key].mean) if key in arm.shares else NONE for key in keys),
            number(arm.belief["spearman"].mean, 2) if known(_belief(arm, "spearman")) else NONE,
            _share(_belief(arm, "calibration_error")),
        ]
        for arm in comparison.arms
    ]
    return Table("Groups and beliefs, means over seeds", heads, rows, frozenset(range(1, len(heads))))


def pass_at(comparison: Comparison) -> Table:
    """pass@k of the last evaluation."""
    ks = sorted({k for arm in comparison.arms for k in arm.pass_at}, key=lambda k: (len(k), k))
    rows = [
        [arm.label, *(_share(arm.pass_at[k].mean) if k in arm.pass_at else NONE for k in ks)] for arm in comparison.arms
    ]
    heads = ["arm", *(f"pass@{k.removeprefix('eval/pass@').removeprefix('pass@')}" for k in ks)]
    return Table("Last evaluation", heads, rows, frozenset(range(1, len(heads))))


def cost(comparison: Comparison) -> Table:
    """Means of a run."""
    keys = {"steps": "steps", "rollouts": "rollouts", "tokens": "tokens", "seconds": "seconds"}
    keys |= {"eval_rollouts": "evaluation", "panel_rollouts": "panel", "reference_rollouts": "references"}
    rows = [[arm.label, *(_count(arm.cost.get(key, float("nan"))) for key in keys)] for arm in comparison.arms]
    return Table("What a run cost, means over seeds", ["arm", *keys.values()], rows, frozenset(range(1, 8)))


def runs(comparison: Comparison) -> Table:
    """Every run that takes part."""
    rows = [
        [
            run.path,
            arm.label,
            str(run.seed),
            "yes" if run.paired else "no",
            _share(run.auc),
            _share(run.final),
            count(run.steps),
            count(run.rollouts),
        ]
        for arm in comparison.arms
        for run in arm.runs
    ]
    heads = ["run", "arm", "seed", "paired", "AUC", "final", "steps", "rollouts"]
    more = f" (the first {RUNS} of {len(rows):,})" if len(rows) > RUNS else ""
    return Table(f"Runs that take part{more}", heads, rows[:RUNS], frozenset({2, 4, 5, 6, 7}))


def left_out(caption: str, found: Sequence[LeftOut]) -> Table:
    """Unfinished or refused runs."""
    rows = [
        [r.path, r.arm, str(r.seed), r.state, f"{count(r.step)} of {count(r.steps)}", _share(r.accuracy), r.why]
        for r in found
    ]
    heads = ["run", "arm", "seed", "state", "step", "accuracy", "why"]
    return Table(caption, heads, rows, frozenset({2, 4, 5}))


def differences(comparison: Comparison) -> Table:
    """Configuration keys that differ from the baseline's."""
    rows = [
        [arm.label, key, _value(theirs), _value(own)]
        for arm in comparison.arms
        for key, (theirs, own) in sorted(arm.differences.items())
    ]
    heads = ["arm", "key", f"{comparison.baseline} (baseline)", "its own"]
    return Table("Configuration against the baseline's", heads, rows)


def coverage(comparison: Comparison) -> Table:
    """How often the intervals hold, by simulation."""
    heads = list(dict.fromkeys(key for line in comparison.coverage for key in line))
    rows = [[_cell(key, line.get(key)) for key in heads] for line in comparison.coverage]
    names = [head.replace("family_wise", "family-wise").replace("_", " ") for head in heads]
    caption = (
        "Measured by simulation: how often a 95 % interval holds (t, bootstrap), how often identical arms get any "
        "verdict (family-wise error), and how often one arm's true difference of detectable size is found (power)"
    )
    return Table(caption, names, rows, frozenset(i for i, head in enumerate(heads) if i and head != "kind"))


def facts(comparison: Comparison) -> Table:
    """Model, data, evaluation, versions."""
    rows = [[str(key).replace("_", " "), _value(value)] for key, value in comparison.facts.items()]
    return Table("What all runs share", ["fact", "value"], rows)


def _cell(key: str, value: Any) -> str:
    if not known(value):
        return _value(value)
    return count(value) if key in ("seeds", "n", "repeats") else share(value)


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {_value(v)}" for k, v in value.items())
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value))
    return "none" if value is None else str(value)


def _belief(arm: Arm, key: str) -> float:
    return arm.belief[key].mean if key in arm.belief else float("nan")


def _share(value: float, digits: int = 1) -> str:
    return share(value, digits) if known(value) else NONE


def _shares(found: Estimate) -> str:
    return f"{share(found.low)} to {share(found.high)}" if known(found.low) and known(found.high) else NONE


def _points(value: float) -> str:
    return points(value) if known(value) else NONE


def _interval(found: Estimate) -> str:
    return interval(found.low, found.high) if known(found.low) and known(found.high) else NONE


def _ratio(value: float) -> str:
    return f"{value:.2f}" if known(value) else NONE


def _count(value: float) -> str:
    return count(value) if known(value) else NONE


def _p(value: float) -> str:
    return NONE if not known(value) else "< 0.001" if value < 0.001 else f"{value:.3f}"
