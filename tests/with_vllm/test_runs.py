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
    *("eval.samples=1", "eval.every_rollouts=100000", "panel.tasks=0", "tracking=none", "algo.lr=1e-3"),
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
    """Mean rewards of two seeds in six blocks of 640 rollouts, each with a standard error of 0.018 or less."""
    curves = {
        engine: np.mean([rewards(run(tmp_path / engine, *options, f"seed={seed}")) for seed in (0, 1)], axis=0)
        for engine, options in (("hf", []), ("vllm", VLLM))
    }
    hf, vllm = (curve.reshape(6, 5).mean(1) for curve in curves.values())
    for curve in (hf, vllm):
        assert curve[-1] > curve[0] + 0.08, (hf, vllm)
    assert np.abs(hf - vllm).max() < 0.08, (hf, vllm)


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
