"""Ways to hold and run the base model that want a package or a GPU of their own: each is there, or one line says how.

Checked before anything loads, so that a missing package costs no download.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import torch
from torch import Tensor

from rftlab.core import InputError

PACKAGES = {
    "model.attention=flash_attention_2": ("flash-attn", "2.7", "model.attention=sdpa"),
    "model.quantize=8bit": ("bitsandbytes", "0.46.1", "model.quantize=null"),
    "model.quantize=4bit": ("bitsandbytes", "0.46.1", "model.quantize=null"),
    "model.liger=true": ("liger-kernel", "0.8.5", "model.liger=false"),
}
"""By setting: the package, the oldest version that does, what to give instead."""


def check_base_options(model: Any, dtype: torch.dtype, device: torch.device) -> None:
    """Raises ``InputError`` when the ``model`` group asks for what this machine lacks."""
    asked = [f"model.attention={model.attention}", f"model.quantize={model.quantize}"]
    for setting in (*asked, f"model.liger={str(model.liger).lower()}"):
        if setting not in PACKAGES:
            continue
        package, oldest, instead = PACKAGES[setting]
        if device.type != "cuda":
            raise InputError(f"{setting} wants a CUDA GPU, found {device.type}; give {instead}")
        if (found := _version(package)) is None or _numbers(found) < _numbers(oldest):
            raise InputError(
                f"{setting} wants {package}>={oldest}, found {found or 'none'}; "
                f"pip install '{package}>={oldest}', or give {instead}"
            )
    if model.attention == "flash_attention_2" and dtype == torch.float32:
        raise InputError("model.attention=flash_attention_2 has no float32; give model.dtype=bfloat16")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split("+")[0].split(".") if part.isdigit())


def load_options(model: Any, device: torch.device) -> dict[str, Any]:
    """Keyword arguments of ``from_pretrained``. A quantised base is placed while it loads: it can't be moved."""
    options: dict[str, Any] = {}
    if model.attention is not None:
        options["attn_implementation"] = model.attention
    if model.quantize is not None:
        from transformers import BitsAndBytesConfig

        eight = BitsAndBytesConfig(load_in_8bit=True)
        # QLoRA (arXiv:2305.14314): normal floats of four bits, their scales quantised again
        four = BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        )
        options |= {
            "quantization_config": eight if model.quantize == "8bit" else four,
            "device_map": {"": device.index or 0},
        }
    return options


def liger_projection() -> Callable[[Any, Tensor, Tensor, float], Tensor]:
    """``forward.project`` by the kernel of liger-kernel: softmax, loss and gradient in one pass over a chunk."""
    from liger_kernel.transformers import LigerFusedLinearCrossEntropyLoss

    loss = LigerFusedLinearCrossEntropyLoss(reduction="none")

    def project(head: Any, hidden: Tensor, targets: Tensor, temperature: float) -> Tensor:
        scaled = hidden if temperature == 1 else hidden / temperature
        return -loss(head.weight, scaled, targets, head.bias)

    return project
