"""Which rollouts share a line."""

from types import SimpleNamespace

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from rftlab import packing
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


def model(stateful=False, **config):
    named = SimpleNamespace(**{"_attn_implementation": "sdpa"} | config)
    return SimpleNamespace(config=SimpleNamespace(get_text_config=lambda: named), _is_stateful=stateful)


def test_layers_that_take_no_mask_of_ours_keep_a_line_a_row():
    assert packing.possible(model()) and packing.possible(model(layer_types=["full_attention"], sliding_window=512))
    assert packing.possible(model(layer_types=["sliding_attention"], sliding_window=4096))
    assert not packing.possible(model(layer_types=["full_attention", "sliding_attention"], sliding_window=512))
    assert not packing.possible(model(layer_types=["full_attention", "linear_attention"]))
    assert not packing.possible(model(stateful=True))
    assert not packing.possible(model(_attn_implementation="flash_attention_2"))
