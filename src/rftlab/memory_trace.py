"""What an update and a generation hold, found by running them on tensors without storage.

The code that is traced is the real one (model, adapter, log-probs, backward) on torch's fake tensors: shapes and
lifetimes are exact, nothing is computed, and neither the weights nor a GPU is needed. All quantities are affine in the
number of layers, so two shallow models tell of a deep one. Not seen: what a kernel allocates inside itself.
"""

from __future__ import annotations

import copy
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

from rftlab.forward import Forward
from rftlab.models import decoder_layers, with_adapter
from rftlab.ranks import Alone

DEPTHS = (2, 3)
"""Layers of the models that are traced."""
QUANTISED = {"8bit": 1.0, "4bit": 0.5 + 1 / 64}
"""Bytes of a weight: 64 of four bits share a scale, itself of one byte."""


@dataclass(frozen=True)
class Size:
    """A batch: B lines of T positions, each a prompt followed by ``together`` completions of ``new`` tokens."""

    rows: int
    width: int
    new: int
    together: int = 1


class Live(TorchDispatchMode):
    """Bytes of the storages that operators make while it is active: ``now``, and at most ``peak``."""

    def __init__(self, known: Iterable[Tensor] = ()) -> None:
        super().__init__()
        self.now = self.peak = 0
        self._held = [t.untyped_storage() for t in known]  # were there before: not counted
        self._seen = {id(storage) for storage in self._held}

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = func(*args, **(kwargs or {}))
        for tensor in tree_iter(out):
            if isinstance(tensor, Tensor) and id(storage := tensor.untyped_storage()) not in self._seen:
                self._seen.add(id(storage))
                self.now += storage.nbytes()
                weakref.finalize(storage, self._freed, id(storage), storage.nbytes())
        self.peak = max(self.peak, self.now)
        return out

    def _freed(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.now -= size

    def during(self, call: Callable[[], Any]) -> tuple[Any, int]:
        """What ``call`` returns, and the bytes at most while it ran, beside those from before."""
        self.peak = before = self.now
        return call(), self.peak - before


@dataclass(frozen=True)
class Weights:
    """Bytes of a model's parameters."""

    base: int
    """Of the whole base."""
    held: int
    """Of the base, what one rank holds of it."""
    layer: int
    """Of the base's largest decoder layer."""
    adapter: int


def weights_of(config: Any, model: Any, dtype: torch.dtype, ranks: int = 1) -> Weights:
    """The base's parameters in ``dtype`` or quantised, the adapter's in their own.

    ``ranks`` share each frozen parameter of the decoder layers by rows (``ranks_shard``), rounded up.
    """
    peft = _shape(config, model, dtype)
    frozen = {p: (p.numel() * p.element_size(), 1.0) for p in peft.parameters() if not p.requires_grad}
    largest = 0.0
    for layer in decoder_layers(peft):
        inside = [p for p in layer.parameters() if p in frozen]
        for p in inside:  # bitsandbytes leaves embeddings, norms and head as they are
            size = p.numel() * QUANTISED[model.quantize] if model.quantize and p.dim() == 2 else frozen[p][0]
            frozen[p] = size, -(-p.shape[0] // ranks) / p.shape[0]
        largest = max(largest, sum(frozen[p][0] for p in inside))
    adapter = sum(p.numel() * p.element_size() for p in peft.parameters() if p.requires_grad)
    held = sum(size * share for size, share in frozen.values())
    return Weights(int(sum(size for size, _ in frozen.values())), round(held), int(largest), adapter)


def traced_update(config: Any, model: Any, algo: Any, dtype: torch.dtype, size: Size) -> tuple[int, int]:
    """Bytes of one micro-batch's forward and backward: what is kept in between, and what comes on top at most.

    Gradients of the parameters are not in it.
    """

    def measure(peft: Any) -> tuple[int, int]:
        peft.train(model.gradient_checkpointing or model.lora.dropout > 0)
        plain = OmegaConf.merge(model, {"compile": False, "liger": False})  # both need less, and neither can be traced
        forward = Forward(peft, plain, algo, torch.device("cpu"), 0, Alone())
        micro: Any = _micro(size, masked=forward.packs and model.attention != "flash_attention_2")
        with Live(_tensors(peft)) as live:
            logp = forward.logp(micro)
            kept = live.now
            if algo.kl > 0:
                forward.reference(micro)
            logp.sum().backward()
        return kept, live.peak - kept

    return _deep(config, model, dtype, measure)


def traced_generation(config: Any, model: Any, dtype: torch.dtype, size: Size, prompts: int) -> tuple[int, int]:
    """Bytes at most, beside the KV cache, when transformers prefills ``prompts`` and when it decodes ``size.rows``."""
    from transformers import DynamicCache

    def measure(peft: Any) -> tuple[int, int]:
        heads, width = config.num_key_value_heads, head_width(config)

        @torch.no_grad()
        def step(rows: int, past: int, new: int, live: Live) -> int:
            cache = DynamicCache()
            for layer in range(peft.config.num_hidden_layers if past else 0):
                keys = [torch.zeros(rows, heads, past, width, dtype=dtype) for _ in range(2)]
                cache.update(*keys, layer)
                del keys
            ids, mask = torch.zeros(rows, new, dtype=torch.long), torch.ones(rows, past + new, dtype=torch.long)
            position = torch.arange(past, past + new).expand(rows, new)
            before = live.now
            out, peak = live.during(
                lambda: peft(
                    input_ids=ids,
                    attention_mask=mask,
                    position_ids=position,
                    past_key_values=cache,
                    use_cache=True,
                    logits_to_keep=1,
                )
            )
            kept = live.now - before
            del out
            return peak - kept

        with Live(_tensors(peft)) as live:
            return step(prompts, 0, size.width - size.new, live), step(size.rows, size.width - 1, 1, live)

    config_of_two = _shallow(config, DEPTHS[0])
    with _fake(_shape(config_of_two, model, dtype)) as peft:
        return measure(peft)


def head_width(config: Any) -> int:
    """Elements of one attention head."""
    return getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads


# ---------------------------------------------------------------- models without storage


def _deep(config: Any, model: Any, dtype: torch.dtype, measure: Callable[[Any], tuple[int, int]]) -> tuple[int, int]:
    """``measure`` of the whole model, by that of two shallow ones."""
    found = []
    for depth in DEPTHS:
        with _fake(_shape(_shallow(config, depth), model, dtype)) as peft:
            found.append(measure(peft))
    more = (config.num_hidden_layers - DEPTHS[1]) / (DEPTHS[1] - DEPTHS[0])
    low, high = found
    return int(high[0] + more * (high[0] - low[0])), int(high[1] + more * (high[1] - low[1]))


def _shallow(config: Any, layers: int) -> Any:
    config = copy.deepcopy(config)
    config.num_hidden_layers = layers
    if getattr(config, "layer_types", None):
        config.layer_types = config.layer_types[:layers]
    return config


def _shape(config: Any, model: Any, dtype: torch.dtype) -> Any:
    """The peft model on the meta device."""
    from transformers import AutoModelForCausalLM

    with torch.device("meta"), torch.random.fork_rng(devices=[]):
        attention = "eager" if model.attention == "eager" else "sdpa"  # which holds what flash attention holds
        base = (
            AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation=attention)
            .eval()
            .requires_grad_(False)
        )
        peft = with_adapter(base, model, 0, None, train=True)
    if model.gradient_checkpointing:
        peft.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return peft.eval()


@contextmanager
def _fake(peft: Any) -> Iterator[Any]:
    """``peft`` with fake CPU tensors for its meta tensors: on that device torch chooses the kernels of a real one."""
    with FakeTensorMode():
        made: dict[int, tuple[Tensor, Tensor]] = {}  # the old one too: its id must not be given away meanwhile
        for module in peft.modules():
            for tensors in (module._parameters, module._buffers):
                for name, old in tensors.items():
                    if old is not None:
                        tensors[name] = made.setdefault(id(old), (old, _like(old)))[1]
        yield peft


def _like(old: Tensor) -> Tensor:
    new = torch.empty(old.shape, dtype=old.dtype, device="cpu")
    return torch.nn.Parameter(new, old.requires_grad) if isinstance(old, torch.nn.Parameter) else new


def _tensors(peft: Any) -> list[Tensor]:
    for p in peft.parameters():
        if p.requires_grad:
            p.grad = torch.zeros_like(p)
    grads = [p.grad for p in peft.parameters() if p.grad is not None]
    return [*peft.parameters(), *peft.buffers(), *grads]


def _micro(size: Size, masked: bool) -> SimpleNamespace:
    """The part of a micro-batch that decides memory; ``masked`` = with the layout of lines that are shared."""
    ids = torch.zeros(size.rows, size.width, dtype=torch.long)
    count = size.together * size.new
    last = torch.arange(size.width - count - 1, size.width - 1)
    at = (torch.arange(size.rows)[:, None] * size.width + last).flatten()
    layout = torch.zeros(2, size.rows, size.width, dtype=torch.long) if masked else None
    return SimpleNamespace(ids=ids, layout=layout, at=at, targets=torch.zeros_like(at))
