"""What must hold of ``engine=vllm`` on paper; neither vLLM nor torch is imported for it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import metadata
from typing import Any
from urllib.parse import urlsplit

from rftlab.core import InputError
from rftlab.engines.vllm_install import check_install
from rftlab.gpus import visible_gpus

TARGET = "rftlab.engines.vllm.VLLMEngine"
MOST_RANK = 512
"""The largest adapter rank that vLLM serves."""

RULES: list[tuple[str, Callable[[Any], bool], str]] = [
    ("mode", lambda v: v in ("colocated", "server"), "colocated or server"),
    ("max_num_seqs", lambda v: v >= 1, "at least 1"),
    ("gpu_memory_utilization", lambda v: 0 < v <= 1, "a share above 0 and at most 1, or null"),
    ("kv_cache_gib", lambda v: v > 0, "more than 0, or null"),
    ("sleep_level", lambda v: v in (0, 1, 2), "0, 1 or 2"),
    ("tensor_parallel", lambda v: v >= 1, "at least 1"),
    ("deadline", lambda v: v > 0, "more than 0"),
]
"""(key, what its value must satisfy unless it is null, the same in words)."""


def check_options(engine: Mapping[Any, Any], model: Any) -> None:
    """Raises ``InputError`` for what no run can be made of; ``model`` is the group of that name.

    Values of a wrong type are left to ``targets.check_options``, which knows the types.
    """
    for key, holds, wanted in RULES:
        value = engine.get(key)
        if isinstance(value, str if key == "mode" else int | float) and not holds(value):
            raise InputError(f"engine.{key}={value}: wanted {wanted}")
    _check_model(model)
    if engine.get("mode") == "server":
        _check_urls(engine.get("urls") or ())
    else:
        _check_devices(engine.get("tensor_parallel"))


def check_here(engine: Mapping[Any, Any]) -> None:
    """Raises ``InputError`` when the engine needs a vLLM of this environment and there is none that fits."""
    if engine.get("mode") == "colocated":
        check_install()


def _check_model(model: Any) -> None:
    if model.quantize is not None:
        raise InputError(
            f"model.quantize={model.quantize}: vLLM would sample from the base before its rounding, which is "
            "another policy; give model.quantize=null, or engine=hf"
        )
    if model.lora.dora:
        raise InputError("model.lora.dora=true: vLLM serves no DoRA adapters; give model.lora.dora=false, or engine=hf")
    if model.lora.r > MOST_RANK:
        raise InputError(
            f"model.lora.r={model.lora.r}: vLLM serves adapters up to rank {MOST_RANK}; "
            f"give model.lora.r={MOST_RANK}, or engine=hf"
        )


def _check_urls(urls: Any) -> None:
    if not urls:
        raise InputError("engine.mode=server needs the servers' addresses: engine.urls=[http://localhost:8000]")
    for url in urls if not isinstance(urls, str) else ():
        if not _is_address(str(url)):
            raise InputError(f"engine.urls: {url} is no address; wanted one as in engine.urls=[http://localhost:8000]")


def _is_address(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # a port that is no number
        return False


def _check_devices(wanted: Any) -> None:
    """A model shared by more GPUs than there are: vLLM's helpers would wait for each other for ever."""
    if not isinstance(wanted, int) or wanted == 1:
        return
    gpus = 0 if metadata.version("torch").endswith("+cpu") else len(visible_gpus())
    if wanted > max(1, gpus):
        seen = f"{gpus} GPUs are" if gpus > 1 else "1 GPU is" if gpus else "no GPU is"
        raise InputError(f"engine.tensor_parallel={wanted}: {seen} visible; give engine.tensor_parallel={max(1, gpus)}")
