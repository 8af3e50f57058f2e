"""From rollouts to the trainer's log-probs, a micro-batch at a time.

On a GPU the host runs ahead of the device: micro-batches are copied from pinned memory without waiting, and nothing
here reads a number back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rftlab import grpo, packing
from rftlab.base_options import liger_projection
from rftlab.core import InputError
from rftlab.ranks import Alone
from rftlab.update import Row

LOGIT_ELEMENTS = 1 << 26
"""Largest float32 logits [chunk, V] of an update, in elements; a micro-batch with more is projected in chunks."""


@dataclass(frozen=True)
class Micro:
    """A micro-batch on the device: B lines (``packing``), M completion tokens in all, row after row."""

    ids: Tensor
    """int64 [B, T], padded on the right."""
    layout: Tensor | None
    """int64 [2, B, T], position and segment of each of ``ids``; None = a line a row, nothing to hide."""
    at: Tensor
    """int64 [M], the position in the flattened ids that predicts each token."""
    targets: Tensor
    """int64 [M], the tokens."""
    row: Tensor
    """int64 [M], the row of each token, from 0."""
    engine_logp: Tensor
    """float32 [M], log-probs of the engine that sampled them."""
    engine: Tensor
    """int64 [M], which engine that was."""
    advantage: Tensor
    """float32 [M]"""
    weight: Tensor
    """float32 [M], factor of each token's loss."""
    fresh: Tensor
    """bool [M], sampled by the present version."""
    padding: int
    """Positions of ``ids`` that hold no token."""


