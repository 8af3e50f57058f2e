"""Several datasets as one, with a share of the pool for each."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rftlab.config import build_dataset
from rftlab.core import Float, InputError, Task, TaskPool
from rftlab.datasets import parts as composed
from rftlab.datasets.base import Dataset
from rftlab.datasets.parts import Part
from rftlab.datasets.rows import squeezed
from rftlab.datasets.shares import apportion, interleaved, largest

Picked = dict[str, list[int]]
"""Positions of tasks in the pools of the parts."""


def load(
    parts: Mapping[str, Any] | Sequence[str] | None = None,
    eval_parts: Mapping[str, Any] | Sequence[str] | None = None,
    train_size: int | None = None,
    seed: int = 0,
    config_dir: str | None = None,
    name: str = "mix",
) -> Dataset:
    """The mixture. The arguments are explained in ``conf/dataset/mix.yaml``.

    ``Task.meta["source"]`` is the part, which is also the category. A training task whose prompt stands in any
    evaluation pool, or in a part named before its own, is left out and counted: prompts are compared without the parts'
    templates.
    """
    if train_size is not None and train_size < 1:
        raise InputError(f"dataset.train_size={train_size}: wanted at least 1, or null for as many as there are")
    if seed < 0:
        raise InputError(f"dataset.seed={seed}: wanted 0 or more")
    train, held_out = composed.read(parts, eval_parts, config_dir)
    datasets = {part: _built("parts", each) for part, each in train.items()}
    tests = {
        part: (
            datasets[part] if part in train and composed.same(each, train[part]) else _built("eval_parts", each)
        ).eval
        for part, each in held_out.items()
    }
    pools = {part: found.training for part, found in datasets.items()}
    if lacking := [part for part, pool in pools.items() if pool is None]:
        raise InputError(
            f"dataset.parts.{lacking[0]} is for evaluation only: name it in dataset.eval_parts, or give it an "
            "eval_fraction below 1"
        )
    training: dict[str, TaskPool] = {part: pool for part, pool in pools.items() if pool is not None}
    free, counts = _free(training, train, tests, held_out)
    picked = _picked(free, {part: each.weight for part, each in train.items()}, train_size, seed)
    names = tuple(dict.fromkeys([*train, *held_out]))
    for part, taken in picked.items():
        counts[f"training tasks of {part}"] = len(taken)
    left_out = [(f"{part} {where}", why) for part, found in datasets.items() for where, why in found.left_out]
    everything = {part: list(range(len(pool))) for part, pool in tests.items()}
    return Dataset(
        _joined(name, training, picked, names),
        _joined(f"{name}-eval", tests, everything, names),
        counts,
        tuple(left_out),
    )


def _built(key: str, part: Part) -> Dataset:
    try:
        return build_dataset(part.cfg)
    except InputError as error:
        raise InputError(f"dataset.{key}.{part.name}: {error}") from error


def _free(
    pools: Mapping[str, TaskPool],
    train: Mapping[str, Part],
    tests: Mapping[str, TaskPool],
    held_out: Mapping[str, Part],
) -> tuple[Picked, dict[str, int]]:
    """What may be trained on: tasks that no evaluation pool and no part before their own has."""
    unseen = {_asked(task, held_out[part]) for part, pool in tests.items() for task in pool.tasks}
    earlier: set[str] = set()
    free: Picked = {}
    leaked = repeated = 0
    for part, pool in pools.items():
        asked = [_asked(task, train[part]) for task in pool.tasks]
        leaked += sum(each in unseen for each in asked)
        repeated += sum(each in earlier and each not in unseen for each in asked)
        free[part] = [i for i, each in enumerate(asked) if each not in unseen and each not in earlier]
        if not free[part]:
            raise InputError(
                f"dataset.parts.{part}: all of its {len(pool):,} tasks stand in an evaluation pool or in a part named "
                "before it: leave it out, or evaluate on others by dataset.eval_parts"
            )
        earlier |= set(asked)
    return free, {
        "training tasks dropped for standing in an evaluation pool": leaked,
        "training tasks dropped for standing in a part before their own": repeated,
    }


def _asked(task: Task, part: Part) -> str:
    """The prompt without the part's system message and template, spelt so that trifles do not tell prompts apart."""
    texts = [message["content"] for message in task.prompt if message["role"] != "system"]
    if len(texts) == 1:
        before, _, after = (part.cfg.dataset.get("template") or "{prompt}").partition("{prompt}")
        texts[0] = texts[0].removeprefix(before).removesuffix(after)
    return squeezed("\n".join(texts))


def _picked(free: Picked, weights: Mapping[str, float], size: int | None, seed: int) -> Picked:
    """So many of the free tasks of each part as its weight says, drawn by ``seed``, in the order of the part."""
    there = {part: len(positions) for part, positions in free.items()}
    most = largest(weights, there)
    counts = most if size is None else apportion(weights, size)
    for part, count in counts.items():
        if count < 1:
            raise InputError(
                f"dataset.parts.{part} gets no task at its weight of {weights[part]:g} ({there[part]:,} are there): "
                "raise its weight, lower the others"
            )
        if count > there[part]:
            raise InputError(
                f"dataset.train_size={size} wants {count:,} tasks of {part}, which has {there[part]:,}: at most "
                f"dataset.train_size={sum(most.values())} at these weights"
            )
    taken = {}
    for part, count in counts.items():
        rng = np.random.default_rng(np.random.SeedSequence((seed, zlib.crc32(part.encode()))))
        taken[part] = [free[part][i] for i in sorted(rng.permutation(there[part])[:count].tolist())]
    return taken


def _joined(name: str, pools: Mapping[str, TaskPool], picked: Picked, names: tuple[str, ...]) -> TaskPool:
    order = [(part, picked[part][i]) for part, i in interleaved({part: len(each) for part, each in picked.items()})]
    models = dict.fromkeys(model for pool in pools.values() for model in pool.references)
    levels = {part: pool.level for part, pool in pools.items() if pool.level is not None}
    return TaskPool(
        tasks=tuple(
            replace(task := pools[part].tasks[i], index=n, meta={**task.meta, "source": part})
            for n, (part, i) in enumerate(order)
        ),
        category=np.array([names.index(part) for part, _ in order], np.int64),
        categories=names,
        level=np.array([levels[part][i] for part, i in order], np.float64) if len(levels) == len(pools) else None,
        references={model: _rates(model, pools, order) for model in models},
        reference_rollouts={model: _cost(model, pools, picked) for model in models},
        name=name,
    )


def _rates(model: str, pools: Mapping[str, TaskPool], order: Sequence[tuple[str, int]]) -> Float:
    """Pass rates of a model; NaN for parts that do not know it."""
    known = {part: pool.references[model] for part, pool in pools.items() if model in pool.references}
    return np.array([known[part][i] if part in known else np.nan for part, i in order], np.float64)


def _cost(model: str, pools: Mapping[str, TaskPool], picked: Picked) -> int:
    """Rollouts that the pass rates of the tasks taken have cost."""
    return sum(pool.take(picked[part]).reference_rollouts.get(model, 0) for part, pool in pools.items())
