"""The bundled models load like any other, and the recorded pass rates are theirs."""

import hashlib
import json
import string
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from rftlab.datasets import ladder

ASSETS = Path(str(files("rftlab"))) / "assets"
NAMES = ("tiny", "tiny-strong")


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module", params=NAMES)
def name(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def tokenizer(name):
    return AutoTokenizer.from_pretrained(ASSETS / name, local_files_only=True)


@pytest.fixture(scope="module")
def model(name):
    return AutoModelForCausalLM.from_pretrained(ASSETS / name, local_files_only=True, dtype=torch.float32).eval()


@torch.inference_mode()
def answers(model, tokenizer, texts: list[str], **sampling) -> list[str]:
    prompts = [
        tokenizer.apply_chat_template([{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True)
        for text in texts
    ]
    batch = tokenizer(prompts, return_tensors="pt", padding=True)
    out = model.generate(**batch, max_new_tokens=24, **sampling)
    return [
        text.strip() for text in tokenizer.batch_decode(out[:, batch.input_ids.shape[1] :], skip_special_tokens=True)
    ]


def test_each_model_takes_at_most_three_megabytes(name):
    assert sum(file.stat().st_size for file in (ASSETS / name).iterdir()) <= 3_000_000


def test_weights_are_a_small_qwen2_in_half_precision(name):
    config = json.loads((ASSETS / name / "config.json").read_text())
    assert (config["model_type"], config["dtype"], config["hidden_size"]) == ("qwen2", "bfloat16", 128)


def test_printable_characters_and_newline_are_one_token_each(tokenizer):
    for character in [*map(chr, range(32, 127)), "\n"]:
        assert len(tokenizer(character).input_ids) == 1, repr(character)
    text = "".join(sorted(string.printable)) + "  two  spaces ,and ' n't .\n\n"
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_any_other_character_survives_as_bytes(tokenizer):
    text = "é 漢字 🙂 ½ £5 – “quoted”"
    assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_special_tokens_are_single_distinct_and_agree_with_the_model(tokenizer, model):
    ids = [tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id]
    assert len(set(ids)) == 3
    assert len(tokenizer) == model.get_input_embeddings().num_embeddings
    for config in (model.config, model.generation_config):
        assert [config.pad_token_id, config.bos_token_id, config.eos_token_id] == ids


def test_chat_template_marks_roles_and_opens_the_answer(tokenizer):
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "copy ab"}]
    text = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert text == "<|start|><|system|>s<|end|><|user|>copy ab<|end|><|assistant|>"
    assert len(tokenizer(text).input_ids) == len("copy ab") + len("s") + 6
    closed = tokenizer.apply_chat_template([*messages, {"role": "assistant", "content": "ab"}], tokenize=False)
    assert closed == text + "ab<|end|>"


def test_every_answer_of_the_ladder_fits_into_the_default_completion(tokenizer):
    pool = ladder.load(limit=None, references=None).train
    assert max(len(tokenizer(task.answer).input_ids) for task in pool.tasks) + 1 <= 24


def test_a_long_prompt_fits_the_context(tokenizer, model):
    batch = tokenizer("Natalia sold clips to 48 of her friends. " * 40, return_tensors="pt")
    assert batch.input_ids.shape[1] > 1500
    with torch.inference_mode():
        assert torch.isfinite(model(**batch).logits).all()


def test_the_strong_model_solves_the_first_rungs():
    folder = ASSETS / "tiny-strong"
    model = AutoModelForCausalLM.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()
    problems = {"copy qx": "qx", "reverse ab": "ba", "sort t": "t", "shift cd": "de", "sum 35": "38", "add 42": "6"}
    given = answers(model, AutoTokenizer.from_pretrained(folder), list(problems), do_sample=False)
    assert dict(zip(problems, given, strict=True)) == problems


def test_recorded_rates_belong_to_these_weights(name):
    shipped = json.loads((ASSETS / ladder.REFERENCES_FILE).read_text())
    weights = (ASSETS / name / "model.safetensors").read_bytes()
    assert shipped["weights_sha256"][name] == hashlib.sha256(weights).hexdigest()
    assert shipped["fingerprint"] == ladder.load(limit=None, references=None).train.fingerprint


def test_recorded_rates_are_met_by_a_fresh_sample(name, tokenizer, model):
    """Mean over 200 tasks x 4 rollouts within 4 standard errors, both samples being binomial given the task."""
    pool = ladder.load(limit=200, references=[name]).train
    recorded = pool.references[name]
    torch.manual_seed(1)
    texts = [task.prompt[0]["content"] for task in pool.tasks]
    given = answers(model, tokenizer, texts, do_sample=True, top_k=0, num_return_sequences=4)
    right = np.array([a == task.answer for a, task in zip(given, np.repeat(pool.tasks, 4), strict=True)])
    variance = recorded * (1 - recorded)
    error = np.sqrt((variance.mean() / 4 + variance.mean() / 16) / 200)
    assert abs(right.mean() - recorded.mean()) < 4 * error + 0.002
    by_task = right.reshape(-1, 4).mean(axis=1)
    assert np.corrcoef(by_task, recorded)[0, 1] > 0.6
