"""An arm in numbers, alone and against the baseline: `Arm` from the runs that were measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rftlab import endpoints, stats
from rftlab.arms import differences
from rftlab.comparison import NAN, Against, Arm, Curve, Endpoint, Estimate, RunPoint, Ttb
from rftlab.core import Float
from rftlab.measured import AT_EVALUATIONS, AT_STEPS, BELIEF, LEDGER, PHASES, SHARES, TENTHS, TRIES, Measured

REPS = 2000
"""Draws of a bootstrap."""
Pairs = list[tuple[Measured, Measured]]
OTHER: dict[Endpoint, Endpoint] = {"auc": "final", "final": "auc"}


@dataclass(frozen=True)
class Frame:
    """What all arms of a comparison share."""

    endpoint: Endpoint
    low: float
    high: float
    """Rollouts between which every run has been evaluated."""
    axes: list[str]
    grid: dict[str, Float]
    """By axis, float64 [X]."""
    tested: int
    """Arms that get a verdict, for the correction."""
    items: Mapping[Path, pd.Series]
    """By run: the endpoint of every evaluation task, by the task's id."""

    def value(self, run: Measured, endpoint: Endpoint | None = None) -> float:
        return endpoints.value(run.rollouts, self.low, self.high, endpoint or self.endpoint)


def estimate(values: Sequence[float] | Float) -> Estimate:
    """Mean of the known values, and Student's interval over them."""
    known = np.asarray(values, np.float64)
    known = known[np.isfinite(known)]
    return Estimate(*stats.t_interval(known), n=len(known))


def pairs(arm: Sequence[Measured], baseline: Sequence[Measured]) -> Pairs:
    """Runs of equal seed: the arm's and the baseline's."""
    other = {run.seed: run for run in baseline}
    return [(run, other[run.seed]) for run in arm if run.seed in other]


def summary(label: str, arm: Sequence[Measured], baseline: Sequence[Measured], frame: Frame) -> Arm:
    """Everything about one arm but its adjusted p and its verdict, which need the other arms."""
    own = arm is baseline
    both = pairs(arm, baseline)
    paired = {run.seed for run, _ in both}
    scores = np.array([frame.value(run) for run in arm])
    rng = np.random.default_rng(0)  # the same runs always give the same page
    standard, first = baseline[0].cell, arm[0].cell
    return Arm(
        label=label,
        axis=dict(first.axis),
        baseline=own,
        runs=[_point(run, frame, run.seed in paired) for run in arm],
        auc=estimate([frame.value(run, "auc") for run in arm]),
        final=estimate([frame.value(run, "final") for run in arm]),
        iqm=Estimate(*stats.stratified_bootstrap(scores[:, None], stats.iqm, rng, REPS), n=len(arm)),
        against=None if own else against(arm, baseline, frame, rng),
        ttb=time_to_baseline(both, frame.axes),
        bsf=best_so_far(both, frame),
        pass_at={str(k): found for k in TRIES if (found := _last(arm, f"eval/pass@{k}")).n},
        shares={name: found for name in SHARES if (found := estimate([run.means[name] for run in arm])).n},
        belief={name: found for name in BELIEF if (found := _last(arm, f"panel/{name}")).n},
        reliability=reliability(arm),
        cost=_cost(arm),
        differences=differences(standard.axis | standard.length, first.axis | first.length),
        curves={
            axis: {m: c for m in (*AT_EVALUATIONS, *AT_STEPS) if (c := curve(arm, axis, m, frame.grid[axis]))}
            for axis in frame.axes
        },
    )


def _point(run: Measured, frame: Frame, paired: bool) -> RunPoint:
    evals = {axis: run.curve(axis) for axis in frame.axes}
    last = {name: run.last(f"ledger/{name}") for name in ("rollouts", "tokens", "seconds")}
    return RunPoint(
        path=str(run.path),
        seed=run.seed,
        paired=paired,
        auc=frame.value(run, "auc"),
        final=frame.value(run, "final"),
        steps=int(run.last("step")),
        rollouts=int(last["rollouts"]),
        tokens=int(last["tokens"]) if np.isfinite(last["tokens"]) else 0,
        seconds=last["seconds"],
        evals={axis: list(map(float, run.x(run.evaluated, axis))) for axis in evals}
        | {"accuracy": list(map(float, run.evaluated["eval/accuracy"]))},
    )


def against(arm: Sequence[Measured], baseline: Sequence[Measured], frame: Frame, rng: np.random.Generator) -> Against:
    """The arm against the baseline; ``p_holm`` and ``verdict`` are filled in by ``with_verdicts``."""
    both = pairs(arm, baseline)
    by_seed = np.array([frame.value(a) - frame.value(b) for a, b in both])
    other = [frame.value(a, OTHER[frame.endpoint]) - frame.value(b, OTHER[frame.endpoint]) for a, b in both]
    spread = float(by_seed.std(ddof=1)) if len(by_seed) > 1 else NAN
    resampled = stats.stratified_bootstrap(by_seed[:, None], stats.mean, rng, REPS)
    items = item_differences(both, frame)
    return Against(
        verdict="no verdict",
        difference=estimate(by_seed),
        p=stats.paired_p(by_seed),
        p_holm=NAN,
        detectable=stats.detectable(spread, len(by_seed), frame.tested),
        seeds=[a.seed for a, _ in both],
        by_seed=by_seed.tolist(),
        other=estimate(other),
        bootstrap_seeds=Estimate(*resampled, n=len(by_seed)),
        bootstrap_items=Estimate(*stats.item_bootstrap(items, rng, REPS), n=len(items)),
        improvement=stats.improvement(
            np.array([frame.value(run) for run in arm]), np.array([frame.value(run) for run in baseline])
        ),
    )


