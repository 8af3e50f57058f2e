"""The contract of a task sampler as one call, for ours and for yours. numpy only, a second or two.

    from rftlab.samplers.composer import TaskSampler
    from rftlab.testing import check_sampler

    def make(pool, group_size):
        return TaskSampler(pool, MySelector(), Fixed(), All(), group_size=group_size)

    def test_my_sampler_keeps_the_contract():
        check_sampler(make)

The clauses:

    1. every rollout that the sampler asked for is told to it exactly once, rejected and probe ones too
    2. ask() keeps to the step's budget of rollouts and rounds, and closes; a batch that stays short raises nothing
    3. the same state and the same feedback give the same requests
    4. saved after end_step() and restored into a fresh object, it goes on as the unbroken one
    5. the state of another pool, schema or class is refused with an InputError
    6. adversarial feedback never makes it crash, say NaN, or repeat a task within a batch
"""

from __future__ import annotations

import copy
import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from rftlab.core import InputError, Task, TaskPool, task_id
from rftlab.samplers.checked_step import CheckedStep, Scenario, StepTrace, Violation, message, require
from rftlab.samplers.composer import TaskSampler

Make = Callable[[TaskPool, int], TaskSampler]


SCENARIOS = (
    Scenario("mixed answers with some faults", faults=0.1),
    Scenario("every answer right", answers="right"),
    Scenario("every answer wrong", answers="wrong"),
    Scenario("no rollout could be graded", faults=1.0),
    Scenario("most gradings fail", faults=0.7),
    Scenario("fewer tasks than a batch", tasks=4),
    Scenario("one task", tasks=1),
    Scenario("a budget below one batch", rollouts=15),
    Scenario("a budget of one rollout", rollouts=1),
    Scenario("a budget of none", rollouts=0),
    Scenario("one round", rounds=1),
    Scenario("two rounds", rounds=2),
    Scenario("no round", rounds=0),
)


def check_sampler(make: Make, *, steps: int = 8, seed: int = 0) -> None:
    """Raises an ``AssertionError`` that names the clause unless the sampler keeps the contract.

    Args:
        make: Builds a fresh sampler from a pool and a group size. The pool has categories, levels, features and the
            references ``weak`` and ``strong``.
        steps: Length of each run.
        seed: Of the pool, the answers and the step at which the state is saved.
    """
    for scenario in SCENARIOS:
        pool = make_pool(scenario.tasks, seed)
        unbroken, state, at = _unbroken_run(make, pool, scenario, steps, seed)
        again = _play(make(pool, scenario.group_size), scenario, range(steps), seed, noise=1)
        require(again == unbroken, 3, scenario, "two fresh samplers asked for different things after equal feedback")
        restored = make(pool, scenario.group_size)
        restored.load_state_dict(state)
        rest = _play(restored, scenario, range(at, steps), seed, noise=2)
        require(rest == unbroken[at:], 4, scenario, f"restored after step {at - 1} it went on differently")
    _check_refusals(make, seed)


def make_pool(n: int, seed: int = 0) -> TaskPool:
    """A pool of n tasks with every array that a part can ask for; the true pass rates lie between its references."""
    rng = np.random.default_rng((seed, n))
    prompts = [({"role": "user", "content": f"task {i} of {seed}"},) for i in range(n)]
    weak = np.round(rng.beta(0.7, 1.0, n) * 0.8, 3)
    weak[0] = 0.4  # so that no sensible filter empties the pool
    return TaskPool(
        tasks=tuple(Task(task_id(p, "yes"), i, p, "yes") for i, p in enumerate(prompts)),
        category=rng.integers(0, 3, n),
        categories=("a", "b", "c"),
        level=rng.integers(1, 6, n).astype(np.float64),
        references={"weak": weak, "strong": np.clip(weak + rng.uniform(0.1, 0.2, n), 0, 1)},
        reference_rollouts={"weak": 16 * n, "strong": 16 * n},
        features=rng.normal(size=(n, 4)).astype(np.float32),
    )


def _unbroken_run(
    make: Make, pool: TaskPool, scenario: Scenario, steps: int, seed: int
) -> tuple[list[StepTrace], dict[str, Any], int]:
    """A whole run, the state as it was before some step, and that step."""
    at = int(np.random.default_rng((seed, zlib.crc32(scenario.name.encode()))).integers(1, steps))
    sampler = make(pool, scenario.group_size)
    first = _play(sampler, scenario, range(at), seed)
    state = sampler.state_dict()
    _check_plain(state, "state", scenario)
    kept = copy.deepcopy(state)
    rest = _play(sampler, scenario, range(at, steps), seed)
    require(_equal(kept, state), 4, scenario, "the state that was saved changed when the run went on: copy it")
    return first + rest, state, at


def _play(sampler: TaskSampler, scenario: Scenario, steps: range, seed: int, noise: int = 0) -> list[StepTrace]:
    """Runs some steps and checks each. ``noise`` seeds the global generators, which must not matter."""
    traces = []
    with _global_noise(noise):
        for step in steps:
            try:
                traces.append(CheckedStep(sampler, scenario, step, seed).run())
            except Violation:
                raise
            except Exception as error:
                raise Violation(message(6, scenario, f"step {step} raised {error!r}")) from error
    return traces


def _check_refusals(make: Make, seed: int) -> None:
    """Clause 5."""
    scenario = Scenario("a state that is not its own")
    sampler = make(make_pool(scenario.tasks, seed), scenario.group_size)
    _play(sampler, scenario, range(2), seed)
    state = sampler.state_dict()
    classes = dict.fromkeys(state["classes"], "some.other.Class")
    pool, other = make_pool(scenario.tasks, seed), make_pool(scenario.tasks, seed + 1)
    for what, to, changed in (
        ("pool", other, state),
        ("schema", pool, state | {"schema": -1}),
        ("class", pool, state | {"classes": classes}),
    ):
        try:
            make(to, scenario.group_size).load_state_dict(changed)
        except InputError:
            continue
        except Exception as error:
            raise Violation(message(5, scenario, f"another {what} raised {error!r}, not InputError")) from error
        raise Violation(message(5, scenario, f"the state of another {what} was loaded"))


def _check_plain(value: Any, where: str, scenario: Scenario) -> None:
    """A state holds only what an array file and a JSON file can: no objects, no NaN outside of arrays."""
    if isinstance(value, dict):
        require(all(isinstance(k, str) for k in value), 4, scenario, f"{where} has keys that are no strings")
        for key, item in value.items():
            _check_plain(item, f"{where}.{key}", scenario)
    elif isinstance(value, list):
        for i, item in enumerate(value):
            _check_plain(item, f"{where}[{i}]", scenario)
    elif isinstance(value, np.ndarray):
        require(value.dtype != object, 4, scenario, f"{where} is an array of objects")
    else:
        plain = type(value) in (str, int, bool, float, type(None)) and value == value
        require(plain, 4, scenario, f"{where} is {value!r} ({type(value).__name__}), which no checkpoint can hold")


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(_equal(a[k], b[k]) for k in a)
    if isinstance(a, list):
        return len(a) == len(b) and all(map(_equal, a, b))
    return np.array_equal(a, b, equal_nan=a.dtype.kind == "f") if isinstance(a, np.ndarray) else bool(a == b)


@contextmanager
def _global_noise(seed: int) -> Iterator[None]:
    """Seeds the generators that no sampler may use, and puts them back."""
    before = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
