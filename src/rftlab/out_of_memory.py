"""A GPU that is full: what to lower, in one line."""

from __future__ import annotations

import re
import sys
from typing import Any

from omegaconf import OmegaConf

from rftlab.core import InputError


def is_out_of_memory(error: BaseException) -> bool:
    """Whether torch has found no memory; what never imported torch has not."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(error, torch.OutOfMemoryError)


def explained(error: Exception, cfg: Any) -> Exception:
    """``error`` or, when the GPU was full, an ``InputError`` that names what may be lowered and its present value.

    None of the first three is part of a run's identity: with a smaller value the same run goes on.
    """
    if not is_out_of_memory(error):
        return error
    knobs = [f"lower {_shown(cfg, key)}" for key in ("model.micro_batch_tokens", *_engine_knobs(cfg))]
    if OmegaConf.select(cfg, "model.gradient_checkpointing"):
        knobs.append(f"lower {_shown(cfg, 'model.max_new_tokens')} (then it is another run)")
    else:
        knobs.append("give model.gradient_checkpointing=true")
    wanted = re.search(r"Tried to allocate ([\d.]+ \w+)", str(error))
    found = f"out of GPU memory{f' for another {wanted[1]}' if wanted else ''}"
    said = InputError(f"{found}: {', or '.join(knobs)}; the same command with that goes on from what was saved")
    said.__cause__ = error
    return said


def _engine_knobs(cfg: Any) -> list[str]:
    return [f"engine.{key}" for key in ("max_rows", "gpu_memory_utilization") if key in cfg.engine]


def _shown(cfg: Any, key: str) -> str:
    value = OmegaConf.select(cfg, key)
    return f"{key}={'null' if value is None else value}"
