"""From the ``sampler`` group of the configuration to a sampler, checked before a model loads."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

from omegaconf import DictConfig, OmegaConf

from rftlab import targets
from rftlab.core import InputError, Need, TaskPool
from rftlab.samplers.base import Admission, Allocator, Part, Selector
from rftlab.samplers.composer import TaskSampler

ALWAYS = frozenset({Need.ADVANTAGE, Need.PROBE, Need.PROGRESS})
"""Needs that every run serves."""

REPAIR = {
    Need.REFERENCES: "measure a model's pass rates with rftlab profile, then give +references.NAME=FILE",
    Need.CATEGORY: "give dataset.category_key=KEY",
    Need.LEVEL: "give dataset.level_key=KEY",
    Need.FEATURES: "give features=hashed",
    Need.TRUTH: "true pass rates exist in simulation only: engine=sim",
}


def build_sampler(cfg: Mapping[str, Any], pool: TaskPool, group_size: int, *, truth: bool = False) -> TaskSampler:
    """The sampler that ``cfg`` describes.

    Args:
        cfg: The ``sampler`` group: ``selector``, ``allocator`` and ``admission``, each a ``_target_`` with its options;
            optionally ``filter`` and ``stats_discount``.
        pool: The tasks.
        group_size: G, nominal rollouts of a task.
        truth: Whether the engine knows the true pass rates.

    Raises:
        InputError: An unknown class or option, a value out of range, or a need that nothing serves.
    """
    return recipe(cfg)(pool, group_size, truth)


def recipe(cfg: Mapping[str, Any]) -> Callable[[TaskPool, int, bool], TaskSampler]:
    """``build_sampler`` for a configuration that is built often: each call gets fresh copies of the parts."""
    plain = _plain(cfg)
    parts = build_parts(plain)
    return lambda pool, group_size, truth: _assemble(copy.deepcopy(parts), plain, pool, group_size, truth)


def _assemble(parts: Any, plain: Any, pool: TaskPool, group_size: int, truth: bool) -> TaskSampler:
    served = pool.has() | ALWAYS | (frozenset({Need.TRUTH}) if truth else frozenset())
    for group, part in parts.items():
        _check_needs(f"sampler.{group} ({type(part).__name__})", part.needs() - served, pool)
    return TaskSampler(
        pool,
        **parts,
        group_size=group_size,
        filter=plain.get("filter"),
        stats_discount=plain.get("stats_discount", 1.0),
    )


def build_parts(cfg: Mapping[str, Any]) -> dict[str, Part]:
    """Selector, allocator and admission of the ``sampler`` group ``cfg``, not yet bound to a pool."""
    plain = _plain(cfg)
    kinds: dict[str, type[Part]] = {"selector": Selector, "allocator": Allocator, "admission": Admission}
    return {group: targets.build(f"sampler.{group}", plain.get(group) or {}, kind) for group, kind in kinds.items()}


def _plain(cfg: Mapping[str, Any]) -> Any:
    return OmegaConf.to_container(cfg, resolve=True) if isinstance(cfg, DictConfig) else cfg


def _check_needs(what: str, lacking: frozenset[Need], pool: TaskPool) -> None:
    for need in sorted(lacking):
        source = "the engine" if need is Need.TRUTH else f"dataset {pool.name!r}"
        raise InputError(f"{what} needs {need.value}, {source} has none: {REPAIR[need]}, or choose another sampler")
