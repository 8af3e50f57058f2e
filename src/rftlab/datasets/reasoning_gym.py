"""Procedural tasks of the package ``reasoning_gym``: over a hundred families, mixed by weight."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Real
from typing import Any

import numpy as np

from rftlab.core import InputError, Task, TaskPool, task_id
from rftlab.datasets import gym_items, same_hash
from rftlab.datasets.base import Dataset
from rftlab.datasets.shares import apportion, interleaved
from rftlab.verifiers.number import parse_number

EASY: Mapping[str, Any] = {
    "basic_arithmetic": {
        "weight": 2,
        "min_terms": 2,
        "max_terms": 4,
        "min_digits": 1,
        "max_digits": 1,
        "operators": ["+", "-"],
        "allow_parentheses": False,
        "format_style": "simple",
    },
    "spell_backward": {"min_word_len": 3, "max_word_len": 5},
}
"""The default mixture: short questions in ASCII with answers of a few characters, for character-level models."""

_SPLITS = {"eval": 0, "train": 1}
_NONSENSE = ("?", "0", "nan")


def load(
    families: Mapping[str, Any] | Sequence[str] | None = None,
    train_size: int = 2000,
    eval_size: int = 200,
    seed: int = 0,
    system: str | None = None,
    template: str | None = None,
    name: str = "reasoning_gym",
) -> Dataset:
    """The mixture: the same for the same arguments, and every item a function of (family, parameters, seed, index).

    Questions are distinct. Those for evaluation come first and from a stream of their own, so they do not depend on
    ``train_size``; a training question that stands among them is left out. Some families make of one seed another item
    in every process, by the order of a set of texts: all is made where hashes are the same, as in the verifier's
    workers. The keys are explained in ``conf/dataset/reasoning_gym.yaml``.
    """
    if train_size < 1 or eval_size < 1:
        raise InputError(f"dataset.train_size={train_size}, dataset.eval_size={eval_size}: wanted at least 1 each")
    if seed < 0:
        raise InputError(f"dataset.seed={seed}: wanted 0 or more")
    if template is not None and "{prompt}" not in template:
        raise InputError(f"dataset.template={template!r} does not say where the {{prompt}} goes")
    return same_hash.called(_made, families, train_size, eval_size, seed, system, template, name)


def _made(
    families: Mapping[str, Any] | Sequence[str] | None,
    train_size: int,
    eval_size: int,
    seed: int,
    system: str | None,
    template: str | None,
    name: str,
) -> Dataset:
    weights, parameters = _mixture(families)
    for family in weights:
        gym_items.check(family, parameters[family])
        _check_grader(family, parameters[family])
    used: set[str] = set()
    left_out: list[tuple[str, str]] = []
    pools, counts = {}, {}
    for split, size in (("eval", eval_size), ("train", train_size)):
        streams, wanted = {}, apportion(weights, size)
        for family, count in wanted.items():
            if count < 1:
                raise InputError(
                    f"dataset.{split}_size={size} gives {family} no task at its weight of {weights[family]:g}: raise "
                    "one of them"
                )
            start = _seed(seed, split)
            streams[family] = _stream(family, parameters[family], start, count, used, left_out, system, template)
            if not streams[family]:
                raise InputError(
                    f"dataset.families.{family} has no question for dataset.{split}_size={size} beside the "
                    f"{len(used):,} in use: widen its parameters, or lower dataset.eval_size"
                )
            counts[f"{split} tasks of {family} fewer than asked, it has no more"] = count - len(streams[family])
        pools[split] = _pool(name if split == "train" else f"{name}-eval", streams, tuple(weights))
    return Dataset(pools["train"], pools["eval"], counts, tuple(left_out))


def _mixture(families: Mapping[str, Any] | Sequence[str] | None) -> tuple[dict[str, float], dict[str, dict[str, Any]]]:
    """Weight and parameters of each family."""
    asked = EASY if families is None else families
    if isinstance(asked, str) or not asked:
        raise InputError(
            f"dataset.families={asked}: wanted [NAME, …] or {{NAME: {{weight: 2, PARAMETER: VALUE}}, …}}; there are "
            f"{', '.join(gym_items.families())}"
        )
    listed = asked.items() if isinstance(asked, Mapping) else [(family, None) for family in asked]
    weights, parameters = {}, {}
    for family, given in listed:
        options = dict(given) if isinstance(given, Mapping) else {} if given is None else {"weight": given}
        weight = options.pop("weight", 1.0)
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < float("inf"):
            raise InputError(f"dataset.families.{family}.weight={weight}: wanted a number above 0")
        weights[family], parameters[family] = float(weight), options
    return weights, parameters


def _check_grader(family: str, parameters: Mapping[str, Any]) -> None:
    """A family that scores nonsense, or a constant, as right would teach just that."""
    for text in _NONSENSE:
        fooled = sum(_is_fooled(family, parameters, index, text) for index in range(5))
        if fooled >= 3:
            raise InputError(
                f"dataset.families.{family}: this family scores {text!r} as right whatever is asked, leave it out"
            )


def _is_fooled(family: str, parameters: Mapping[str, Any], index: int, text: str) -> bool:
    """Whether a text that is not the answer scores as right."""
    answer = gym_items.item(family, parameters, 0, index)["answer"]
    if answer is None or parse_number(answer) == 0:
        return False
    try:
        return gym_items.score(family, parameters, 0, index, text) >= 1
    except Exception:  # it cannot read nonsense
        return False


def _seed(seed: int, split: str) -> int:
    """Start of a stream: the package makes item ``index`` from seed + index, so streams must lie far apart."""
    return int(np.random.SeedSequence((seed, _SPLITS[split])).generate_state(1)[0]) >> 1


def _stream(
    family: str,
    parameters: Mapping[str, Any],
    seed: int,
    count: int,
    used: set[str],
    left_out: list[tuple[str, str]],
    system: str | None,
    template: str | None,
) -> list[Task]:
    """The first ``count`` items of a stream whose questions are not yet ``used``; fewer where there are no more.

    An item whose own answer its family does not score as right is ``left_out``.
    """
    tasks: list[Task] = []
    for index in range(gym_items.STREAM):
        if len(tasks) == count:
            break
        made = gym_items.item(family, parameters, seed, index)
        question = made["question"]
        if question in used:
            continue
        used.add(question)
        if made["answer"] and gym_items.score(family, parameters, seed, index, made["answer"]) < 1:
            left_out.append((f"{family}:{index}", "is not scored as right by its own family"))
            continue
        prompt = ({"role": "system", "content": system},) if system else ()
        prompt += ({"role": "user", "content": template.replace("{prompt}", question) if template else question},)
        answer = made["answer"] or ""
        meta = {"family": family, "parameters": dict(parameters), "seed": seed, "index": index}
        level = _level(made["metadata"])
        meta |= {} if level is None else {"level": level}
        tasks.append(Task(task_id(prompt, answer, "reasoning_gym"), 0, prompt, answer, meta))
    return tasks


def _level(metadata: Mapping[str, Any]) -> float | None:
    """Where an item stands in the ranges of its family's difficulty, 0 = easiest, 1 = hardest; None = not said.

    The mean over those ranges (low, high) for which the item's own number is known.
    """
    ranges = metadata.get("difficulty")
    places = []
    for key, bounds in ranges.items() if isinstance(ranges, Mapping) else ():
        if isinstance(metadata.get(key), Real) and isinstance(bounds, tuple | list) and len(bounds) == 2:
            low, high = bounds
            places.append(min(1.0, max(0.0, (metadata[key] - low) / (high - low))) if high > low else 0.0)
    return float(np.mean(places)) if places else None


def _pool(name: str, streams: Mapping[str, list[Task]], families: tuple[str, ...]) -> TaskPool:
    order = interleaved({family: len(tasks) for family, tasks in streams.items()})
    tasks = tuple(replace(streams[family][i], index=n) for n, (family, i) in enumerate(order))
    levels = [task.meta.get("level") for task in tasks]
    return TaskPool(
        tasks=tasks,
        category=np.array([families.index(task.meta["family"]) for task in tasks], np.int64),
        categories=families,
        level=None if None in levels else np.array(levels, np.float64),
        name=name,
    )
