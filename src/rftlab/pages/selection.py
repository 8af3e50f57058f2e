"""What a sampler chose: pass rates over time, rollouts of every task, the categories and levels they came from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from rftlab.core import Float, TaskPool
from rftlab.pages.charts import BANDS

COLUMNS = 40
"""Most columns of a heat map."""
TRAIN = "train"


@dataclass(frozen=True)
class Chosen:
    """What one run, or one arm over its seeds, generated for training; probes are left out."""

    heat: Float
    """float64 [len(BANDS), columns], share of the groups generated in that stretch of rollouts; NaN = none."""
    reach: float
    """Rollouts at the right edge of ``heat``."""
    per_task: Float
    """float64 [seeds, N], training rollouts of every task of the pool; the untouched ones are 0."""
    by_kind: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """``category`` and ``level``: name -> share of the training rollouts."""

    @property
    def untouched(self) -> float:
        """Share of the pool that a run never generated for training."""
        return float((self.per_task == 0).mean()) if self.per_task.size else float("nan")

    @property
    def gini(self) -> float:
        """``gini`` of a run's rollouts per task, mean over seeds."""
        return float(np.mean([gini(row) for row in self.per_task])) if self.per_task.size else float("nan")


def chosen(groups: Sequence[pd.DataFrame], rollouts: Sequence[pd.DataFrame], pool: TaskPool | None) -> Chosen:
    """Sums up the groups of an arm's seeds.

    Args:
        groups: of every seed, the rows of ``groups.jsonl``.
        rollouts: of every seed, the rows of ``metrics.jsonl``: which rollouts each step began and ended at.
        pool: the training tasks; without it the pool is what was seen, and kinds are unknown.
    """
    rows = [_placed(g, m) for g, m in zip(groups, rollouts, strict=True) if len(g)]
    rows = [r[r["purpose"] == TRAIN] for r in rows]
    whole = pd.concat(rows) if rows else pd.DataFrame({"index": [], "rollouts": [], "at": [], "wins": [], "trials": []})
    reach = float(whole["at"].max()) if len(whole) else 1.0
    size = len(pool) if pool is not None else int(whole["index"].max()) + 1 if len(whole) else 0
    counts = [np.bincount(r["index"].to_numpy(np.int64), r["rollouts"].to_numpy(float), minlength=size) for r in rows]
    per_task = np.array(counts).reshape(len(rows), size)
    return Chosen(_heat(rows, reach), reach, per_task, _kinds(per_task.sum(0), pool))


def gini(counts: Float) -> float:
    """How unequal the counts [N] are: 0 = all the same, near 1 = one task has everything; NaN without a count.

    Half the mean absolute difference over the mean (Gini, 1912).
    """
    n, total = len(counts), float(counts.sum())
    if not n or not total:
        return float("nan")
    ranks = np.arange(1, n + 1)
    return float(2 * (ranks * np.sort(counts)).sum() / (n * total) - (n + 1) / n)


def _placed(groups: pd.DataFrame, metrics: pd.DataFrame) -> pd.DataFrame:
    """Groups with ``since`` and ``at``, the rollouts spent when their step began and at its end."""
    at = metrics.drop_duplicates("step").set_index("step")["ledger/rollouts"].dropna().sort_index()
    since = at.shift(fill_value=0.0)
    return groups.assign(at=groups["step"].map(at), since=groups["step"].map(since)).dropna(subset=["at"])


def _heat(seeds: Sequence[pd.DataFrame], reach: float) -> Float:
    """A step's groups were generated all along it: one wider than a column has its share in each that it crosses."""
    graded = [rows[rows["trials"] > 0] for rows in seeds]
    columns = max(1, min([COLUMNS, *(rows["at"].nunique() for rows in graded)]))
    edges = np.linspace(0.0, reach, columns + 1)
    counts = np.zeros((len(BANDS), columns))
    for rows in graded:
        rate = rows["wins"].to_numpy(float) / rows["trials"].to_numpy(float)
        band = np.select([rate == 0, rate == 1], [0, len(BANDS) - 1], 1 + np.clip((rate * 5).astype(int), 0, 4))
        for (since, at), places in rows.groupby(["since", "at"]).indices.items():
            begin = min(since, at - 1.0)
            inside = np.clip(np.minimum(at, edges[1:]) - np.maximum(begin, edges[:-1]), 0.0, None) / (at - begin)
            counts += np.bincount(band[places], minlength=len(BANDS))[:, None] * inside
    total = counts.sum(0)
    return np.divide(counts, total, out=np.full_like(counts, np.nan), where=total > 0)


def _kinds(counts: Float, pool: TaskPool | None) -> dict[str, dict[str, float]]:
    if pool is None or not counts.sum():
        return {}
    share, out = counts / counts.sum(), {}
    if pool.category is not None:
        sums = np.bincount(pool.category, share, minlength=len(pool.categories))
        out["category"] = dict(zip(pool.categories, sums.tolist(), strict=True))
    if pool.level is not None:
        levels = np.unique(pool.level[~np.isnan(pool.level)])
        if len(levels) <= 20:  # else they are a scale, not kinds
            out["level"] = {f"{value:g}": float(share[pool.level == value].sum()) for value in levels}
    return out


def pool_shares(pool: TaskPool | None) -> dict[str, dict[str, float]]:
    """What a uniform choice would take: the pool's own categories and levels."""
    return _kinds(np.ones(len(pool)), pool) if pool is not None else {}
