"""Generation by transformers, on any device.

A prompt is prefilled once and its cache repeated for the G rollouts; rows that have ended leave the batch; tokens are
drawn by inverse CDF from keyed uniforms (``keyed.py``), so none of this changes what is sampled.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rftlab.core import Completion, Finish, Float, InputError
from rftlab.engines.base import Job, Learner, Sampling
from rftlab.engines.keyed import row_key, uniforms
from rftlab.models import load_base
from rftlab.policy import Policy

COMPACT_BELOW = 0.8
"""Ended rows are dropped when fewer than this share of the batch is alive: copying the cache has a cost too."""
CDF_ELEMENTS = 1 << 25
"""Largest float64 cumulative distribution held at once, in elements."""


@dataclass
class _Rows:
    """The rollouts of one batch while they grow."""

    keys: np.ndarray
    tokens: np.ndarray
    logps: np.ndarray
    length: np.ndarray
    stopped: np.ndarray


class HFEngine:
    """Samples from a policy with transformers.

    Args:
        policy: the policy whose weights are followed.
        merged: generate from a second copy of the base model into which W + BA is written at each ``sync``. The
            policy's own weights stay pristine and are never unmerged (trl#6688: merging and unmerging in place drifts).
            False: generate from the policy's model with the adapter active. None: merged in float32 only. In half
            precision W + BA rounds back to W wherever BA is below half a unit in the last place of W: a young adapter
            all but disappears, so that is refused; so is a base that is quantised, and DoRA, which is no sum.
        max_rows: sequences decoded at once.
        poll: called between tokens; may raise to stop a long generation.
    """

    LEARNS = False

    def __init__(
        self, policy: Policy, *, merged: bool | None, max_rows: int, poll: Callable[[], None] = lambda: None
    ) -> None:
        if policy.ranks.sharded:
            raise InputError(
                "shard=true splits the base over the ranks, engine=hf generates from a whole one: give engine=vllm, "
                "or shard=false"
            )
        reason = not_merged(policy)
        if merged and reason:
            raise InputError(f"engine.merged=true with {reason}")
        self.policy, self.max_rows, self.poll = policy, max_rows, poll
        self.merged = not reason if merged is None else merged
        self.model: Any = load_base(policy.cfg, policy.dtype, policy.device) if self.merged else policy.model
        self.version = -1
        self.stop_ids = stop_ids(self.model, policy.prompts.tokenizer)

    @torch.no_grad()
    def sync(self, learner: Learner) -> None:
        """Takes over the policy's present adapter: W + scale B A from the pristine W, into the copy."""
        if self.merged:
            from peft.tuners.lora import LoraLayer

            weights = dict(self.model.named_modules())
            for name, layer in self.policy.model.get_base_model().named_modules():
                if isinstance(layer, LoraLayer):
                    base = layer.get_base_layer().weight
                    delta = layer.get_delta_weight("default")
                    weights[name].weight.copy_(base + delta)
        self.version = learner.version

    @property
    def separate(self) -> bool:
        return self.merged

    def truth(self) -> Float | None:
        return None

    def close(self) -> None:
        self.model = None

    def generate(self, jobs: Sequence[Job], sampling: Sampling, stream: tuple[Any, ...]) -> list[list[Completion]]:
        """Completions of every job, in order; see ``Engine.generate``."""
        flat = [(j, i) for j, job in enumerate(jobs) for i in range(job.n)]
        out: list[list[Completion]] = [[] for _ in jobs]
        # similar prompt lengths decode together: less padding in the cache
        flat.sort(key=lambda at: (len(self.policy.prompts.ids(jobs[at[0]].task)), at))
        done: dict[tuple[int, int], Completion] = {}
        for start in range(0, len(flat), self.max_rows):
            batch = flat[start : start + self.max_rows]
            done |= zip(batch, self._decode([(jobs[j], i) for j, i in batch], sampling, stream), strict=True)
        for j, i in sorted(done):
            out[j].append(done[j, i])
        return out

    @torch.inference_mode()
    def _decode(self, rows: list[tuple[Job, int]], sampling: Sampling, stream: tuple[Any, ...]) -> list[Completion]:
        state = _Rows(
            keys=np.array([row_key(stream, job.task.id, job.first + i) for job, i in rows], np.uint64),
            tokens=np.zeros((len(rows), sampling.max_new_tokens), np.int32),
            logps=np.zeros((len(rows), sampling.max_new_tokens), np.float32),
            length=np.zeros(len(rows), np.int64),
            stopped=np.zeros(len(rows), bool),
        )
        logits, cache, mask = self._prefill(rows)
        alive = np.arange(len(rows))  # rows of ``state`` that the cache holds, in its order
        for position in range(sampling.max_new_tokens):
            self.poll()
            token, logp = self._draw(logits, sampling, uniforms(state.keys[alive], [position])[:, 0])
            drawn = token.cpu().numpy()
            going = ~state.stopped[alive]
            state.tokens[alive[going], position] = drawn[going]
            state.logps[alive[going], position] = logp.cpu().numpy()[going]
            state.length[alive[going]] += 1
            state.stopped[alive[going]] = np.isin(drawn[going], self.stop_ids)
            if state.stopped[alive].all() or position + 1 == sampling.max_new_tokens:
                break
            if (~state.stopped[alive]).mean() < COMPACT_BELOW:
                keep = torch.from_numpy(np.flatnonzero(~state.stopped[alive])).to(mask.device)
                alive = alive[~state.stopped[alive]]
                cache.batch_select_indices(keep)
                mask, token = mask[keep], token[keep]
            mask = torch.cat([mask, mask.new_ones(len(mask), 1)], dim=1)
            logits = self._model(token[:, None], mask, cache)
        return [self._completion(state, row) for row in range(len(rows))]

    def _completion(self, state: _Rows, row: int) -> Completion:
        n = int(state.length[row])
        tokens = state.tokens[row, :n].copy()
        return Completion(
            text=self.policy.prompts.text(tokens),
            tokens=tokens,
            logps=state.logps[row, :n].copy(),
            finish=Finish.STOP if state.stopped[row] else Finish.LENGTH,
            version=self.version,
        )

    def _prefill(self, rows: list[tuple[Job, int]]) -> tuple[Tensor, Any, Tensor]:
        """Logits [B, V] after the prompts, the cache and mask of every row; a distinct prompt is computed once."""
        from transformers import DynamicCache

        tasks = list({job.task.id: job.task for job, _ in rows}.values())
        place = {task.id: i for i, task in enumerate(tasks)}
        prompts = [self.policy.prompts.ids(task) for task in tasks]
        width = max(len(p) for p in prompts)
        ids = np.full((len(prompts), width), self.policy.prompts.pad, np.int64)
        seen = np.zeros((len(prompts), width), np.int64)
        for i, prompt in enumerate(prompts):  # padded on the left, so that all rows go on at the same column
            ids[i, width - len(prompt) :], seen[i, width - len(prompt) :] = prompt, 1
        device = self.policy.device
        mask, cache = torch.from_numpy(seen).to(device), DynamicCache()
        logits = self._model(torch.from_numpy(ids).to(device), mask, cache)
        rep = torch.tensor([place[job.task.id] for job, _ in rows], device=device)
        cache.batch_select_indices(rep)
        return logits[rep], cache, mask[rep]

    def _model(self, ids: Tensor, mask: Tensor, cache: Any) -> Tensor:
        """Logits [B, V] of the last position, float32."""
        position = (mask.cumsum(1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        out = self.model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=position,
            past_key_values=cache,
            use_cache=True,
            logits_to_keep=1,
        )
        return out.logits[:, -1].float()

    def _draw(self, logits: Tensor, sampling: Sampling, u: np.ndarray) -> tuple[Tensor, Tensor]:
        """Tokens int64 [B] and their log-probs float32 [B] at the sampling temperature."""
        if sampling.temperature == 0:
            token = logits.argmax(-1)
            return token, torch.log_softmax(logits, -1).gather(1, token[:, None])[:, 0]
        logp = torch.log_softmax(_truncate(logits / sampling.temperature, sampling), -1)
        where = torch.from_numpy(u).to(logp.device)
        rows = max(1, CDF_ELEMENTS // logp.shape[1])
        token = torch.cat([_inverse_cdf(p, x) for p, x in zip(logp.split(rows), where.split(rows), strict=True)])
        return token, logp.gather(1, token[:, None])[:, 0]


def _inverse_cdf(logp: Tensor, u: Tensor) -> Tensor:
    """The token whose interval of the cumulative distribution holds ``u``; float64, never a token of probability 0."""
    cdf = logp.double().exp().cumsum(-1)
    at = torch.searchsorted(cdf, (u * cdf[:, -1])[:, None], right=True)[:, 0]
    return at.clamp(max=logp.shape[1] - 1)


def _truncate(logits: Tensor, sampling: Sampling) -> Tensor:
    """Top-k and top-p, for evaluation."""
    from transformers import TopKLogitsWarper, TopPLogitsWarper

    nothing = torch.empty(0, dtype=torch.long)
    if sampling.top_k > 0:
        logits = TopKLogitsWarper(sampling.top_k)(nothing, logits)
    if sampling.top_p < 1:
        logits = TopPLogitsWarper(sampling.top_p)(nothing, logits)
    return logits


def not_merged(policy: Policy) -> str | None:
    """Why W + BA can't be the policy's weights, and the way out; None when it can."""
    if policy.cfg.quantize:
        return f"model.quantize={policy.cfg.quantize} has no W to write to; give engine.merged=null"
    if policy.model.peft_config["default"].use_dora:
        return "a DoRA adapter (model.lora.dora) would leave out its magnitudes; give engine.merged=null"
    if policy.dtype != torch.float32:
        return (
            f"{policy.dtype} weights would round most of the adapter away; "
            "give engine.merged=null, or model.dtype=float32"
        )
    return None


def stop_ids(model: Any, tokenizer: Any) -> np.ndarray:
    """Every token that ends a completion: the model's generation config may name several (trl#7039)."""
    named = model.generation_config.eos_token_id
    ids = set(named if isinstance(named, list) else [named]) | {tokenizer.eos_token_id}
    return np.array(sorted(i for i in ids if i is not None), np.int64)