class Forward:
    """Log-probs of rollouts under a model with an adapter.

    Args:
        model: a peft model.
        cfg: the ``model`` group of the configuration.
        algo: the ``algo`` group; logits are divided by its temperature, as in sampling.
        pad: id of the padding token.
        ranks: those over which the base may be split.
    """

    def __init__(self, model: Any, cfg: Any, algo: Any, device: torch.device, pad: int, ranks: Alone) -> None:
        self.model, self.device, self.pad, self.ranks = model, device, pad, ranks
        self.temperature, self.micro_batch_tokens, self.kl = algo.temperature, cfg.micro_batch_tokens, algo.kl
        causal = model.get_base_model()
        self.body, self.head = causal.base_model, causal.get_output_embeddings()
        if self.head.weight.requires_grad or hasattr(self.head, "base_layer"):
            raise InputError(
                f"model.lora.targets={cfg.lora.targets} adapts the vocabulary projection, which the update takes as "
                "frozen; all-linear leaves it out"
            )
        self.dtype, self.packs = self.head.weight.dtype, packing.possible(causal)
        if cfg.compile:  # beside the model, whose names in files stay as they are
            self.body = torch.compile(self.body, dynamic=True)
        self.project = liger_projection() if cfg.liger else project

    def micros(self, rows: Sequence[Row]) -> Iterator[tuple[list[int], Micro]]:
        """Micro-batches of ``rows``, each with the positions of its rows among them.

        With a base that is split over ranks, one that is through first goes on with the others, on nothing.
        """
        lines = packing.lines(rows, self.micro_batch_tokens) if self.packs else [[i] for i in range(len(rows))]
        lengths = [packing.length([rows[i] for i in line]) for line in lines]
        batches = grpo.micro_batches(lengths, self.micro_batch_tokens, packing.LONGEST)
        beyond = self.ranks.most(len(batches)) - len(batches)  # first of all: to ask is work of all ranks too
        for batch in batches:
            yield [i for at in batch for i in lines[at]], self._micro([[rows[i] for i in lines[at]] for at in batch])
        for _ in range(beyond):
            self._accompany()

    def _accompany(self) -> None:
        """The forwards and the backward of one micro-batch of an update, adding zero."""
        one = np.zeros(1, np.int32)
        micro = self._micro([[Row(one, one, one.astype(np.float32), 0.0, 0.0, False)]])
        logp = self.logp(micro)
        if torch.is_grad_enabled():
            if self.kl > 0:
                self.reference(micro)
            (0 * logp).sum().backward()

    def _micro(self, lines: Sequence[Sequence[Row]]) -> Micro:
        width = max(packing.length(line) for line in lines)
        ids = np.full((len(lines), width), self.pad, np.int64)
        layout = np.zeros((2, len(lines), width), np.int64)
        rows, at = [], []
        for b, line in enumerate(lines):
            prompt = line[0].prompt
            ids[b, : len(prompt)] = prompt
            layout[0, b] = np.arange(width)
            end = len(prompt)
            for j, row in enumerate(line, 1):
                start, end = end, end + len(row.tokens)
                ids[b, start:end] = row.tokens
                layout[:, b, start:end] = np.arange(len(prompt), len(prompt) + end - start), np.full(end - start, j)
                # a token is predicted by the one before it, a first token by the prompt's last
                at.append(b * width + np.concatenate([[len(prompt) - 1], np.arange(start, end - 1)]))
                rows.append(row)
        padding = ids.size - sum(packing.length(line) for line in lines)
        lengths = [len(row.tokens) for row in rows]
        tokens = np.concatenate([row.tokens for row in rows])
        by_row = np.repeat([np.arange(len(rows)), [row.engine for row in rows]], lengths, axis=1)
        place, targets, number, source = self._sent(np.vstack([np.concatenate(at), tokens, by_row]).astype(np.int64))
        values = np.array([[row.advantage, row.weight, row.fresh] for row in rows], np.float32)
        logps = np.concatenate([row.engine_logp for row in rows]).astype(np.float32)
        logp, advantage, weight, fresh = self._sent(np.vstack([logps, np.repeat(values, lengths, axis=0).T]))
        sent = self._sent(layout) if len(rows) > len(lines) else None
        by_token = (place, targets, number, logp, source, advantage, weight, fresh.bool())
        return Micro(self._sent(ids), sent, *by_token, padding)

    def _sent(self, array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(array)
        return tensor.pin_memory().to(self.device, non_blocking=True) if self.device.type == "cuda" else tensor

    def logp(self, micro: Micro) -> Tensor:
        """Log-probs float32 [M] of all completion tokens, with gradient where it is on.

        Lines are padded on the right: with causal attention no padding is ever seen, so lines of one row need no mask.
        The vocabulary projection is computed on completion positions only.
        """
        options = {}
        if micro.layout is not None:
            position, segment = micro.layout
            options = {"position_ids": position, "attention_mask": packing.hidden(segment, self.dtype)}
        hidden = self.body(input_ids=micro.ids, use_cache=False, **options).last_hidden_state.flatten(0, 1)
        return self.project(self.head, hidden.index_select(0, micro.at), micro.targets, self.temperature)

    def reference(self, micro: Micro) -> Tensor:
        """The same under the base model: no adapter, no gradient."""
        with torch.no_grad(), self.model.disable_adapter():
            return self.logp(micro)


def project(head: Any, hidden: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Log-probs float32 [M] of ``targets`` from hidden states [M, H] and a frozen ``head``, in chunks.

    Logits [M, V] of a large M exist at no time, forward or backward: a chunk's gradient by its hidden states is taken
    beside its log-probs and waits, as [chunk, H], to be multiplied by what comes back. So the projection is computed
    once and not a second time in the backward, as under checkpointing.
    """
    size = max(1, LOGIT_ELEMENTS // head.weight.shape[0])
    chunks = zip(hidden.split(size), targets.split(size), strict=True)
    return torch.cat([_Projection.apply(h, t, head, temperature) for h, t in chunks])


class _Projection(torch.autograd.Function):
    """Log-probs of a chunk; a token's log-prob depends on its own hidden state only, so the sum has all gradients."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, targets: Tensor, head: Any, temperature: float) -> Tensor:
        wanted = ctx.needs_input_grad[0]
        with torch.set_grad_enabled(wanted):
            h = hidden.detach().requires_grad_(wanted)
            logits = head(h).float()
            loss = torch.nn.functional.cross_entropy(
                logits if temperature == 1 else logits / temperature, targets, reduction="none"
            )
            if wanted:
                ctx.save_for_backward(*torch.autograd.grad(loss.sum(), h))
        return -loss.detach()

    @staticmethod
    def backward(ctx: Any, upstream: Tensor) -> tuple[Tensor | None, ...]:
        (gradient,) = ctx.saved_tensors
        return (gradient * -upstream[:, None]).to(gradient.dtype), None, None, None
