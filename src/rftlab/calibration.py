"""Do a sampler's beliefs hold? Predicted pass rates against observed ones.

On the tasks of a step the answer is biased: a selector that works picks tasks of one predicted difficulty, which
squeezes the range and with it every correlation. So the number to compare samplers by comes from a fixed random panel
of training tasks, measured beside every evaluation, never trained on from there and never told to the sampler.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rftlab.core import Float, Group, Int, Purpose, TaskPool
from rftlab.engines.base import Engine, Sampling
from rftlab.evaluate import roll_out
from rftlab.verifiers.pool import VerifierPool

BINS = 10


def scores(predicted: Float, wins: Int, trials: Int) -> dict[str, float]:
    """Agreement of predicted pass rates [R] with ``wins`` of ``trials``; tasks without a trial are left out.

    - ``spearman``: rank correlation, ties at their mean rank; NaN when either side is constant (fewer than two tasks,
      or all beliefs still equal).
    - ``mae``: mean |predicted - observed| over tasks. Above 0 even for a perfect belief: observed rates are noisy.
    - ``brier``: mean (predicted - passed)^2 over a task's rollouts, then over tasks; a perfect belief has p(1 - p).
    - ``calibration_error``: mean over tasks of |mean predicted - mean observed| of the task's tenth of predictions.
    """
    seen = trials > 0
    p, rate = predicted[seen], wins[seen] / trials[seen]
    if not len(p):
        return dict.fromkeys(("spearman", "mae", "brier", "calibration_error"), float("nan"))
    table = reliability(predicted, wins, trials)
    return {
        "spearman": _spearman(p, rate),
        "mae": float(np.abs(p - rate).mean()),
        "brier": float((p**2 - 2 * p * rate + rate).mean()),
        "calibration_error": float(sum(n * abs(said - got) for _, n, said, got in table) / len(p)),
    }


def reliability(predicted: Float, wins: Int, trials: Int) -> list[tuple[float, int, float, float]]:
    """Per tenth of predictions that has tasks: its lower end, their number, mean predicted, mean observed rate."""
    seen = trials > 0
    p, rate = predicted[seen], wins[seen] / trials[seen]
    tenth = np.clip((p * BINS).astype(int), 0, BINS - 1)
    return [
        (b / BINS, int(there.sum()), float(p[there].mean()), float(rate[there].mean()))
        for b in range(BINS)
        if (there := tenth == b).any()
    ]


def _spearman(x: Float, y: Float) -> float:
    if np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    from scipy.stats import spearmanr

    return float(spearmanr(x, y).statistic)


def step_scores(generated: Sequence[Group], predicted: Float | None) -> dict[str, float]:
    """``pred/…``: beliefs before the step (posterior means, no draw) against the groups that the step generated."""
    groups = [group.outcomes() for group in generated if group.purpose is Purpose.TRAIN]
    if predicted is None or not groups:
        return {}
    tasks = np.array([o.task for o in groups])
    wins, trials = np.array([o.wins for o in groups]), np.array([o.trials for o in groups])
    return {f"pred/{name}": value for name, value in scores(predicted[tasks], wins, trials).items()}


@dataclass(frozen=True)
class Reading:
    """What one measurement of the panel has found."""

    metrics: dict[str, float]
    rows: list[dict[str, Any]]
    """A row per task: id, predicted, wins, trials."""
    rollouts: int


class Panel:
    """A fixed random set of training tasks.

    Args:
        pool: training tasks; the panel is a draw of (``cfg.seed``, pool size), the same for every sampler and run.
        cfg: the ``panel`` group.
        sampling: as in training: beliefs are about training rollouts.
    """

    def __init__(self, pool: TaskPool, verifier: VerifierPool, cfg: Any, sampling: Sampling) -> None:
        self.pool, self.verifier, self.cfg, self.sampling = pool, verifier, cfg, sampling
        rng = np.random.default_rng((cfg.seed, len(pool)))
        self.tasks: Int = np.sort(rng.choice(len(pool), size=min(cfg.tasks, len(pool)), replace=False))

    def run(self, engine: Engine, predicted: Float) -> Reading:
        """Rolls the panel out; ``predicted`` float64 [N] is what the sampler believes now."""
        tasks = [self.pool.tasks[i] for i in self.tasks]
        stream = ("panel", self.cfg.seed)
        _, verdicts = roll_out(engine, self.verifier, tasks, self.cfg.rollouts, self.sampling, stream)
        wins = np.array([sum(v.passed and v.valid for v in vs) for vs in verdicts], np.int64)
        trials = np.array([sum(v.valid for v in vs) for vs in verdicts], np.int64)
        believed = predicted[self.tasks]
        metrics = {f"panel/{name}": value for name, value in scores(believed, wins, trials).items()}
        for low, count, said, got in reliability(believed, wins, trials):
            metrics |= {f"panel/tenth_{low:.1f}/{k}": v for k, v in (("tasks", count), ("said", said), ("got", got))}
        rows = [
            {"task": t.id, "predicted": round(float(p), 4), "wins": int(w), "trials": int(n)}
            for t, p, w, n in zip(tasks, believed, wins, trials, strict=True)
        ]
        return Reading(metrics, rows, self.cfg.rollouts * len(tasks))