def with_verdicts(arms: Sequence[Arm]) -> list[Arm]:
    """Arms with p values adjusted over all of them (Holm), and the verdicts that follow."""
    tested = [arm for arm in arms if arm.against is not None]
    adjusted = stats.holm(np.array([arm.against.p for arm in tested if arm.against]))
    found = {arm.label: float(p) for arm, p in zip(tested, adjusted, strict=True)}
    out = []
    for arm in arms:
        if (old := arm.against) is not None:
            p = found[arm.label]
            said: Any = stats.verdict(old.difference.mean, p)
            arm = replace(arm, against=replace(old, p_holm=p, verdict=said))
        out.append(arm)
    return out


def item_differences(both: Sequence[tuple[Measured, Measured]], frame: Frame) -> Float:
    """Difference of the endpoint by evaluation task [I], mean over pairs; tasks that every run was asked."""
    found = []
    for pair in both:
        own, other = (frame.items[run.path] for run in pair)
        found.append((own - other).dropna())
    if not found:
        return np.zeros(0)
    total = sum(found[1:], start=found[0])
    return (total / len(found)).dropna().to_numpy(np.float64)


def time_to_baseline(both: Pairs, axes: Sequence[str]) -> list[Ttb]:
    """TTB on every axis, for every share; nothing without a pair or where the baseline has not learnt."""
    out = []
    for axis in axes if both else ():
        own, other = [run.curve(axis) for run, _ in both], [run.curve(axis) for _, run in both]
        standard, mean = endpoints.mean_curve(other), endpoints.mean_curve(own)
        horizon = endpoints.common_range([*own, *other])[1]
        for share in endpoints.SHARES:
            target = endpoints.target(standard, share)
            if not np.isfinite(target):
                continue
            there, here = endpoints.first_passage(standard, target), endpoints.first_passage(mean, target)
            own_times = np.array([endpoints.first_passage(c, target) for c in own])
            other_times = np.array([endpoints.first_passage(c, target) for c in other])
            out.append(
                Ttb(
                    axis,
                    share,
                    target,
                    baseline=there,
                    arm=here,
                    ratio=here / there,
                    reached=int((own_times <= horizon).sum()),
                    runs=len(own_times),
                    restricted=endpoints.restricted(own_times, horizon) / endpoints.restricted(other_times, horizon),
                    by_seed=_ratio(own_times, other_times),
                )
            )
    return out


def _ratio(own: Float, other: Float) -> Estimate:
    """Ratio of geometric means over pairs (interval: Student's, of the logarithms); NaN unless all got there."""
    if not all(np.isfinite(t) and t > 0 for t in (*own, *other)):
        return Estimate(NAN)
    return Estimate(*np.exp(stats.t_interval(np.log(own / other))).tolist(), n=len(own))


def best_so_far(both: Pairs, frame: Frame) -> dict[str, float]:
    """BSF by per cent of the common range, of mean curves by rollouts; NaN without a pair."""
    if not both:
        return {str(q): NAN for q in endpoints.QUARTERS}
    own, other = (
        endpoints.mean_curve([run.rollouts.within(frame.low, frame.high) for run in runs])
        for runs in zip(*both, strict=True)
    )
    ends = {q: frame.low + (frame.high - frame.low) * q / 100 for q in endpoints.QUARTERS}
    best = {q: (endpoints.best_so_far(own, end), endpoints.best_so_far(other, end)) for q, end in ends.items()}
    return {str(q): a / b if b > 0 else NAN for q, (a, b) in best.items()}


def reliability(arm: Sequence[Measured]) -> list[dict[str, float]]:
    """The last panel by tenths of the prediction, weighted by tasks over all runs; empty tenths are left out."""
    out = []
    for tenth in TENTHS:
        rows = [[run.evaluated[f"panel/tenth_{tenth}/{w}"] for w in ("tasks", "said", "got")] for run in arm]
        last = np.array([[column[-1] for column in row] for row in rows], np.float64)  # [runs, 3]
        last = last[np.isfinite(last).all(axis=1)]
        if (tasks := float(last[:, 0].sum())) > 0:
            said, got = (float(last[:, i] @ last[:, 0] / tasks) for i in (1, 2))
            out.append({"tasks": tasks, "said": said, "got": got})
    return out


def _last(arm: Sequence[Measured], key: str) -> Estimate:
    return estimate([run.last(key) for run in arm])


def _cost(arm: Sequence[Measured]) -> dict[str, float]:
    spent = {name: estimate([run.last(f"ledger/{name}") for run in arm]).mean for name in LEDGER}
    phases = {f"time/{phase}": estimate([run.means[f"time/{phase}"] for run in arm]).mean for phase in PHASES}
    return spent | {"steps": estimate([run.last("step") for run in arm]).mean} | phases


def curve(arm: Sequence[Measured], axis: str, metric: str, grid: Float) -> Curve | None:
    """A metric over those of the arm's runs that have it; None if none does.

    Only where all of these are known: where one ends before the others, a mean of the rest would jump.
    """
    values = np.array([run.on_grid(axis, metric, grid) for run in arm])
    there = np.isfinite(values)
    values, there = values[there.any(axis=1)], there[there.any(axis=1)]
    if not there.all(axis=0).any():
        return None
    values[:, ~there.all(axis=0)] = NAN
    return Curve(*(found.tolist() for found in stats.pointwise_intervals(values)))
