"""The result of a run as plain transformers and peft load it."""

from __future__ import annotations

import shutil
from pathlib import Path

from omegaconf import OmegaConf

from rftlab.core import InputError


def export(run: Path, out: Path | None, merge: bool, weights: str = "best") -> Path:
    """Writes the adapter of a run, or base and adapter merged into one model, with the tokenizer.

    Args:
        run: A run's directory.
        out: Folder to create; None = ``run/export`` (``run/export-merged``).
        merge: Write a whole model that ``AutoModelForCausalLM.from_pretrained`` loads; else an adapter.
        weights: ``best`` by evaluation accuracy, or ``last``.

    Raises:
        InputError: no such run, no adapter yet, or ``out`` is not empty.
    """
    adapter = run / "adapters" / weights
    if not (run / "config.yaml").is_file():
        raise InputError(f"{run} is not a run: no config.yaml there; give a directory like outputs/lab/…/seed0")
    if not (adapter / "adapter_config.json").is_file():
        raise InputError(f"{run} has no adapter {weights!r}: it was simulated, or has not come that far")
    target = out if out is not None else run / ("export-merged" if merge else "export")
    if target.is_file():
        raise InputError(f"out={target} is a file; give a folder")
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {target} ({error.strerror}); give another folder by out=DIR") from error
    if any(target.iterdir()):
        raise InputError(f"{target} is not empty; give another folder by out=DIR")

    from rftlab.prompts import Prompts

    model = OmegaConf.load(run / "config.yaml").model
    if merge:
        _merged(model, adapter).save_pretrained(str(target))
    else:
        shutil.copytree(adapter, target, dirs_exist_ok=True)
    Prompts.of(model).tokenizer.save_pretrained(str(target))
    return target


def _merged(model: object, adapter: Path) -> object:
    """The base with the adapter written into it: added in float32, then stored as the base is stored.

    In a 16-bit dtype that rounding can lose part of a small adapter; the adapter itself is exact.
    """
    import torch
    from peft import PeftModel

    from rftlab.models import load_base, stored_config

    base = load_base(model, torch.float32, torch.device("cpu"))
    return PeftModel.from_pretrained(base, str(adapter)).merge_and_unload().to(stored_config(model).dtype)
