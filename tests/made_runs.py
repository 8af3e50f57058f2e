"""Finished runs as they lie on disk, of any sampler and seed, without training one."""

import copy
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

CONFIG: dict[str, Any] = {
    "name": "grid",
    "model": {"name": "tiny"},
    "dataset": {"name": "ladder", "references": ["tiny"]},
    "algo": {"lr": 0.001, "advantage": "group_std"},
    "budget": {"steps": 40, "prompts": 4, "group_size": 4, "rollouts": None},
    "tracking": {"wandb": "off"},
}
EVALS, TASKS, SIZE = (0, 10, 20, 30, 40), 50, 16


def curve(gain: float, seed: int) -> list[float]:
    """Accuracies of a run: from 0.2 up by ``gain``, by steps of one rollout of four, a seed's luck on top."""
    luck = np.random.default_rng([seed, round(1000 * (1 + gain))]).normal(0, 0.01, len(EVALS))
    return [0.2 + gain * step / EVALS[-1] + (luck[i] if i else 0.0) for i, step in enumerate(EVALS)]


def make(
    root: Path, sampler: str, seed: int, gain: float = 0.1, state: str = "done", facts: dict | None = None, **keys: Any
) -> Path:
    """A run as the loop leaves it; ``keys`` are dotted configuration keys with ``__`` for a dot."""
    config = copy.deepcopy(CONFIG) | {"seed": seed, "sampler": {"name": sampler, "selector": {"lam": 0.5}}}
    for key, value in keys.items():
        *path, last = key.split("__")
        node = config
        for name in path:
            node = node.setdefault(name, {})
        node[last] = value
    extra = "-".join(f"{value}" for value in keys.values())
    path = root / "tiny_ladder" / f"{sampler}-{extra or 'plain'}" / f"seed{seed}"
    (path / "evals").mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump(config))
    identity = {"seed": seed, "pool": "p", "eval_pool": "e", "precision": "float32", "starts": [{"git": "abc"}]}
    (path / "run.json").write_text(json.dumps(identity | (facts or {})))
    status = {"state": state, "step": 40, "pid": 1, "host": "elsewhere", "heartbeat": 0.0, "reason": "a reason"}
    (path / "status.json").write_text(json.dumps(status))
    scores = dict(zip(EVALS, curve(gain, seed), strict=True))
    rows = []
    for step in range(41):
        row = {"step": float(step), "ledger/rollouts": step * SIZE, "ledger/tokens": 7 * step * SIZE}
        row |= {"ledger/seconds": 2.0 * step, "ledger/reference_rollouts": 160 if sampler == "bots" else 0}
        if step:
            row |= {"group/etr": 0.5, "group/yield": 0.25, "group/all_fail": 0.5, "step/rollouts": float(SIZE)}
        if step in scores:
            wins = np.random.default_rng(step).permutation(TASKS * 4)[: round(scores[step] * TASKS * 4)] % TASKS
            count = np.bincount(wins, minlength=TASKS)
            found = [{"task": f"t{i:03d}", "wins": int(w), "trials": 4} for i, w in enumerate(count)]
            file = path / "evals" / f"step_{step:06d}.jsonl"
            file.write_text("".join(json.dumps(r) + "\n" for r in found))
            row |= {"eval/accuracy": float(count.sum() / (4 * TASKS)), "eval/pass@1": float(count.sum() / (4 * TASKS))}
        rows.append(json.dumps(row) + "\n")
    (path / "metrics.jsonl").write_text("".join(rows))
    return path


def grid(root: Path, arms: dict[str, float], seeds: Sequence[int] = range(5), **keys: Any) -> Path:
    for sampler, gain in arms.items():
        for seed in seeds:
            make(root, sampler, seed, gain, **keys)
    return root
