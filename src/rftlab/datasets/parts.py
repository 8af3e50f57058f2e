"""The parts of a mixture: each composed from its own dataset YAML, with the verifier that it brings."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from hydra.core.global_hydra import GlobalHydra
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf, open_dict

from rftlab.config import DATASET_LABELS, compose
from rftlab.core import InputError
from rftlab.listing import check_option, conf_dir, options
from rftlab.targets import check_options

Listed = Mapping[str, Any] | Sequence[str] | None
"""Names, or name -> weight, or name -> {weight, dataset, verifier, and keys of that dataset}."""


@dataclass(frozen=True)
class Part:
    """A dataset of a mixture under a name of its own."""

    name: str
    weight: float
    cfg: DictConfig
    """The nodes ``dataset`` and ``verifier``, as ``rftlab validate dataset=NAME`` composes them."""


def read(parts: Listed, eval_parts: Listed, config_dir: str | None) -> tuple[dict[str, Part], dict[str, Part]]:
    """The parts to train on and those to evaluate on (the same where ``eval_parts`` is None).

    A name that stands in both is one dataset: what is said of it in ``parts`` holds in ``eval_parts`` too.
    """
    given = _options("parts", parts)
    train = {name: _part(f"dataset.parts.{name}", name, each, config_dir) for name, each in given.items()}
    if eval_parts is None:
        return train, train
    held_out = {}
    for name, each in _options("eval_parts", eval_parts).items():
        key = f"dataset.eval_parts.{name}"
        if "weight" in each:
            raise InputError(f"{key}.weight={each['weight']}: all tasks are evaluated on, leave the weight out")
        known = {k: v for k, v in given.get(name, {}).items() if k != "weight"}
        held_out[name] = _part(key, name, known | each, config_dir)
        if name in train and held_out[name].cfg.verifier != train[name].cfg.verifier:
            own = ", ".join(f"{k}: {v}" for k, v in ({"dataset": name} | each).items())
            raise InputError(
                f"{key}: {name} has the verifier of dataset.parts.{name}; wanted {{{name}_eval: {{{own}}}}}"
            )
    return train, held_out


def _options(key: str, listed: Listed) -> dict[str, dict[str, Any]]:
    if isinstance(listed, str) or not listed:
        raise InputError(
            f"dataset.{key}={listed or 'null'}: wanted names of datasets, dataset.{key}={{gsm8k: 1, svamp: 2}}"
        )
    if not isinstance(listed, Mapping):
        return {str(name): {} for name in listed}
    return {
        str(name): dict(each) if isinstance(each, Mapping) else {} if each is None else {"weight": each}
        for name, each in listed.items()
    }


def _part(key: str, name: str, given: Mapping[str, Any], config_dir: str | None) -> Part:
    own = dict(given)
    weight, option, verifier = own.pop("weight", 1.0), str(own.pop("dataset", name)), own.pop("verifier", None)
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf"):
        raise InputError(f"{key}.weight={weight}: wanted a number above 0")
    if verifier is not None and not isinstance(verifier, str):
        raise InputError(f"{key}.verifier={verifier}: wanted the name of a verifier; its options are those of its YAML")
    cfg = _composed(option, verifier, _own_folder(config_dir)).copy()
    if cfg.dataset._target_ == "rftlab.datasets.mix.load":
        raise InputError(f"{key}: a mixture cannot be a part of a mixture, name its parts instead")
    with open_dict(cfg.dataset):
        cfg.dataset.name = name
        for option_key, value in own.items():
            cfg.dataset[option_key] = value
    check_options(key, OmegaConf.to_container(cfg.dataset), DATASET_LABELS)  # type: ignore[arg-type]
    return Part(name, float(weight), cfg)


@lru_cache(maxsize=256)  # the dataset and the verifier of a run ask for the same parts
def _composed(option: str, verifier: str | None, folder: Path | None) -> DictConfig:
    extra = [folder] if folder else []
    check_option("dataset", option, options("dataset", extra))
    chosen = [f"dataset={option}"]
    if verifier is not None:
        check_option("verifier", verifier, options("verifier", extra))
        chosen.append(f"verifier={verifier}")
    with _running_hydra_aside():
        return compose(chosen, verb="validate", config_dir=folder)


@contextmanager
def _running_hydra_aside() -> Iterator[None]:
    """Hydra composes one configuration at a time: the one of the command is put away and back."""
    running = GlobalHydra.instance().hydra
    GlobalHydra.instance().clear()
    try:
        yield
    finally:
        if running is not None:
            GlobalHydra.instance().clear()
            GlobalHydra.instance().initialize(running)


def _own_folder(config_dir: str | None) -> Path | None:
    """The folder with datasets of the user's own: the one given, else that of ``--config-dir``."""
    if config_dir is not None:
        if not Path(config_dir).is_dir():
            raise InputError(f"dataset.config_dir={config_dir}: no such folder")
        return Path(config_dir)
    if not HydraConfig.initialized():
        return None
    found = [Path(s.path) for s in HydraConfig.get().runtime.config_sources if s.schema == "file" and s.path]
    return next((folder for folder in found if folder.is_dir() and folder.resolve() != conf_dir().resolve()), None)


def same(one: Part, two: Part) -> bool:
    """Whether two parts hold the same tasks."""
    content = [
        json.dumps(OmegaConf.to_container(part.cfg.dataset, resolve=True), sort_keys=True) for part in (one, two)
    ]
    return content[0] == content[1]
