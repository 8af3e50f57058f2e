"""Loading a base model and putting a LoRA adapter on it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError

from rftlab import random_models
from rftlab.base_options import check_base_options, load_options
from rftlab.core import InputError
from rftlab.first_line import first_line
from rftlab.prompts import model_source

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}
LOGIT_TRANSFORMS = ("logits_scaling", "logit_scale", "final_logit_softcapping")
"""Settings of model families that change logits after the vocabulary projection, which the update computes itself."""


def device_of_choice() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def dtype_of(name: str, device: torch.device) -> torch.dtype:
    """The dtype of the base weights; ``auto`` is bfloat16 on a GPU and float32 elsewhere."""
    return DTYPES.get(name, torch.bfloat16 if device.type == "cuda" else torch.float32)


def load_base(model: Any, dtype: torch.dtype, device: torch.device) -> Any:
    """The base model of a ``model`` group, frozen, in evaluation mode."""
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    check_base_options(model, dtype, device)
    if random_models.is_random(model.path):
        random_models.weights(model.path)
    source = model_source(model.path)
    try:
        options = {"revision": model.revision, "dtype": dtype, **load_options(model, device)}
        base = AutoModelForCausalLM.from_pretrained(source, **options)
    except (OSError, ValueError) as error:
        raise InputError(_not_loaded(model.path, error)) from error
    for setting in LOGIT_TRANSFORMS:
        if getattr(base.config, setting, None) not in (None, 1, 1.0):
            raise InputError(
                f"model.path={model.path} has {setting}={getattr(base.config, setting)}, which the update does not "
                "apply: its log-probs would not be the model's; choose a model without it"
            )
    placed = base if model.quantize else base.to(device)
    return placed.eval().requires_grad_(False)


def stored_config(model: Any) -> Any:
    """The model's configuration, the text part of a multimodal one; no weights are loaded."""
    from transformers import AutoConfig

    source = model_source(model.path)
    try:
        config = AutoConfig.from_pretrained(source, revision=model.revision)
    except (OSError, ValueError) as error:
        raise InputError(_not_loaded(model.path, error)) from error
    return config.get_text_config()


def _not_loaded(path: str, error: Exception) -> str:
    reason = first_line(error)
    return f"model.path={path}: no model could be loaded ({reason}); give a folder or, with a network, a hub name"


def with_adapter(base: Any, model: Any, seed: int, init_from: Path | None, *, train: bool) -> Any:
    """``base`` as a peft model with a fresh adapter (a function of ``seed``) or the one in ``init_from``.

    The adapter is held, trained and multiplied in float32 (TF32 on a GPU with a bfloat16 base) whatever the dtype of
    the base: peft casts a layer's input up and the sum back down, so a bfloat16 base gets its correction rounded once.
    """
    from peft import LoraConfig, PeftModel, get_peft_model

    if init_from is not None:
        try:
            return PeftModel.from_pretrained(base, str(init_from), is_trainable=train)
        except (SafetensorError, RuntimeError, ValueError) as error:
            raise InputError(f"init_from={init_from}: the adapter does not load ({first_line(error)})") from error
    targets = model.lora.targets if isinstance(model.lora.targets, str) else list(model.lora.targets)
    lora = LoraConfig(
        task_type="CAUSAL_LM",
        r=model.lora.r,
        lora_alpha=model.lora.alpha,
        lora_dropout=model.lora.dropout,
        target_modules=targets,
        use_rslora=model.lora.rslora,
        use_dora=model.lora.dora,
    )
    torch.manual_seed(seed)
    try:
        return get_peft_model(base, lora)
    except ValueError as error:
        raise InputError(f"model.lora.targets={targets}: {first_line(error)}; all-linear fits every model") from error


def check_adapter(folder: Path, model: Any, *, train: bool) -> None:
    """Raises ``InputError`` when the adapter in ``folder`` was made for another base or in another shape."""
    try:
        stored = json.loads((folder / "adapter_config.json").read_text())
        base, shape = str(stored["base_model_name_or_path"]), {k: stored[k] for k in ("r", "lora_alpha")}
        shape |= {key: bool(stored.get(key, False)) for key in ("use_rslora", "use_dora")}
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"init_from={folder}: adapter_config.json is damaged ({error})") from error
    wanted = model_source(model.path)
    # folders may have moved since: their last name decides
    if base != wanted and Path(base).name != Path(wanted).name:
        raise InputError(
            f"init_from={folder} was trained on {Path(base).name}, model.path={model.path} is another model; "
            "choose its own by model=NAME"
        )
    for key, name in (("r", "r"), ("lora_alpha", "alpha"), ("use_rslora", "rslora"), ("use_dora", "dora")):
        found, asked = (str(v).lower() for v in (shape[key], model.lora[name]))
        if train and shape[key] != model.lora[name]:
            raise InputError(
                f"init_from={folder} has {name}={found}, model.lora.{name}={asked} was asked for; "
                f"give model.lora.{name}={found}"
            )


def decoder_layers(model: Any) -> list[torch.nn.Module]:
    """The layers of a transformers model, which can recompute their activations and be split over ranks."""
    from transformers.modeling_layers import GradientCheckpointingLayer

    return [module for module in model.modules() if isinstance(module, GradientCheckpointingLayer)]


def training_modules(model: Any, cfg: Any) -> list[torch.nn.Module]:
    """The modules that are in training mode inside an update: what recomputes, and what drops of the adapter."""
    from peft.tuners.lora import LoraLayer

    modules = decoder_layers(model) if cfg.gradient_checkpointing else []
    if cfg.lora.dropout > 0:
        layers = [m for m in model.modules() if isinstance(m, LoraLayer)]
        modules += [part for layer in layers for part in (layer, *layer.lora_dropout.values())]
    return modules
