"""What lies on the shelf: presets and parts of ``conf/sampler`` as configurations, and what can be said of each.

A preset is composed here without Hydra (a listing of forty would take seconds): a list of options of the three groups
with its own values over them. Whatever else a defaults list may hold is left to Hydra.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml  # type: ignore[import-untyped]
from omegaconf import DictConfig, OmegaConf

from rftlab.core import Budget, InputError, Need, StepContext, TaskPool
from rftlab.listing import options
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.build import build_sampler
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.uniform import Uniform
from rftlab.samplers.tally import tally

GROUPS = ("selector", "allocator", "admission")
PLAIN = {"selector": (Uniform, "tasks"), "allocator": (Fixed, "rollouts"), "admission": (All, "groups")}
"""The part that leaves a thing alone, and the thing."""
G = 8
"""Group size for which rounds are told."""


def preset(name: str, extra: Sequence[Path] = ()) -> dict[str, Any]:
    """The ``sampler`` node of a preset, as ``sampler=NAME`` composes it."""
    own, chosen = _read(options("sampler", extra)[name]), chosen_parts(name, extra)
    if chosen is None:
        from rftlab.config import compose

        node: Any = compose([f"sampler={name}"], config_dir=extra[0] if extra else None).sampler
    else:
        parts = {group: part(group, option, extra) for group, option in chosen.items()}
        own.pop("defaults", None)
        node = OmegaConf.merge(parts, own)
    plain: Any = OmegaConf.to_container(node, resolve=True)
    return plain


def chosen_parts(name: str, extra: Sequence[Path] = ()) -> dict[str, str] | None:
    """Group -> option of a preset's defaults list; None when the list holds anything else."""
    listed: list[Any] = list(_read(options("sampler", extra)[name]).get("defaults", ["_self_"]))
    if "_self_" not in listed or listed[-1] != "_self_":
        return None
    chosen: dict[str, str] = {}
    for entry in listed[:-1]:
        if not isinstance(entry, DictConfig) or len(entry) != 1:
            return None
        chosen |= {str(group): str(option) for group, option in entry.items()}
    known = all(group in GROUPS and option in options(f"sampler/{group}", extra) for group, option in chosen.items())
    return chosen if known else None


def part(group: str, option: str, extra: Sequence[Path] = ()) -> dict[str, Any]:
    """The node of one option of ``sampler/selector``, ``sampler/allocator`` or ``sampler/admission``.

    A variant names the option that it changes in its own defaults list, before ``_self_``.
    """
    own, base = _read(options(f"sampler/{group}", extra)[option]), base_of(group, option, extra)
    own.pop("defaults", None)
    node: Any = OmegaConf.to_container(OmegaConf.merge(part(group, base, extra) if base else {}, own), resolve=True)
    return node


def base_of(group: str, option: str, extra: Sequence[Path] = ()) -> str | None:
    """The option that this one is a variant of, if any."""
    listed = _read(options(f"sampler/{group}", extra)[option]).get("defaults", [])
    return next((str(base) for base in listed if base != "_self_"), None)


def crossing(selector: str, allocator: str, admission: str) -> dict[str, Any]:
    """The ``sampler`` node that crosses three options."""
    chosen = zip(GROUPS, (selector, allocator, admission), strict=True)
    return {group: part(group, option) for group, option in chosen}


def crossings() -> list[tuple[str, str, str]]:
    """Every choice of a selector, an allocator and an admission."""
    return list(itertools.product(*(options(f"sampler/{group}") for group in GROUPS)))  # type: ignore[arg-type]


@cache
def _read_once(file: Path, changed: float) -> DictConfig:
    try:
        return OmegaConf.load(file)  # type: ignore[return-value]
    except yaml.YAMLError as error:
        raise InputError(f"{file} is no YAML: {' '.join(str(error).split())}") from error


def _read(file: Path) -> DictConfig:
    return _read_once(file, file.stat().st_mtime).copy()


@dataclass(frozen=True)
class Card:
    """What is found out about a preset by building it."""

    needs: str = ""
    """Comma-separated; in brackets what is used where it is there."""
    controls: str = ""
    rounds: str = ""
    problem: str = ""
    """Why nothing more can be said; empty when the sampler can be built."""


def card(name: str, pool: TaskPool, extra: Sequence[Path] = ()) -> Card:
    """Reads the preset and builds its parts on a small pool that has every array."""
    try:
        sampler = build_sampler(preset(name, extra), pool, G, truth=True)
    except InputError as error:
        return Card(problem=str(error))
    return Card(_needs(sampler), _controls(sampler), _rounds(sampler))


def _needs(sampler: TaskSampler) -> str:
    needs = sampler.needs()
    named = [need.value for need in sorted(needs - {Need.PROBE})]
    optional = Need.REFERENCES not in needs and any(part.references for part in sampler.parts.values())
    return ", ".join([*named, *(["[references]"] if optional else [])]) or "-"


def _controls(sampler: TaskSampler) -> str:
    """The things that a preset does not leave as they are; a filter chooses tasks before the run."""
    found = [what for group, (plain, what) in PLAIN.items() if type(sampler.parts[group]) is not plain]
    if sampler.filter is not None and "tasks" not in found:
        found.insert(0, "tasks")
    return ", ".join(found) or "-"


def _rounds(sampler: TaskSampler) -> str:
    refills = " + refills" if _refills(sampler) else ""
    probe = " + probe" if Need.PROBE in sampler.needs() else ""
    return f"{sampler.allocator.rounds()}{probe}{refills}"


def _refills(sampler: TaskSampler) -> bool:
    """Whether the admission asks for new tasks when the first ones were rejected."""
    left = Budget(rollouts=64 * G, rounds=8)
    ctx = StepContext(1, 1, 4, G, 0.5, left, sampler.stats, seed=0, round=1, part="admission/want")
    nothing = tally([], {})
    return sampler.admission.want(4, nothing, ctx) > 0


def small_pool() -> TaskPool:
    """Thirty-two tasks with every array, to build parts on."""
    from rftlab.testing import make_pool

    return make_pool(32)
