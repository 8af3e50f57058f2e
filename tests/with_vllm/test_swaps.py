"""The hand-over of adapters: vLLM follows the policy, says when it does not, and keeps nothing of the past."""

import gc
import os
from pathlib import Path

import psutil
import pytest

from rftlab import loop
from rftlab.canary import CanaryError
from rftlab.config import check, compose
from rftlab.doctor import doctor
from rftlab.engines.vllm_local import Local
from rftlab.tracking import read_jsonl
from vllm_tools import KV, LOGP, SAMPLING, STREAM, build, jobs, perturb, trainer_gap, update

RUN = [
    *("engine=vllm", KV, "budget=smoke", "budget.prompts=8", "eval.limit=8", "eval.samples=1", "panel.tasks=0"),
    *("eval.every_rollouts=100000", "tracking=none", "checkpoint.every_steps=1", "algo.lr=3e-3"),
]


def test_after_each_of_five_updates_the_canary_moves_and_agrees():
    policy, engine = build()
    engine.sync(policy)
    for step in range(5):
        metrics = update(policy, engine, step)  # stops by itself when the engine is not at the present version
        assert metrics["sync/logp_gap_max"] < LOGP
        asked = jobs(range(100, 108))
        stale = trainer_gap(policy, asked, engine.generate(asked, SAMPLING, STREAM))
        assert stale > 20 * LOGP
        engine.sync(policy)
        assert engine.version == policy.version == step + 1
        assert trainer_gap(policy, asked, engine.generate(asked, SAMPLING, STREAM)) < LOGP
    engine.close()


def run(outputs: Path) -> Path:
    cfg = compose([*RUN, f"outputs_dir={outputs}"])
    check(cfg)
    return loop.train(cfg)


def test_a_stale_adapter_is_caught_within_one_step_and_nothing_is_lost(tmp_path, monkeypatch):
    """The mistake that vLLM invites: a new folder under the number of the old one is not read."""

    def same_number(self, name, number, folder):
        from vllm.lora.request import LoRARequest

        self._adapter = LoRARequest("adapter", 1, str(folder))
        self._give()

    with monkeypatch.context() as broken:
        broken.setattr(Local, "load", same_number)
        with pytest.raises(CanaryError, match="does not sample from the policy that is trained"):
            run(tmp_path)
    (path,) = tmp_path.glob("*/*/*/seed0")
    rows = read_jsonl(path / "metrics.jsonl")
    first = next(row["step"] for row in rows if row.get("train/grad_norm", 0) > 0)
    assert rows[-1]["step"] == first, "the step after the first that moved the weights is the one that stops"
    assert run(tmp_path) == path, "the same command goes on"
    after = read_jsonl(path / "metrics.jsonl")
    assert [row["step"] for row in after] == list(range(7)) and after[: len(rows) - 1] == rows[:-1]
    assert all(row.get("sync/logp_gap_max", 0.0) < LOGP for row in after)


def test_twenty_swaps_leave_one_adapter_and_no_memory():
    policy, engine = build()
    asked, process, used = jobs(range(4)), psutil.Process(), []
    for swap in range(24):
        perturb(policy, seed=swap)
        engine.sync(policy)
        engine.generate(asked, SAMPLING, STREAM)
        gc.collect()
        used.append(process.memory_info().rss / 2**20)
    assert os.listdir(engine._folder.name) == ["24"]
    assert engine.backend.engine.list_loras() == {24}
    adapter = sum(p.numel() * 4 for p in policy.parameters) / 2**20
    assert used[-1] - used[3] < 10 * adapter, f"20 swaps of {adapter:.1f} MiB each took {used[-1] - used[3]:.1f} MiB"
    engine.close()


def test_doctor_sees_fresh_stale_and_synced(capfd):
    assert doctor(compose(["engine=vllm", KV], verb="doctor")) == 0
    said = capfd.readouterr().out
    assert all(f"ok    {line}" in said for line in ("canary", "stale", "sync"))
