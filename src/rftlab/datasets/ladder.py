"""The default dataset: small string problems in six families, each from one character to ten.

| family  | prompt        | answer | what must be done                                                         |
|---------|---------------|--------|---------------------------------------------------------------------------|
| copy    | `copy qxa`    | `qxa`  | write the letters again                                                   |
| reverse | `reverse qxa` | `axq`  | write them from the last to the first                                     |
| sort    | `sort qxa`    | `aqx`  | write them in alphabetical order                                          |
| shift   | `shift qxz`   | `rya`  | write for each letter the next one of the alphabet, `a` after `z`         |
| sum     | `sum 4527`    | `4918` | write the running sums modulo 10; length 3 = three additions, four digits |
| add     | `add 375219`  | `0801` | add two numbers; length 3 = three digits each                             |

The digits of ``add`` come in pairs, the lowest pair first (`37` `52` `19` are the numbers 153 and 927), and the sum,
1080, is written lowest digit first: every digit needs one pair and a carry.

Every length is as frequent as every other, so a weak model meets many tasks that it never solves, which is what a task
sampler is for. The exception is length 1, where the letter families have only 26 tasks each and pass their surplus on
(``_draw``): the default training pool has 136, 272 and 204 tasks of length 1, 2 and 3, and 198 to 200 of each other.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import numpy as np

from rftlab.core import Float, InputError, Int, Task, TaskPool, task_id
from rftlab.datasets.base import Dataset

FAMILIES = ("copy", "reverse", "sort", "shift", "sum", "add")
LENGTHS = range(1, 11)
REFERENCES_FILE = "ladder_references.json"

_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_NEXT_LETTER = str.maketrans(_ALPHABET, _ALPHABET[1:] + _ALPHABET[0])
_DRAWS_PER_LENGTH = 32
_TRAIN, _EVAL = 0, 1


def problem(family: str, length: int, rng: np.random.Generator) -> tuple[str, str]:
    """One random problem of a family and a length: the text of the prompt and the answer."""
    if family == "sum":
        digits = rng.integers(0, 10, length + 1)
        return f"sum {_join(digits)}", _join(np.cumsum(digits) % 10)
    if family == "add":
        pairs = rng.integers(0, 10, (length, 2))
        powers = [10**place for place in range(length)]
        total = sum(power * int(pair.sum()) for power, pair in zip(powers, pairs, strict=True))
        return f"add {_join(pairs.ravel())}", str(total).zfill(length)[::-1]
    word = "".join(_ALPHABET[i] for i in rng.integers(0, len(_ALPHABET), length))
    answers = {
        "copy": word,
        "reverse": word[::-1],
        "sort": "".join(sorted(word)),
        "shift": word.translate(_NEXT_LETTER),
    }
    return f"{family} {word}", answers[family]


def load(
    limit: int | None,
    references: Sequence[str] | None,
    seed: int = 0,
    train_size: int = 2000,
    eval_size: int = 500,
    name: str = "ladder",
) -> Dataset:
    """The ladder: a training pool and a disjoint evaluation set, the same for the same arguments on every machine.

    Task ``index`` of a split is f(seed, split, index): family and length go round by index, and the characters come
    from its own generator. The one thing that tasks share is the set of prompts already used. The evaluation set takes
    its prompts first, so it does not depend on ``train_size`` or ``limit``, and a smaller pool is a prefix of a larger.

    Args:
        limit: keep the first ``limit`` training tasks; None = all.
        references: names of shipped pass-rate arrays, among ``tiny`` and ``tiny-strong``; None or [] = none.
        seed: another seed is another pool; the shipped references know seed 0 only.
        train_size: training tasks before ``limit``; the shipped references know the first 2,000.
        eval_size: evaluation tasks; the shipped references know the pool that goes with 500.
        name: name of the training pool, in records and messages.
    """
    for what, size in {"limit": limit, "train_size": train_size, "eval_size": eval_size}.items():
        if size is not None and size < 1:
            raise InputError(f"dataset.{what} is {size}, wanted at least 1: set dataset.{what} to a positive number")
    if seed < 0:
        raise InputError(f"dataset.seed is {seed}, wanted 0 or more: set dataset.seed=0")
    used: set[str] = set()
    held_out = [_draw(seed, _EVAL, index, used) for index in range(eval_size)]
    size = train_size if limit is None else min(limit, train_size)
    train = [_draw(seed, _TRAIN, index, used) for index in range(size)]
    rates, cost = _references(references or (), [task.id for task in train])
    counts = {"made longer to avoid repeats": _lengthened(train, held_out)}
    return Dataset(
        training=TaskPool(**_columns(train), references=rates, reference_rollouts=cost, name=name),
        eval=TaskPool(**_columns(held_out), name=f"{name}-eval"),
        counts=counts,
    )


def _draw(seed: int, split: int, index: int, used: set[str]) -> Task:
    """Task ``index`` of a split: the first prompt of its stream that is not yet used, which is then used.

    After every 32 draws the problem gets one character longer, so that a short length which is used up (26 letters)
    passes its surplus on to the next.
    """
    rng = np.random.default_rng(np.random.SeedSequence((seed, split, index)))
    family = FAMILIES[index % len(FAMILIES)]
    planned = LENGTHS[index // len(FAMILIES) % len(LENGTHS)]
    draws = 0
    while True:
        length = planned + draws // _DRAWS_PER_LENGTH
        text, answer = problem(family, length, rng)
        if text not in used:
            break
        draws += 1
    used.add(text)
    prompt = ({"role": "user", "content": text},)
    meta = {"family": family, "length": length, "planned": planned}
    return Task(id=task_id(prompt, answer, "ladder"), index=index, prompt=prompt, answer=answer, meta=meta)


def _join(digits: Int) -> str:
    return "".join(map(str, digits))


def _columns(tasks: list[Task]) -> dict[str, Any]:
    """The arrays of a pool that follow from its tasks."""
    return {
        "tasks": tuple(tasks),
        "category": np.array([FAMILIES.index(task.meta["family"]) for task in tasks], np.int64),
        "categories": FAMILIES,
        "level": np.array([task.meta["length"] for task in tasks], np.float64),
    }


def _lengthened(*splits: list[Task]) -> int:
    return sum(task.meta["length"] > task.meta["planned"] for tasks in splits for task in tasks)


def _references(names: Sequence[str], ids: list[str]) -> tuple[dict[str, Float], dict[str, int]]:
    """The shipped pass rates of these tasks, found by task id, and what they cost in rollouts, per reference."""
    if not names:
        return {}, {}
    shipped = json.loads((files("rftlab") / "assets" / REFERENCES_FILE).read_text())
    for wanted in names:
        if wanted not in shipped["wins"]:
            raise InputError(
                f"dataset.references names {wanted!r}, the ladder ships {', '.join(shipped['wins'])}: "
                "set dataset.references=[tiny,tiny-strong] or null"
            )
    row = {known: i for i, known in enumerate(shipped["ids"])}
    missing = sum(i not in row for i in ids)
    if missing:
        raise InputError(
            f"the shipped references of the ladder lack {missing} of {len(ids)} tasks, wanted the pool of seed 0 with "
            "train_size 2000 and eval_size 500: drop those overrides or set dataset.references=null"
        )
    rows = [row[i] for i in ids]
    trials = shipped["rollouts_per_task"]
    rates = {wanted: np.array(shipped["wins"][wanted], np.float64)[rows] / trials for wanted in names}
    return rates, {wanted: trials * len(ids) for wanted in names}
