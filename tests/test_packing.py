"""Which rollouts share a line."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from peft import LoraConfig, get_peft_model
from transformers import (
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
)

from rftlab import packing
from rftlab.forward import Forward
from rftlab.ranks import Alone
from rftlab.update import Row


def rows(sizes):
    """Rows from (prompt, length of the prompt, length of the completion)."""
    return [
        Row(np.full(width, name), np.zeros(n, np.int32), np.zeros(n, np.float32), 1.0, 1.0, True)
        for name, width, n in sizes
    ]


SIZES = st.lists(st.tuples(st.integers(0, 3), st.integers(1, 2), st.integers(1, 300)), min_size=1, max_size=40)


@given(SIZES, st.integers(1, 3000))
def test_every_row_is_on_one_line_with_its_own_prompt_within_the_bounds(sizes, bound):
    given_rows = rows(sizes)
    lines = packing.lines(given_rows, bound)
    assert sorted(i for line in lines for i in line) == list(range(len(sizes)))
    for line in lines:
        on = [given_rows[i] for i in line]
        assert len({row.prompt.tobytes() for row in on}) == 1
        assert len(line) == 1 or packing.length(on) <= min(bound, packing.LONGEST)
        assert len(line) == 1 or sum(len(row.tokens) for row in on) <= packing.BESIDE


def test_a_long_prompt_is_shared_by_as_many_tokens_as_it_has():
    lines = packing.lines(rows([(0, 1000, 250)] * 8), 8192)
    assert [len(line) for line in lines] == [4, 4]


def test_a_completion_sees_its_prompt_and_itself():
    seen = packing.hidden(torch.tensor([[0, 0, 1, 1, 2, 0]]), torch.float32)[0, 0] == 0
    assert seen.int().tolist() == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 0, 0, 1, 0],
        [1, 1, 0, 0, 0, 1],  # padding: what it sees is not read
    ]


FAMILIES = {
    "full": (Qwen2ForCausalLM, Qwen2Config, {}),
    "sliding everywhere, said by the window alone": (MistralForCausalLM, MistralConfig, {"sliding_window": 64}),
    "sliding in one layer of two": (
        Gemma3ForCausalLM,
        Gemma3TextConfig,
        {"sliding_window": 64, "head_dim": 16, "layer_types": ["sliding_attention", "full_attention"]},
    ),
}


def forward(family, micro_batch_tokens=2048, **more):
    """The update's forward of a tiny random model."""
    causal, config, options = FAMILIES[family]
    sizes = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 64}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 2, "initializer_range": 0.5}
    tokens = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
    torch.manual_seed(0)
    base = causal(config(**sizes, **heads, **tokens, **options | more)).requires_grad_(False)
    model = get_peft_model(base, LoraConfig(task_type="CAUSAL_LM", r=2, target_modules="all-linear")).eval()
    lora = SimpleNamespace(targets="all-linear")
    cfg = SimpleNamespace(micro_batch_tokens=micro_batch_tokens, compile=False, liger=False, lora=lora)
    algo = SimpleNamespace(temperature=1.0, kl=0.0)
    return Forward(model, cfg, algo, torch.device("cpu"), 0, Alone())


@torch.no_grad()
def logps(update, given_rows):
    """Log-probs of each row's tokens, and whether any line was shared."""
    found, shared = {}, False
    for batch, micro in update.micros(given_rows):
        parts = update.logp(micro).split([len(given_rows[i].tokens) for i in batch])
        found |= zip(batch, parts, strict=True)
        shared |= micro.layout is not None
    return [found[i] for i in range(len(given_rows))], shared


@pytest.mark.parametrize("family", FAMILIES)
def test_a_shared_line_beside_a_longer_one_leaves_every_layer_its_window(family, monkeypatch):
    monkeypatch.setattr(packing, "LONGEST", 64)
    rng = np.random.default_rng(0)
    prompts = [rng.integers(3, 64, n) for n in (20, 20, 9)]
    sizes = [(prompts[0], 15), (prompts[0], 20), (prompts[1], 5), (prompts[2], 120)]
    given_rows = [
        Row(prompt, rng.integers(3, 64, n).astype(np.int32), np.zeros(n, np.float32), 1.0, 1.0, True)
        for prompt, n in sizes
    ]
    update = forward(family)
    packed, shared = logps(update, given_rows)
    update.packs = False
    for one, separate in zip(packed, logps(update, given_rows)[0], strict=True):
        torch.testing.assert_close(one, separate, atol=1e-3, rtol=1e-3)
    assert shared


@pytest.mark.parametrize("family", list(FAMILIES)[1:])
def test_a_window_shorter_than_a_shared_line_keeps_a_line_a_row(family):
    assert not forward(family, sliding_window=packing.LONGEST - 1).packs
    assert forward(family, sliding_window=packing.LONGEST).packs


def test_a_window_that_is_not_in_use_hinders_nothing():
    assert forward("full", sliding_window=16, use_sliding_window=False).packs
    assert forward("sliding everywhere, said by the window alone", sliding_window=None).packs


def model(stateful=False, **config):
    named = SimpleNamespace(**{"_attn_implementation": "sdpa"} | config)
    return SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: named), _is_stateful=stateful)


def test_layers_that_take_no_mask_of_ours_keep_a_line_a_row():
    assert packing.possible(model())
    assert not packing.possible(model(layer_types=["full_attention", "linear_attention"]))
    assert not packing.possible(model(stateful=True))
    assert not packing.possible(model(_attn_implementation="flash_attention_2"))
