"""Whole runs with vLLM: they learn as with transformers, and a stopped one ends as the unbroken one."""

import numpy as np
import pytest
from safetensors.numpy import load_file

from rftlab import loop
from rftlab.config import check, compose
from rftlab.tracking import read_jsonl
from vllm_tools import KV, LOGP

SHORT = [
    *("budget.prompts=8", "budget.group_size=8", "budget.steps=30", "dataset.limit=16", "eval.limit=8"),
    *("eval.samples=1", "eval.every_rollouts=100000", "panel.tasks=0", "tracking=none", "algo.lr=3e-3"),
]
VLLM = ["engine=vllm", KV]


def run(outputs, *overrides):
    cfg = compose([*SHORT, f"outputs_dir={outputs}", *overrides])
    check(cfg)
    return loop.train(cfg)


def rewards(path):
    return np.array([row["reward/mean"] for row in read_jsonl(path / "metrics.jsonl") if row["step"] > 0])


def record(path):
    """All that must be equal: everything but the clock."""
    rows = [
        {k: v for k, v in row.items() if not k.startswith(("time/", "rate/", "memory/")) and k != "ledger/seconds"}
        for row in read_jsonl(path / "metrics.jsonl")
    ]
    weights = load_file(path / "adapters" / "last" / "adapter_model.safetensors")
    texts = [p.read_bytes() for p in sorted((path / "completions").iterdir())]
    return rows, (path / "groups.jsonl").read_bytes(), texts, {k: v.tobytes() for k, v in weights.items()}


def test_thirty_steps_learn_as_with_transformers(tmp_path):
    """On 16 tasks, which both solve far more often at the end than at the start; two seeds show the spread."""
    curves = {
        engine: [rewards(run(tmp_path / engine, *options, f"seed={seed}")) for seed in (0, 1)]
        for engine, options in (("hf", []), ("vllm", VLLM))
    }
    start, end = ({e: np.array([part(c).mean() for c in both]) for e, both in curves.items()} for part in (first, last))
    for engine in curves:
        assert (end[engine] > start[engine] + 0.1).all(), (engine, start, end)
    spread = max(np.ptp(end["hf"]), np.ptp(end["vllm"]), 0.05)
    assert abs(end["hf"].mean() - end["vllm"].mean()) < 2 * spread, (start, end)


def first(curve):
    return curve[:5]


def last(curve):
    return curve[-5:]


def test_a_stopped_run_goes_on_and_ends_as_the_unbroken_one(tmp_path, monkeypatch):
    short = [*VLLM, "budget.steps=8", "checkpoint.every_steps=3"]
    whole = run(tmp_path / "whole", *short)
    real, calls = loop.take_step, iter(range(100))

    def stopped_at_the_fifth(*args):
        if next(calls) == 4:
            raise RuntimeError("killed")
        real(*args)

    with monkeypatch.context() as dying:
        dying.setattr(loop, "take_step", stopped_at_the_fifth)
        with pytest.raises(RuntimeError, match="killed"):
            run(tmp_path / "broken", *short)
    broken = run(tmp_path / "broken", *short)
    (rows, *files), (again, *others) = record(whole), record(broken)
    assert files == others, "groups, completions and weights are equal to the last bit"
    assert rows == again and all(row.get("sync/logp_gap_max", 0.0) < LOGP for row in rows)
