"""Files of the user's own that a run is made of: what they say belongs to its identity, not their names alone."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from rftlab.core import InputError

FUNCTION = "rftlab.verifiers.function.Function"
GROUPS = ("sampler", "verifier", "model")


def fill_in(cfg: DictConfig) -> None:
    """Writes ``own_files`` (name as the configuration has it -> 16 hex digits of the content) into ``GROUPS``.

    They are null where there are none. Of a class or function it is the file that defines it; what that imports is not
    looked at. A file that cannot be read is left to whoever uses it, whose error names the key.
    """
    for group in GROUPS:
        if (node := OmegaConf.select(cfg, group)) is None:
            continue
        if group == "model":
            found = _of_model(node, cfg.get("init_from"))
        else:
            names = sorted(set(_classes(OmegaConf.to_container(node, resolve=True))))
            found = {name: digest for name in names if (digest := _digest(_defined_in(name))) is not None}
        node.own_files = found or None


def _of_model(model: Any, init_from: str | None) -> dict[str, str]:
    """The template and the adapter to start from."""
    from rftlab.lab import adapter_of
    from rftlab.prompts import STYLES

    files: dict[str, Path | None] = {} if model.prompt in STYLES else {model.prompt: Path(model.prompt)}
    try:
        adapter = adapter_of(init_from)
    except InputError:
        adapter = None
    if adapter is not None:
        files[str(init_from)] = adapter / "adapter_model.safetensors"
    return {name: digest for name, file in files.items() if (digest := _digest(file)) is not None}


def _classes(node: Any) -> Iterator[str]:
    """The classes and functions in a configuration that are not rftlab's."""
    values = node if isinstance(node, list) else node.values() if isinstance(node, dict) else ()
    if isinstance(node, dict):
        target = node.get("_target_")
        named = node.get("function") if target == FUNCTION else target
        if isinstance(named, str) and named and not named.startswith("rftlab."):
            yield named
    for value in values:
        yield from _classes(value)


def _defined_in(name: str) -> Path | None:
    """The file of ``file.py:function`` or ``package.module.name``; modules are not imported, their packages are."""
    file, colon, _ = name.rpartition(":")
    if colon:
        return Path(file)
    module = name.rpartition(".")[0]
    while module:
        try:
            spec = importlib.util.find_spec(module)
        except Exception:  # of a class within a class the module is further up; or a package that cannot be imported
            spec = None
        if spec is not None and spec.origin is not None:
            return Path(spec.origin)
        module = module.rpartition(".")[0]
    return None


def _digest(file: Path | None) -> str | None:
    try:
        return None if file is None else _digest_of(file, (stat := file.stat()).st_mtime_ns, stat.st_size)
    except OSError:
        return None


@lru_cache
def _digest_of(file: Path, *_: int) -> str:
    """Adapters are large and a configuration is read several times."""
    with file.open("rb") as content:
        return hashlib.file_digest(content, lambda: hashlib.blake2b(digest_size=8)).hexdigest()  # type: ignore[arg-type]
