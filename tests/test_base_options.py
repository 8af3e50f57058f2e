"""What runs the base model and shapes the adapter: the same maths, or one line that says what is missing."""

import functools
from types import SimpleNamespace

import pytest
import torch
from peft.tuners.lora import LoraLayer

from rftlab import base_options
from rftlab.base_options import check_base_options
from rftlab.core import InputError
from rftlab.engines.base import Job, Sampling
from rftlab.lab import build_engine
from rftlab.models import check_adapter
from test_policy import DATASET, batch_of, build, close, compose, gradient, moved, update, weights

GPU = torch.device("cuda")


def test_attention_is_a_matter_of_speed():
    assert close(gradient("model.attention=eager"), gradient("model.attention=sdpa"))


def test_a_compiled_forward_is_the_same_forward_and_leaves_names_alone(monkeypatch, tmp_path):
    """Traced as it is, without the minutes of its machine code."""
    traced, compiler = [], torch.compile

    def compile_(module, **options):
        traced.append(module)
        return compiler(module, backend="eager", **options)

    plain = gradient()
    monkeypatch.setattr(torch, "compile", compile_)
    assert close(gradient("model.compile=true"), plain) and len(traced) == 1
    policy, _ = build("model.compile=true")
    policy.save(tmp_path)
    other, _ = build("seed=5")
    other.load(tmp_path)
    assert torch.equal(weights(other), weights(policy))


def test_the_adapter_trains_in_float32_on_a_bfloat16_base_with_and_without_checkpointing():
    a, b = (gradient("model.dtype=bfloat16", f"model.gradient_checkpointing={on}") for on in ("false", "true"))
    assert a.dtype == torch.float32 and a.any() and close(a, b)
    policy, _ = build("model.dtype=bfloat16", "model.lora.dora=true")
    assert {p.dtype for p in policy.parameters} == {torch.float32}
    assert {p.dtype for p in policy.model.parameters() if not p.requires_grad} == {torch.bfloat16}


def test_rslora_scales_by_the_root_of_the_rank():
    policy, _ = build("model.lora.rslora=true", "model.lora.r=16", "model.lora.alpha=8")
    scalings = {m.scaling["default"] for m in policy.model.modules() if isinstance(m, LoraLayer)}
    assert scalings == {8 / 16**0.5}


@pytest.mark.parametrize("overrides", [["model.lora.rslora=true"], ["model.lora.dora=true"]])
def test_variants_of_the_adapter_learn_and_the_engine_follows(overrides):
    policy, engine = build(*overrides)
    assert engine.merged == ("dora" not in overrides[0])
    for step in range(2):
        groups, picks = batch_of(engine, step=step)
        before = weights(policy)
        assert update(policy, groups, picks).metrics["sync/logp_gap"] < 1e-4
        assert not torch.equal(weights(policy), before)
        engine.sync(policy)


def test_an_adapter_with_magnitudes_is_not_merged():
    with pytest.raises(InputError, match=r"engine.merged=true with a DoRA adapter .* give engine.merged=null"):
        build("model.lora.dora=true", "engine.merged=true")


def test_a_dora_adapter_is_evaluated_as_one_whatever_the_configuration_says(tmp_path):
    policy, engine = build("model.lora.dora=true")
    groups, picks = batch_of(engine)
    update(policy, groups, picks)
    policy.save_weights(tmp_path)
    with pytest.raises(
        InputError, match=r"has dora=true, model.lora.dora=false was asked for; give model.lora.dora=tr"
    ):
        check_adapter(tmp_path, build()[0].cfg, train=True)

    again, other = build_engine(compose([f"init_from={tmp_path}", "model.lora.dora=true"]), DATASET, lambda: None)
    engine.sync(policy)
    other.sync(again)
    assert not other.merged
    jobs = [Job(DATASET.train.tasks[0], 0, 4)]
    a, b = (e.generate(jobs, Sampling(24), ("x",)) for e in (engine, other))
    assert [c.text for c in a[0]] == [c.text for c in b[0]]


def options(**given):
    return SimpleNamespace(**{"attention": None, "quantize": None, "liger": False} | given)


@pytest.mark.parametrize(
    "given, instead",
    [
        ({"attention": "flash_attention_2"}, "model.attention=sdpa"),
        ({"quantize": "4bit"}, "model.quantize=null"),
        ({"liger": True}, "model.liger=false"),
    ],
)
def test_what_wants_a_gpu_or_a_package_says_so_in_one_line(given, instead, monkeypatch):
    with pytest.raises(InputError, match=rf"wants a CUDA GPU, found cpu; give {instead}"):
        check_base_options(options(**given), torch.bfloat16, torch.device("cpu"))
    check = functools.partial(check_base_options, options(**given), torch.bfloat16, GPU)
    monkeypatch.setattr(base_options, "_version", lambda _: None)
    with pytest.raises(InputError, match=rf"found none; pip install '[a-z-]+>=[\d.]+', or give {instead}"):
        check()
    monkeypatch.setattr(base_options, "_version", lambda _: "0.8.4+cu130")
    if "liger" in given:
        with pytest.raises(InputError, match=r"wants liger-kernel>=0.8.5, found 0.8.4"):
            check()
    monkeypatch.setattr(base_options, "_version", lambda _: "10.0")
    check()


def test_flash_attention_has_no_float32(monkeypatch):
    monkeypatch.setattr(base_options, "_version", lambda _: "10.0")
    with pytest.raises(InputError, match=r"no float32; give model.dtype=bfloat16"):
        check_base_options(options(attention="flash_attention_2"), torch.float32, GPU)


def test_an_adapter_on_the_vocabulary_projection_is_refused():
    with pytest.raises(InputError, match="adapts the vocabulary projection"):
        moved("model.lora.targets=[q_proj,lm_head]")
