"""Evaluation with its own sampling settings and its own random keys: the same for every sampler and every step."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from typing import Any

import numpy as np

from rftlab.core import Completion, Float, Group, Int, Purpose, Task, TaskPool, Verdict
from rftlab.engines.base import Engine, Job, Sampling
from rftlab.measure import completion_rows
from rftlab.verifiers.pool import VerifierPool


@dataclass(frozen=True)
class Evaluation:
    """What one evaluation has found."""

    metrics: dict[str, float]
    rows: list[dict[str, Any]]
    """A row per task: id, category, level, wins, trials, mean tokens."""
    rollouts: int
    completions: list[dict[str, Any]]
    """Readable ones, ``eval.save_completions`` of them: one of each task in turn, rows as those of training."""


def pass_at_k(wins: Int, trials: Int, k: int) -> Float:
    """Unbiased pass@k per task [R]: 1 - C(n - c, k) / C(n, k) (Chen et al., arXiv:2107.03374, eq. 1); NaN if n < k."""
    return np.array(
        [
            1 - comb(n - c, k) / comb(n, k) if n >= k else np.nan
            for c, n in zip(wins.tolist(), trials.tolist(), strict=True)
        ]
    )


def roll_out(
    engine: Engine,
    verifier: VerifierPool,
    tasks: Sequence[Task],
    n: int,
    sampling: Sampling,
    stream: tuple[Any, ...],
) -> tuple[list[list[Completion]], list[list[Verdict]]]:
    """n rollouts of every task, and what the verifier says of each."""
    jobs = [Job(task, 0, n) for task in tasks]
    done = engine.generate(jobs, sampling, stream)
    said = verifier.grade([(c.text, job.task) for job, group in zip(jobs, done, strict=True) for c in group])
    return done, [said[i * n : (i + 1) * n] for i in range(len(jobs))]


class Evaluator:
    """Evaluates whatever an engine holds, on a fixed set of tasks with fixed keys.

    Args:
        pool: evaluation tasks; the first ``cfg.limit`` are used.
        cfg: the ``eval`` group.
        max_new_tokens: longest completion.
    """

    def __init__(self, pool: TaskPool, verifier: VerifierPool, cfg: Any, max_new_tokens: int) -> None:
        self.pool, self.verifier, self.cfg = pool, verifier, cfg
        self.count = len(pool) if cfg.limit is None else min(len(pool), cfg.limit)
        self.sampling = Sampling(max_new_tokens, cfg.temperature, cfg.top_p, cfg.top_k)

    def run(self, engine: Engine, step: int = 0) -> Evaluation:
        """Evaluates; ``step``, of the run, is noted beside the completions."""
        n, tasks = self.cfg.samples, self.pool.tasks[: self.count]
        done, by_task = roll_out(engine, self.verifier, tasks, n, self.sampling, ("eval", self.cfg.seed))
        wins = np.array([sum(v.passed and v.valid for v in vs) for vs in by_task], np.int64)
        trials = np.array([sum(v.valid for v in vs) for vs in by_task], np.int64)
        tokens = np.array([np.mean([len(c.tokens) for c in group]) for group in done])
        metrics = self._metrics(wins, trials, [v for vs in by_task for v in vs])
        metrics["eval/tokens_mean"] = float(tokens.mean())
        metrics["eval/truncated"] = float(np.mean([c.finish == "length" for group in done for c in group]))
        saved = [
            Group(task, tuple(own), tuple(said), step, Purpose.EVAL)
            for task, own, said in zip(tasks, done, by_task, strict=True)
        ]
        completions = completion_rows(saved, self.cfg.save_completions)
        return Evaluation(metrics, self._rows(wins, trials, tokens), n * self.count, completions)

    def _metrics(self, wins: Int, trials: Int, verdicts: Sequence[Verdict]) -> dict[str, float]:
        rate = np.divide(wins, trials, out=np.full(self.count, np.nan), where=trials > 0)
        known = rate[~np.isnan(rate)]
        out = {
            "eval/accuracy": float(known.mean()) if known.size else float("nan"),
            # tasks are the sampled unit: rollouts of one task are not independent
            "eval/accuracy_se": float(known.std(ddof=1) / np.sqrt(known.size)) if known.size > 1 else float("nan"),
            "eval/unparsable": float(np.mean([v.status == "unparsable" for v in verdicts])),
            "eval/faults": float(np.mean([not v.valid for v in verdicts])),
        }
        k = 1
        while k <= self.cfg.samples:
            values = pass_at_k(wins, trials, k)
            out[f"eval/pass@{k}"] = float(np.nanmean(values)) if not np.isnan(values).all() else float("nan")
            k *= 2
        return out | self._strata(rate)

    def _strata(self, rate: Float) -> dict[str, float]:
        out = {}
        if self.pool.category is not None:
            for c, name in enumerate(self.pool.categories):
                out |= _mean(f"eval/by_category/{name}", rate[self.pool.category[: self.count] == c])
        if self.pool.level is not None:
            level = self.pool.level[: self.count]
            for value in np.unique(level[~np.isnan(level)]):
                out |= _mean(f"eval/by_level/{value:g}", rate[level == value])
        return out

    def _rows(self, wins: Int, trials: Int, tokens: Float) -> list[dict[str, Any]]:
        category, level = self.pool.category, self.pool.level
        return [
            {
                "task": task.id,
                "wins": int(wins[i]),
                "trials": int(trials[i]),
                "tokens": round(float(tokens[i]), 2),
                "category": None if category is None else self.pool.categories[category[i]],
                "level": None if level is None else float(level[i]),
            }
            for i, task in enumerate(self.pool.tasks[: self.count])
        ]


def _mean(key: str, rate: Float) -> dict[str, float]:
    known = rate[~np.isnan(rate)]
    return {key: float(known.mean())} if known.size else {}


def main(cfg: Any) -> Evaluation:
    """The verb ``eval``: evaluates a model, or the adapter of a run, prints the numbers, writes them to ``cfg.out``."""
    from rftlab.lab import build_engine, fitting
    from rftlab.outfile import outfolder, write
    from rftlab.verifiers.pool import build_pool

    out = None if cfg.out is None else outfolder(cfg.out)
    dataset = fitting(cfg)
    print(f"dataset {cfg.dataset.name}: {len(dataset.eval):,} tasks for evaluation{dataset.told()}")
    with build_pool(cfg.verifier) as verifier:
        learner, engine = build_engine(cfg, dataset, lambda: None)
        engine.sync(learner)
        found = Evaluator(dataset.eval, verifier, cfg.eval, cfg.model.max_new_tokens).run(engine)
        engine.close()
    for key, value in found.metrics.items():
        print(f"{key:<40} {value:.4f}")
    if out is not None:
        write(out / "metrics.json", json.dumps(found.metrics, indent=1) + "\n")
        for name, rows in (("tasks", found.rows), ("completions", found.completions)):
            write(out / f"{name}.jsonl", "".join(json.dumps(row) + "\n" for row in rows))
    return found
