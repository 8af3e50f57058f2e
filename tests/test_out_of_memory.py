"""A full GPU: the run saves, says what to lower, and goes on when that is done."""

import pytest
import torch
from safetensors.torch import load_file

from rftlab.cli import main
from rftlab.config import compose
from rftlab.engines.hf import HFEngine
from rftlab.forward import Forward
from rftlab.out_of_memory import explained
from rftlab.policy import Policy
from rftlab.tracking import read_jsonl

TRAIN = [
    "train",
    "budget.prompts=4",
    "budget.group_size=4",
    "budget.steps=4",
    "budget.rollouts=1000",  # far away: no save but where something failed
    "eval.limit=4",
    "eval.samples=1",
    "eval.every_rollouts=1000",
    "panel.tasks=0",
    "tracking.wandb=off",
]


def full(*_, **__):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 24 GiB")


def result(outputs):
    (path,) = outputs.glob("*/*/*/seed0")
    return path, load_file(path / "adapters/last/adapter_model.safetensors")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    outputs = tmp_path_factory.mktemp("unbroken")
    assert main([*TRAIN, f"outputs_dir={outputs}"]) == 0
    return result(outputs)[1]


def fails_in_step(monkeypatch, step, owner, name, version):
    """``owner.name`` runs out of memory once the policy has had ``step - 1`` updates."""
    original = getattr(owner, name)

    def limited(self, *args, **kwargs):
        return full() if version(self) >= step - 1 else original(self, *args, **kwargs)

    monkeypatch.setattr(owner, name, limited)


@pytest.mark.parametrize("place", ["update", "generate", "sync"])
def test_the_same_command_goes_on_to_the_unbroken_result(place, unbroken, tmp_path, monkeypatch, capsys):
    command = [*TRAIN, f"outputs_dir={tmp_path}"]
    with monkeypatch.context() as patch:
        if place == "update":
            seen = []  # the forwards of three updates, a micro-batch each
            fails_in_step(patch, 3, Forward, "logp", lambda _: (seen.append(1), len(seen) - 1)[1])
        else:
            owner, name = HFEngine, {"generate": "_model", "sync": "sync"}[place]
            fails_in_step(patch, 3, owner, name, lambda engine: engine.policy.version)
        assert main(command) == 2
    said = capsys.readouterr().err.strip().splitlines()[-1]
    assert said == (
        "rftlab: out of GPU memory for another 2.00 GiB: lower model.micro_batch_tokens=2048, or lower "
        "engine.max_rows=512, or give model.gradient_checkpointing=true; the same command with that goes on from what "
        "was saved"
    )
    (path,) = tmp_path.glob("*/*/*/seed0")
    saved = [p.name for p in path.glob("checkpoints/step_*")]
    assert saved == ([] if place == "sync" else ["step_000002"])  # weights that moved on are no step boundary
    assert main([*command, "engine.max_rows=256", "model.gradient_checkpointing=true"]) == 0
    path, adapter = result(tmp_path)
    assert [row["step"] for row in read_jsonl(path / "metrics.jsonl")] == [0, 1, 2, 3, 4]
    for name, value in unbroken.items():
        assert torch.allclose(adapter[name], value, atol=1e-5), name


def test_a_checkpoint_that_finds_no_room_is_not_damaged(tmp_path, monkeypatch, capsys):
    command = [*TRAIN, f"outputs_dir={tmp_path}"]
    assert main([*command, "budget.steps=1"]) == 0
    with monkeypatch.context() as patch:
        patch.setattr(Policy, "load", full)
        assert main(command) == 2
    assert "rftlab: out of GPU memory for another 2.00 GiB" in capsys.readouterr().err
    assert main(command) == 0
    assert "going on after step 1, from step_000001" in capsys.readouterr().out


def test_what_is_named_is_what_the_engine_and_the_model_have():
    error = torch.OutOfMemoryError("CUDA out of memory.")
    said = str(explained(error, compose(["engine=vllm", "model.gradient_checkpointing=true"])))
    assert "lower engine.gpu_memory_utilization=null" in said and "max_rows" not in said
    assert "lower model.max_new_tokens=24 (then it is another run)" in said
    other = RuntimeError("something else")
    assert explained(other, compose([])) is other
