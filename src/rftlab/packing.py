"""Rollouts of one prompt on one line: the prompt is computed once, forward and backward, for all of them.

A line is a prompt followed by completions, each of which sees the prompt and itself. The maths is that of separate
rows: positions go on from the prompt for every completion, and the mask hides the others. What it saves is the prompt's
share of a rollout; what it costs is attention to hidden positions, so that lines stay short, and a mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from rftlab.update import Row

BESIDE = 256
"""Completion tokens that share a line in any case; as many as the prompt has may."""
LONGEST = 2048
"""Positions of a line that is shared: bounds its mask. No longer line is beside it: a mask replaces windows."""


def possible(model: Any) -> bool:
    """Whether every layer of a causal model is attention that takes a mask of ours and no window within it.

    A model that has a window and does not say of which layers it is (Mistral) has it in all.
    """
    config = model.config.get_text_config()
    window = getattr(config, "sliding_window", None)
    kinds = set(getattr(config, "layer_types", None) or ["sliding_attention" if window else "full_attention"])
    return (
        kinds <= {"full_attention", "sliding_attention"}
        and (kinds == {"full_attention"} or (window or 0) >= LONGEST)
        and not getattr(model, "_is_stateful", False)  # a recurrence has no mask
        and config._attn_implementation in ("sdpa", "eager")
    )


def lines(rows: Sequence[Row], micro_batch_tokens: int) -> list[list[int]]:
    """Positions of the rows on each line, by falling length; a row that finds no room has a line of its own."""
    found: list[list[int]] = []
    room: dict[bytes, int] = {}  # of each prompt's newest line
    newest: dict[bytes, list[int]] = {}
    for i in sorted(range(len(rows)), key=lambda i: (-len(rows[i].tokens), i)):
        prompt, size = rows[i].prompt.tobytes(), len(rows[i].tokens)
        if size <= room.get(prompt, -1):
            newest[prompt].append(i)
            room[prompt] -= size
        else:
            start = len(rows[i].prompt)
            newest[prompt] = [i]
            room[prompt] = beside(start, micro_batch_tokens) - size
            found.append(newest[prompt])
    return found


def beside(prompt: int, micro_batch_tokens: int) -> int:
    """How many completion tokens share the line of a prompt of so many tokens; a single completion may have more."""
    return min(max(BESIDE, prompt), min(LONGEST, micro_batch_tokens) - prompt)


def length(rows: Sequence[Row]) -> int:
    """Positions of a line of rows that have one prompt."""
    return len(rows[0].prompt) + sum(len(r.tokens) for r in rows)


def hidden(segment: Tensor, dtype: torch.dtype) -> Tensor:
    """The mask [B, 1, T, T] that is added to attention scores: 0 where a position is seen, else the smallest number.

    Args:
        segment: int64 [B, T], 0 in the prompt and the padding, j in the j-th completion.
        dtype: of the model's activations.
    """
    query, key = segment[:, None, :, None], segment[:, None, None, :]
    width = segment.shape[1]
    seen = ((key == 0) | (key == query)) & torch.ones(width, width, dtype=torch.bool, device=segment.device).tril()
    return torch.zeros(seen.shape, dtype=dtype, device=seen.device).masked_fill_(~seen, torch.finfo(dtype).min)
