"""Updates on injected groups, alone or as one of the ranks: ``python updates.py GROUPS OUT``."""

from __future__ import annotations

import os
import pickle
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from torch.distributed.tensor import DTensor

from rftlab.config import build_dataset, compose
from rftlab.core import Group, Pick, Verdict
from rftlab.engines.base import Job, Sampling
from rftlab.lab import build_engine
from rftlab.ranks_run import together

PLAIN = ("algo.max_grad_norm=1e9", "engine._target_=rank_engines.Holds")
CASES = {
    "plain": (),
    "small micro-batches": ("model.micro_batch_tokens=40",),
    "passes": ("algo.epochs=2", "algo.minibatches=3"),
    "kl": ("algo.kl=0.1",),
    "checkpointing": ("model.gradient_checkpointing=true",),
}
RAGGED = (6, 4, 5, 3, 4, 2)
"""Rollouts of each task."""


def groups() -> list[Group]:
    """Groups of the untrained policy with rewards set by hand; the last is dead."""
    dataset = build_dataset(compose([]))
    policy, engine = build_engine(compose([]), dataset, lambda: None)
    engine.sync(policy)
    jobs = [Job(dataset.train.tasks[i], 0, n) for i, n in enumerate(RAGGED)]
    done = engine.generate(jobs, Sampling(24), ("train", 0, 1))
    rewards = [[float((i + k) % 3 == 0) if i < 5 else 1.0 for k in range(n)] for i, n in enumerate(RAGGED)]
    return [
        Group(job.task, tuple(c), tuple(Verdict(r, r == 1) for r in rs), 1)
        for job, c, rs in zip(jobs, done, rewards, strict=True)
    ]


def picks(found: list[Group]) -> list[tuple[Group, Pick]]:
    return [(group, Pick(group.task.index, np.arange(len(group.completions)))) for group in found]


def measure(batch: list[tuple[Group, Pick]], *overrides: str) -> dict[str, object]:
    """Two updates of a fresh policy: the first gradient (from Adam's moment), the weights after both, the metrics."""
    cfg = compose([*PLAIN, *overrides])
    policy, engine = build_engine(cfg, build_dataset(cfg), lambda: None)
    info = policy.update(batch, [group for group, _ in batch], group_size=4, target_groups=6, rollouts=10**6)
    moments = [policy.optimizer.state[p].get("exp_avg", torch.zeros_like(p)).flatten() for p in policy.parameters]
    result = {"metrics": dict(info.metrics), "gradient": torch.cat(moments)}
    policy.update(batch, [], group_size=4, target_groups=6, rollouts=10**6)  # now carried from an earlier version
    result["elements"] = sum(local(p).numel() for p in policy.model.parameters())
    result["weights"] = torch.cat([p.detach().flatten() for p in policy.parameters]).clone()
    engine.close()
    return result


def blamed(found: list[Group], *overrides: str) -> tuple[float, int, int]:
    """The worst engine by the sums over ranks: engine 1 has sampled a quarter of the rollouts, off by 0.002 nats."""
    groups = []
    for group in found:
        completions = [
            replace(c, engine=1, logps=c.logps - 0.002) if i == 1 else c for i, c in enumerate(group.completions)
        ]
        groups.append(replace(group, completions=tuple(completions)))
    cfg = compose([*PLAIN, "algo.max_logp_gap=1", *overrides])
    policy, engine = build_engine(cfg, build_dataset(cfg), lambda: None)
    asked = []
    policy.canary = SimpleNamespace(check=lambda totals, version: asked.append(totals.worst()))
    policy.update(picks(groups), groups, group_size=4, target_groups=6, rollouts=10**6)
    engine.close()
    return asked[-1]


def local(parameter: torch.Tensor) -> torch.Tensor:
    """What of it lies on this rank."""
    return parameter.to_local() if isinstance(parameter, DTensor) else parameter


def all_cases(found: list[Group], *overrides: str) -> dict[str, dict[str, object]]:
    results = {name: measure(picks(found), *case, *overrides) for name, case in CASES.items()}
    results["dead group"] = measure(picks(found[5:]), *overrides)
    results["one row"] = measure([(found[0], Pick(found[0].task.index, np.array([0]), baseline=0.5))], *overrides)
    return results


def main() -> int:
    found = pickle.loads(Path(sys.argv[1]).read_bytes())
    results = {
        base: all_cases(found, *options) | {"blamed": blamed(found, *options)}
        for base, options in (("whole", ()), ("split", ("shard=true",)))
    }
    torch.save(results, sys.argv[2])
    return 0


if __name__ == "__main__":
    torch.set_num_threads(1)
    sys.path.insert(0, os.path.dirname(__file__))
    sys.exit(together(["train"], main))
