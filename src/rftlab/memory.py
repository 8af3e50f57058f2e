"""The memory plan: bytes by part of a training run, what fits, and vLLM's share. No weights are loaded for it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from rftlab.core import InputError
from rftlab.engines.hf import CDF_ELEMENTS
from rftlab.memory_trace import Size, head_width, parameter_bytes, traced_generation, traced_update
from rftlab.models import dtype_of, stored_config

GIB = 2**30
PROCESS = {"cuda": int(0.75 * GIB), "cpu": int(0.6 * GIB)}
"""CUDA context and cuBLAS workspaces; on a CPU Python with torch, transformers and peft."""
ROOM = 0.92
"""Share of the memory that a plan may fill: the rest goes to fragmentation and to what kernels take inside."""
MOST, CPU_TOKENS = 32768, 2048
"""Micro-batch tokens chosen at most: beyond, a GPU is no faster; and those of a CPU."""
VLLM_BESIDE = int(1.5 * GIB)
"""What vLLM takes beside weights and KV cache: activations of its largest batch, CUDA graphs, adapters."""
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


@dataclass(frozen=True)
class Load:
    """What decides memory beside the model.

    Args:
        model: the ``model`` group.
        algo: the ``algo`` group.
        engine: the ``engine`` group.
        prompt: tokens of the longest prompt; None = what the context leaves beside ``model.max_new_tokens``.
        device: ``cuda`` or ``cpu``.
        prompts: prompts of a batch.
    """

    model: Any
    algo: Any
    engine: Any
    prompt: int | None = None
    device: str = "cuda" if torch.cuda.is_available() else "cpu"
    prompts: int = 1

    @property
    def dtype(self) -> torch.dtype:
        return dtype_of(self.model.dtype, torch.device(self.device))

    @property
    def vllm(self) -> bool:
        return "vllm" in self.engine._target_

    def size(self, config: Any, tokens: int) -> Size:
        """The micro-batch of the longest rollouts."""
        context = self.model.context or config.max_position_embeddings
        prompt = min(self.prompt or context, self.model.max_prompt_tokens or context)
        width = min(context, prompt + self.model.max_new_tokens)
        return Size(max(1, tokens // width), width, min(self.model.max_new_tokens, width - 1))


def plan(load: Load, tokens: int | None = None) -> Plan:
    """The plan of a run with micro-batches of ``tokens``, None = as configured."""
    config, model = stored_config(load.model), load.model
    tokens = tokens or model.micro_batch_tokens or (MOST if load.device == "cuda" else CPU_TOKENS)
    base, adapter = parameter_bytes(config, model, load.dtype)
    kept, more = traced_update(config, model, load.algo, load.dtype, load.size(config, tokens))
    parts = [
        Part("process", PROCESS[load.device], "always"),
        Part("base weights", base, "always"),
        Part("adapter", adapter, "always"),
        Part("optimiser", 2 * adapter, "always"),
        Part("gradients", adapter, "update"),
        Part("activations kept", kept, "update"),
        Part("backward and logits", more, "update"),
    ]
    return Plan((*parts, *_generation(load, config, base, tokens)), tokens)


def _generation(load: Load, config: Any, base: int, tokens: int) -> Iterator[Part]:
    """The engine's parts; nothing of a vLLM, which has a share of its own."""
    if load.vllm:
        return
    if load.engine.merged or (load.engine.merged is None and load.dtype == torch.float32):
        yield Part("engine's weights", base, "always")
    width = load.size(config, tokens).width
    size = Size(load.engine.max_rows, width, min(load.model.max_new_tokens, width - 1))
    yield Part("KV cache", size.rows * size.width * kv_bytes(config, load.dtype), "generation")
    drawn = size.rows * config.vocab_size
    draw = 3 * 4 * drawn + 3 * 8 * min(CDF_ELEMENTS, drawn)  # logits, scaled, log-probs; their CDF in parts, float64
    step = traced_generation(config, load.model, load.dtype, size, min(load.prompts, size.rows))
    yield Part("decoding", max(draw, step), "generation")


def kv_bytes(config: Any, dtype: torch.dtype) -> int:
    """Bytes of one token in the KV cache."""
    return 2 * config.num_hidden_layers * config.num_key_value_heads * head_width(config) * dtype.itemsize


# ---------------------------------------------------------------- what fits


def micro_batch_tokens(load: Load, total: int) -> int:
    """The largest power of two of micro-batch tokens whose plan fits into ``total`` bytes."""
    if load.device == "cpu":
        return CPU_TOKENS
    free = total
    if load.vllm and not load.engine.sleep_level:
        free -= int(VLLM_AWAKE * total)
    tokens = MOST
    while tokens > 512 and not plan(load, tokens).fits(free):
        tokens //= 2
    return tokens


def vllm_share(load: Load, total: int) -> float:
    """``gpu_memory_utilization`` for a vLLM beside the trainer: what it leaves of ``total`` bytes.

    A vLLM that sleeps during the update has all but the trainer's weights, adapter and optimiser.

    Raises:
        InputError: less than its weights and one rollout of the whole context would remain.
    """
    config, model = stored_config(load.model), load.model
    found = plan(load)
    left = ROOM * total - (found.sum("always") if load.engine.sleep_level else found.update)
    context = model.context or config.max_position_embeddings
    weights = next(part.bytes for part in found.parts if part.name == "base weights")
    least = weights + VLLM_BESIDE + context * kv_bytes(config, load.dtype)
    if left < least:
        raise InputError(
            f"vLLM needs {least / GIB:.1f} GiB for weights and a rollout, the trainer leaves {max(0, left) / GIB:.1f} "
            f"of {total / GIB:.0f}: {remedies(load, found)}"
        )
    return int(100 * left / total) / 100


def remedies(load: Load, found: Plan) -> str:
    """What to lower, the most helpful first, with present values."""
    model, lower = load.model, [f"lower model.micro_batch_tokens={found.micro_batch_tokens}"]
    if not model.gradient_checkpointing:
        lower.insert(0, "give model.gradient_checkpointing=true")
    if not load.vllm and found.generation > found.update:
        lower = [f"lower engine.max_rows={load.engine.max_rows}"]
    elif load.vllm and not load.engine.sleep_level:
        lower.append("give engine.sleep_level=1")
    return ", ".join([*lower, f"lower model.max_new_tokens={model.max_new_tokens}", "or choose a smaller model"])


def total_bytes() -> int:
    """Of the GPU, else of the machine's main memory or the part of it that this process may use."""
    if torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    limit = Path("/sys/fs/cgroup/memory.max")
    text = limit.read_text().strip() if limit.is_file() else "max"
    return total if text == "max" else min(total, int(text))
