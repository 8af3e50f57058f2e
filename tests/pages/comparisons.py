"""Comparisons of made-up runs, of any size."""

from __future__ import annotations

import numpy as np

from rftlab.comparison import Against, Arm, Caveat, Comparison, Curve, Estimate, LeftOut, RunPoint, Ttb
from rftlab.stats import t_interval

AXES = {"rollouts": 256.0, "tokens": 1800.0, "seconds": 0.4, "steps": 1.0}
"""Units of each axis in a step."""
POINTS = 21


def comparison(arms: int = 3, seeds: int = 3, *, mixed: bool = False) -> Comparison:
    """A baseline and ``arms`` - 1 others of ``seeds`` seeds each; the second one is better beyond doubt."""
    rng = np.random.default_rng(0)
    steps = np.linspace(0, 120, POINTS)
    grid = {axis: (steps * unit).tolist() for axis, unit in AXES.items()}
    made, base = [], np.zeros(0)
    for place in range(arms):
        gain = 0.06 if place == 0 else 0.11 if place == 1 else 0.06 + rng.normal(0, 0.004)
        ends = 0.26 + gain + rng.normal(0, 0.003, seeds)
        base = ends if place == 0 else base
        made.append(_arm(place, ends, base, steps, grid))
    return Comparison(
        title=f"{arms} samplers on ladder",
        folders=["outputs/made_up"],
        by=["sampler"],
        baseline="uniform",
        endpoint="final",
        endpoint_says="Primary endpoint: accuracy at the end of the common range, 0 to 30,720 rollouts.",
        answer=["better1 is better than uniform."],
        common=[0.0, 30720.0],
        seeds=list(range(seeds)),
        axes=list(AXES),
        grid=grid,
        arms=made,
        caveats=[Caveat("warning", "truncated", "arm <2> cut 31 % of its completions.", ["arm <2>"])],
        unfinished=[LeftOut("outputs/made_up/x/seed9", "uniform", 9, "stopped", 40, 120, 0.28, "stopped at step 40")],
        refused=[],
        mixed=mixed,
        coverage=[{"seeds": 3, "t": 0.95, "bootstrap": 0.76}, {"seeds": 5, "t": 0.951, "bootstrap": 0.83}],
        facts={"model": "tiny", "versions": {"rftlab": "0.1.0"}},
    )


def _arm(place: int, ends: np.ndarray, base: np.ndarray, steps: np.ndarray, grid: dict[str, list[float]]) -> Arm:
    label = "uniform" if place == 0 else f"better{place}" if place == 1 else f"arm <{place}>"
    runs = [
        RunPoint(f"outputs/made_up/{label}/seed{s}", s, True, 0.28, float(e), 120, 30720, 216000, 48.0, _evals(e))
        for s, e in enumerate(ends)
    ]
    curves = np.array([0.26 + (e - 0.26) * (1 - np.exp(-steps / 40)) for e in ends])
    mean, spread = curves.mean(0), curves.std(0)
    accuracy = Curve(mean.tolist(), (mean - spread).tolist(), (mean + spread).tolist())
    etr = Curve([0.3] * POINTS, [0.28] * POINTS, [0.32] * POINTS)
    spearman = Curve(np.linspace(0.1, 0.7, POINTS).tolist(), [0.1] * POINTS, [0.8] * POINTS)
    metrics = {"eval/accuracy": accuracy, "group/etr": etr, "group/all_pass": etr, "group/all_fail": etr}
    if place:
        metrics |= {"panel/spearman": spearman}
    own, one = Estimate(*t_interval(ends), len(ends)), Estimate(1.2, 1.1, 1.3, len(ends))
    shares = {"etr": 0.3, "yield": 0.3, "all_pass": 0.1, "all_fail": 0.6, "truncated": 0.02}
    phases = {f"time/{phase}": 5.0 for phase in ("ask", "generate", "update", "eval")}
    return Arm(
        label=label,
        axis={"sampler": label},
        baseline=place == 0,
        runs=runs,
        auc=own,
        final=own,
        iqm=own,
        against=None if place == 0 else _against(ends - base, better=place == 1),
        ttb=[] if place == 0 else [Ttb("rollouts", 1.0, 0.32, 30000, 21000, 0.7, 3, 3, 0.8, one)],
        bsf={"25": 1.01, "50": 1.02, "100": 1.03},
        pass_at={"1": own, "4": own},
        shares={key: Estimate(value) for key, value in shares.items()},
        belief={"spearman": Estimate(0.7), "calibration_error": Estimate(0.05)} if place else {},
        reliability=[{"said": x, "got": x**1.1, "tasks": 6.0} for x in (0.1, 0.5, 0.9)] if place else [],
        cost={"rollouts": 30720, "tokens": 216000, "seconds": 48, "steps": 120, "eval_rollouts": 10000, **phases},
        differences={"sampler.name": ["uniform", label]} if place else {},
        curves=dict.fromkeys(grid, metrics),
    )


def _against(differences: np.ndarray, *, better: bool) -> Against:
    found = Estimate(*t_interval(differences), len(differences))
    verdict = "better" if better else "not distinguishable"
    p = 0.001 if better else 0.6
    by_seed = differences.tolist()
    return Against(
        verdict, found, p, min(1, 3 * p), 0.021, list(range(len(by_seed))), by_seed, found, found, found, 0.9
    )


def _evals(end: float) -> dict[str, list[float]]:
    return {**{axis: [0.0, 120 * unit] for axis, unit in AXES.items()}, "accuracy": [0.26, float(end)]}
