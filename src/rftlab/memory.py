"""The memory plan: bytes by part of a training run, what fits, and vLLM's share. No weights are loaded for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from rftlab import packing
from rftlab.core import InputError
from rftlab.engines.hf import CDF_ELEMENTS
from rftlab.memory_trace import Size, Weights, head_width, traced_generation, traced_update, weights_of
from rftlab.models import dtype_of, stored_config

GIB = 2**30
PROCESS = {"cuda": int(0.75 * GIB), "cpu": int(0.6 * GIB)}
"""CUDA context and cuBLAS workspaces; on a CPU Python with torch, transformers and peft."""
ROOM = 0.92
"""Share of the memory that a plan may fill: the rest goes to fragmentation and to what kernels take inside."""
LEAST, MOST, CPU_TOKENS = 512, 32768, 2048
"""Micro-batch tokens chosen at least and at most (beyond, a GPU is no faster), and those of a CPU."""
VLLM_BESIDE = int(1.5 * GIB)
"""What vLLM takes beside weights and KV cache: activations of its largest batch, CUDA graphs, adapters."""
GATHERED = 3
"""Decoder layers that are whole on a rank of several that share them: the one at work, the buffer from which it came,
and that of the next. Measured on two CPU ranks: 2.0 on top of the usual peak with checkpointing, 3.7 without."""
VLLM_AWAKE = 0.4
"""Share of a GPU that is left to a vLLM which does not sleep during the update."""


@dataclass(frozen=True)
class Part:
    """A line of the plan."""

    name: str
    bytes: int
    when: str
    """always | update | generation: the last two are never at the same time."""


@dataclass(frozen=True)
class Plan:
    """What a run holds, by part."""

    parts: tuple[Part, ...]
    micro_batch_tokens: int

    def sum(self, when: str) -> int:
        return sum(part.bytes for part in self.parts if part.when == when)

    @property
    def update(self) -> int:
        """Bytes at most during an update."""
        return self.sum("always") + self.sum("update")

    @property
    def generation(self) -> int:
        """Bytes at most while transformers generates; of vLLM, which takes what it is given, nothing."""
        return self.sum("always") + self.sum("generation")

    @property
    def peak(self) -> int:
        return max(self.update, self.generation)

    def fits(self, total: int) -> bool:
        return self.peak <= ROOM * total


@dataclass
class Load:
    """What decides memory: the groups of a configuration, which must not change meanwhile.

    Args:
        model: the ``model`` group.
        algo: the ``algo`` group.
        engine: the ``engine`` group.
        prompt: tokens of the longest prompt; None = what the context leaves beside ``model.max_new_tokens``.
        device: ``cuda`` or ``cpu``.
        prompts: prompts of a batch.
        ranks: how many share the base's decoder layers (``shard=true``).
    """

    model: Any
    algo: Any
    engine: Any
    prompt: int | None = None
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    prompts: int = 1
    ranks: int = 1
    _traced: dict[int, tuple[Part, ...]] = field(default_factory=dict)

    @cached_property
    def config(self) -> Any:
        """Of the architecture."""
        return stored_config(self.model)

    @property
    def context(self) -> int:
        return self.model.context or self.config.max_position_embeddings

    @property
    def dtype(self) -> torch.dtype:
        return dtype_of(self.model.dtype, torch.device(self.device))

    @property
    def vllm(self) -> bool:
        return "vllm" in self.engine._target_

    @property
    def colocated(self) -> bool:
        """Whether a vLLM shares the card with the update."""
        return self.vllm and self.engine.mode == "colocated"

    @property
    def merged(self) -> bool:
        """Whether the engine generates from a second copy of the weights."""
        if self.vllm:
            return False
        return self.dtype == torch.float32 if self.engine.merged is None else self.engine.merged

    def size(self, tokens: int) -> Size:
        """The micro-batch of the longest rollouts, as many of a prompt on a line as find room there."""
        prompt = min(self.prompt or self.context, self.model.max_prompt_tokens or self.context)
        new = min(self.model.max_new_tokens, min(self.context, prompt + self.model.max_new_tokens) - 1)
        prompt = min(prompt, self.context - new)
        together = packing.beside(prompt, tokens) // new if self.model.attention != "flash_attention_2" else 1
        width = prompt + max(1, together) * new
        return Size(max(1, tokens // width), width, new, max(1, together))

    @cached_property
    def weights(self) -> Weights:
        return weights_of(self.config, self.model, self.dtype, self.ranks)

    @cached_property
    def apart(self) -> tuple[Part, ...]:
        """What does not depend on the micro-batch."""
        adapter = self.weights.adapter
        parts = [
            Part("process", PROCESS[self.device], "always"),
            Part("base weights", self.weights.held, "always"),
            Part("adapter", adapter, "always"),
            Part("optimiser", 2 * adapter, "always"),
            Part("gradients", adapter, "update"),
        ]
        if self.ranks > 1:
            parts.append(Part("gathered layers", GATHERED * self.weights.layer, "update"))
        if self.merged:
            parts.append(Part("engine's weights", self.weights.base, "always"))
        return (*parts, *(() if self.vllm else self._generation()))  # a vLLM has a share of its own

    def _generation(self) -> Iterator[Part]:
        """What transformers holds."""
        longest, token = self.size(1), kv_bytes(self.config, self.dtype)  # no room for a second completion
        size = Size(self.engine.max_rows, longest.width, longest.new)
        prompts = min(self.prompts, size.rows)
        prefill, decode = traced_generation(self.config, self.model, self.dtype, size, prompts)
        drawn = size.rows * self.config.vocab_size
        # logits, scaled, log-probs; then logits, log-probs, and in parts their exponentials and the sums of these
        draw = max(3 * 4 * drawn, 2 * 4 * drawn + 2 * 8 * min(CDF_ELEMENTS, drawn))
        cache = size.rows * size.width * token
        yield Part("KV cache", cache, "generation")
        begun = prompts * (size.width - size.new) * token  # the cache is not full while prompts are prefilled
        yield Part("decoding", max(draw, decode, begun + prefill - cache), "generation")

    def update(self, tokens: int) -> tuple[Part, ...]:
        """A micro-batch of ``tokens``."""
        if tokens not in self._traced:
            kept, more = traced_update(self.config, self.model, self.algo, self.dtype, self.size(tokens))
            parts = Part("activations kept", kept, "update"), Part("backward and logits", more, "update")
            self._traced[tokens] = parts
        return self._traced[tokens]


def plan(load: Load, tokens: int | None = None) -> Plan:
    """The plan of a run with micro-batches of ``tokens``, None = as configured."""
    tokens = tokens or load.model.micro_batch_tokens or (MOST if load.device == "cuda" else CPU_TOKENS)
    return Plan((*load.apart, *load.update(tokens)), tokens)


def kv_bytes(config: Any, dtype: torch.dtype) -> int:
    """Bytes of one token in the KV cache."""
    return 2 * config.num_hidden_layers * config.num_key_value_heads * head_width(config) * dtype.itemsize


# ---------------------------------------------------------------- what fits


def micro_batch_tokens(load: Load, total: int) -> int:
    """The largest power of two of micro-batch tokens, at most ``MOST``, whose plan fits into ``total`` bytes."""
    if load.device == "cpu":
        return CPU_TOKENS
    free = int((1 - VLLM_AWAKE) * total) if load.colocated and not load.engine.sleep_level else total
    tokens = MOST
    while tokens > LEAST and not plan(load, tokens).fits(free):
        tokens //= 2
    return tokens


def vllm_share(load: Load, total: int, tokens: int | None = None) -> float:
    """``gpu_memory_utilization`` of a vLLM beside a trainer with micro-batches of ``tokens``: what that leaves.

    A vLLM that sleeps during the update has all but the trainer's weights, adapter and optimiser.

    Raises:
        InputError: less than its weights and one rollout of the whole context would remain.
    """
    found = plan(load, tokens)
    left = ROOM * total - (found.sum("always") if load.engine.sleep_level else found.update)
    least = load.weights.base + VLLM_BESIDE + load.context * kv_bytes(load.config, load.dtype)
    if left < least or not found.fits(total):
        raise InputError(
            f"{shown(total)} are too few: the trainer holds {shown(found.update)} at most, vLLM needs {shown(least)} "
            f"for weights and a rollout; {remedies(load, found)}"
        )
    return int(100 * left / total) / 100


def remedies(load: Load, found: Plan) -> str:
    """What to lower, the most helpful first, with present values."""
    model, lower = load.model, [f"lower model.micro_batch_tokens={found.micro_batch_tokens}"]
    if not model.gradient_checkpointing:
        lower.insert(0, "give model.gradient_checkpointing=true")
    if not load.vllm and found.generation > found.update:
        lower = [f"lower engine.max_rows={load.engine.max_rows}"]
    elif load.colocated and not load.engine.sleep_level:
        lower.append("give engine.sleep_level=1")
    return ", ".join([*lower, f"lower model.max_new_tokens={model.max_new_tokens}", "or choose a smaller model"])


def shown(size: int) -> str:
    """Bytes for a reader."""
    return f"{size / GIB:.1f} GiB" if size >= GIB else f"{size / 2**20:.0f} MiB"


def total_bytes() -> int:
    """Of the GPU, else of the machine's main memory or the part of it that this process may use."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else "max"
    return total if text == "max" else min(total, int(text))
