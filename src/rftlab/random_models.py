"""``random:<name>``: a real architecture with random weights, to test speed, memory and engines without a download.

The shapes are those of published models (``assets/shapes/``), the tokenizer is the bundled one: it knows the first few
hundred ids of the vocabulary, ids above are no text. A folder like any other model's is kept in the cache, so that
every engine reads it; the weights join it when they are first wanted.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

from rftlab.cache import cache_dir
from rftlab.core import InputError
from rftlab.first_line import first_line

ASSETS = Path(__file__).parent / "assets"
SHAPES = ASSETS / "shapes"
TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
PREFIX = "random:"
SEED = 0
"""Of the weights; with the shape it decides them."""


def is_random(path: str) -> bool:
    return path.startswith(PREFIX)


def folder(path: str) -> Path:
    """The cached folder of ``random:<name>`` with configuration and tokenizer.

    ``name`` is one of ``assets/shapes`` or a file like a model's ``config.json``. The folder's last name holds a digest
    of all that decides the weights.
    """
    shape = _shape(path)
    text = json.dumps([shape, SEED], sort_keys=True)
    name = f"{Path(path.removeprefix(PREFIX)).stem}-{hashlib.blake2b(text.encode(), digest_size=4).hexdigest()}"
    there = cache_dir("random") / name
    if not there.is_dir():
        _check(path, shape)
        there.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=there.parent))
        for file in TOKENIZER:
            shutil.copyfile(ASSETS / "tiny" / file, made / file)
        (made / "config.json").write_text(json.dumps(shape, indent=2))
        try:
            made.rename(there)
        except OSError:  # another process was faster
            shutil.rmtree(made)
    return there


def weights(path: str) -> Path:
    """``folder`` with the weights in it: bfloat16, a function of shape and seed."""
    there = folder(path)
    if (there / "model.safetensors").is_file():
        return there
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    with torch.random.fork_rng(devices=[]), tempfile.TemporaryDirectory(dir=there.parent) as made:
        torch.manual_seed(SEED)
        model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(there), dtype=torch.bfloat16)
        model.save_pretrained(made, max_shard_size="1TB")
        for file in ("generation_config.json", "model.safetensors"):  # the weights last: they say that all is there
            os.replace(Path(made) / file, there / file)
    return there


def _check(path: str, shape: Any) -> None:
    """Raises ``InputError`` when no configuration of transformers takes the shape."""
    wanted = "wanted an object like a model's config.json, with the model_type of a causal language model"
    if not isinstance(shape, dict) or not isinstance(shape.get("model_type"), str):
        raise InputError(f"model.path={path}: no model_type in it; {wanted}")
    from transformers import AutoConfig
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    if (kind := shape["model_type"]) not in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES:
        raise InputError(f"model.path={path}: model_type is {kind}; {wanted}")
    try:
        AutoConfig.for_model(**shape)
    except Exception as error:  # every architecture has checks, and errors, of its own
        raise InputError(f"model.path={path}: {kind} has no such shape ({first_line(error)}); {wanted}") from error


def _shape(path: str) -> Any:
    name = path.removeprefix(PREFIX)
    file = SHAPES / f"{name}.json"
    if not file.is_file():
        file = Path(name)
    try:
        return json.loads(file.read_text())
    except (OSError, ValueError):
        there = ", ".join(sorted(p.stem for p in SHAPES.glob("*.json")))
        raise InputError(
            f"model.path={path}: no such shape; wanted a file like a model's config.json, or one of {there}"
        ) from None
