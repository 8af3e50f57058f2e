"""Random models have the shape of the published ones and are read like any other folder."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoConfig, AutoModelForCausalLM

from rftlab import random_models
from rftlab.core import InputError, Task
from rftlab.prompts import Prompts

PARAMETERS = {  # as their model cards and safetensors count them, a tied head once
    "deepseek-r1-distill-qwen-1.5b": 1_777_088_000,
    "deepseek-r1-distill-qwen-7b": 7_615_616_512,
    "llama-3.2-1b": 1_235_814_400,
    "llama-3.2-3b": 3_212_749_824,
    "qwen2.5-0.5b": 494_032_768,
    "qwen2.5-1.5b": 1_543_714_304,
    "qwen2.5-3b": 3_085_938_688,
    "qwen2.5-7b": 7_615_616_512,
    "qwen2.5-math-1.5b": 1_543_714_304,
    "qwen2.5-math-7b": 7_615_616_512,
    "qwen3-0.6b": 596_049_920,
    "qwen3-1.7b": 1_720_574_976,
    "qwen3-4b": 4_022_468_096,
    "qwen3-8b": 8_190_735_360,
    "smollm2-135m": 134_515_008,
    "smollm2-1.7b": 1_711_376_384,
    "smollm2-360m": 361_821_120,
}
TASK = Task("t", 0, ({"role": "user", "content": "sort: 3 1 2"},), "1 2 3")


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("RFTLAB_CACHE", str(tmp_path))
    return tmp_path


@pytest.fixture
def small(tmp_path) -> str:
    """A Qwen3 of two narrow layers."""
    shape = json.loads((random_models.SHAPES / "qwen3-0.6b.json").read_text())
    shape |= {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2}
    shape |= {"head_dim": 16, "intermediate_size": 96, "vocab_size": 999, "eos_token_id": [998]}
    (tmp_path / "small.json").write_text(json.dumps(shape))
    return f"random:{tmp_path / 'small.json'}"


@pytest.mark.parametrize(
    ("shape", "wanted"),
    [
        ([1], "no model_type in it; wanted an object like a model's config.json"),
        ({"hidden_size": 64}, "no model_type in it"),
        ({"model_type": "nonsense"}, "model_type is nonsense; wanted"),
        ({"model_type": "qwen3", "hidden_size": "wide"}, "qwen3 has no such shape"),
    ],
)
def test_a_shape_that_is_none_is_said_to_be_that_and_not_kept(shape, wanted, tmp_path, cache):
    file = tmp_path / "shape.json"
    file.write_text(json.dumps(shape))
    for _ in range(2):
        with pytest.raises(InputError, match=rf"^model\.path=random:{file}: {wanted}"):
            Prompts.load(f"random:{file}")


def test_every_shape_is_listed_here():
    assert {p.stem for p in random_models.SHAPES.glob("*.json")} == set(PARAMETERS)


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_shape_has_as_many_parameters_as_the_published_model(name, cache):
    config = AutoConfig.from_pretrained(random_models.folder(f"random:{name}"))
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert sum(p.numel() for p in model.parameters()) == PARAMETERS[name]


@pytest.mark.parametrize("name", ["qwen2.5-0.5b", "qwen3-0.6b", "llama-3.2-1b", "smollm2-135m"])
def test_its_tokenizer_is_the_bundled_one_and_costs_no_weights(name, cache):
    prompts = Prompts.load(f"random:{name}")
    assert prompts.ids(TASK).tolist() == Prompts.load("bundled:tiny").ids(TASK).tolist()
    assert not list(cache.rglob("*.safetensors"))


def test_tokens_above_the_tokenizers_vocabulary_are_no_text(cache):
    prompts = Prompts.load("random:qwen2.5-0.5b")
    assert prompts.text(np.array([300, 151_000, 151_935], np.int32)) == ""
    known = prompts.ids(TASK)
    assert "sort" in prompts.text(np.concatenate([known, np.array([151_000], np.int32)]))


def test_weights_are_a_function_of_the_shape_and_leave_the_random_state_alone(small, cache, monkeypatch, tmp_path):
    torch.manual_seed(7)
    here = (random_models.weights(small) / "model.safetensors").read_bytes()
    drawn = torch.rand(1)
    torch.manual_seed(7)
    assert torch.equal(drawn, torch.rand(1))
    monkeypatch.setenv("RFTLAB_CACHE", str(tmp_path / "another"))
    assert (random_models.weights(small) / "model.safetensors").read_bytes() == here


def test_a_folder_without_weights_is_completed(small, cache):
    there = random_models.folder(small)
    assert not (there / "model.safetensors").exists()
    assert random_models.weights(small) == there
    model = AutoModelForCausalLM.from_pretrained(there)
    assert model.dtype == torch.bfloat16 and model.generation_config.eos_token_id == [998]


def test_an_unknown_shape_names_those_there_are(cache):
    with pytest.raises(InputError, match=r"random:qwen9: no such shape.*qwen2\.5-0\.5b"):
        random_models.folder("random:qwen9")
