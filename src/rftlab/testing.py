"""The contract of a task sampler as one call, for ours and for yours. numpy only, a second or two.

    from rftlab.samplers.composer import TaskSampler
    from rftlab.testing import check_sampler

    def make(pool, group_size):
        return TaskSampler(pool, MySelector(), Fixed(), All(), group_size=group_size)

    def test_my_sampler_keeps_the_contract():
        check_sampler(make)  # or check_sampler(make_from(cfg.sampler))

The clauses:

    1. every rollout that the sampler asked for is told to it exactly once, rejected and probe ones too
    2. ask() keeps to the step's budget of rollouts and rounds, and closes; no task takes more rounds than the
       allocator's rounds(); a batch that stays short raises nothing
    3. the same state and the same feedback give the same requests; only observe() and on_probe() change a part
    4. saved after end_step() and restored into a fresh object, it goes on as the unbroken one
    5. the state of another pool, schema or class is refused with an InputError
    6. adversarial feedback never makes it crash, say NaN, or repeat a task within a batch; what it is given to read
       stays as it was
    7. with a budget for a whole batch, a step asks for something or trains on what was carried: else the run ends
"""

from __future__ import annotations

import copy
import random
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rftlab.checkpoint import load_tree, save_tree
from rftlab.core import InputError, Task, TaskPool, task_id
from rftlab.samplers.build import recipe
from rftlab.samplers.checked_step import CheckedStep, StepTrace, check_beliefs
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.contract import Drawn, Scenario, Violation, World, message, require, same

Make = Callable[[TaskPool, int], TaskSampler]


SCENARIOS = (
    Scenario("mixed answers with some faults", faults=0.1),
    Scenario("every answer right", answers="right"),
    Scenario("every answer wrong", answers="wrong"),
    Scenario("all right and all wrong in turn", answers="swing"),
    Scenario("rewards that are not pass and fail", answers="shaped"),
    Scenario("no rollout could be graded", faults=1.0),
    Scenario("most gradings fail", faults=0.7),
    Scenario("a pool that is never seen whole", tasks=300),
    Scenario("fewer tasks than a batch", tasks=4),
    Scenario("one task", tasks=1),
    Scenario("batches of one task", prompts=1),
    Scenario("groups of two", group_size=2),
    Scenario("a budget below one batch", rollouts=15),
    Scenario("a budget of one rollout", rollouts=1),
    Scenario("a budget of none", rollouts=0),
    Scenario("one round", rounds=1),
    Scenario("two rounds", rounds=2),
    Scenario("no round", rounds=0),
)

MEDLEY = (
    Scenario("a medley, first step"),
    Scenario("a medley, all wrong", answers="wrong"),
    Scenario("a medley, half of the gradings fail", faults=0.5),
    Scenario("a medley, a small budget", rollouts=13),
    Scenario("a medley, one round", rounds=1, answers="right"),
    Scenario("a medley, last step", answers="shaped", rollouts=200),
)
"""A run of six steps, each under its own conditions: a short check where there are many samplers."""


def check_sampler(make: Make, *, steps: int = 8, seed: int = 0) -> None:
    """Raises an ``AssertionError`` that names the clause unless the sampler keeps the contract.

    Args:
        make: Builds a fresh sampler from a pool and a group size. The pool has categories, levels, features and the
            references ``weak`` and ``strong``.
        steps: Length of each run.
        seed: Of the pool, the answers and the step at which the state is saved.
    """
    for scenario in SCENARIOS:
        check_run(make, [scenario] * steps, seed=seed)
    _check_refusals(make, seed)


def make_from(cfg: Mapping[str, Any]) -> Make:
    """What the checks want, from the ``sampler`` node of a configuration."""
    built = recipe(cfg)
    return lambda pool, group_size: built(pool, group_size, True)


def check_run(
    make: Make,
    scenarios: Sequence[Scenario],
    *,
    seed: int = 0,
    pool: TaskPool | None = None,
    world: Callable[[TaskPool, int], World] = Drawn,
) -> None:
    """One run against all clauses but the fifth: whole, again, and restored in its middle.

    Args:
        make: As for ``check_sampler``.
        scenarios: The conditions of every step. The first one's ``tasks``, ``prompts`` and ``group_size`` hold
            throughout.
        seed: Of the pool, the answers and the step at which the state is saved.
        pool: The tasks; None = ``make_pool``.
        world: Builds what answers from a pool and a seed.
    """
    first = scenarios[0]
    scenarios = [replace(s, tasks=first.tasks, prompts=first.prompts, group_size=first.group_size) for s in scenarios]
    pool = make_pool(first.tasks, seed) if pool is None else pool
    run = _Run(make, pool, scenarios, seed)
    arrays = copy.deepcopy(_arrays(pool))
    whole, state, at, then = run.unbroken(world(pool, seed))
    again = run.play(run.fresh(), world(pool, seed), range(len(scenarios)), noise=1)
    require(again == whole, 3, first, _where(whole, again, "two fresh samplers went different ways on equal feedback"))
    restored = run.fresh()
    restored.load_state_dict(_through_a_file(state))
    rest = run.play(restored, then, range(at, len(scenarios)), noise=2)
    require(
        rest == whole[at:], 4, first, _where(whole[at:], rest, f"restored after step {at - 1} it goes on otherwise")
    )
    require(same(arrays, _arrays(pool)), 6, first, "a part wrote into the arrays of the pool")


def make_pool(n: int, seed: int = 0) -> TaskPool:
    """A pool of n tasks with every array that a part can ask for; the true pass rates lie between its references."""
    rng = np.random.default_rng((seed, n))
    prompts = [({"role": "user", "content": f"task {i} of {seed}"},) for i in range(n)]
    weak = np.round(rng.beta(0.7, 1.0, n) * 0.8, 3)
    weak[0] = 0.4  # so that no sensible filter empties the pool
    return TaskPool(
        tasks=tuple(Task(task_id(p, "yes"), i, p, "yes") for i, p in enumerate(prompts)),
        category=rng.permutation(n) % 3,  # every one of them as soon as there are three tasks
        categories=("a", "b", "c"),
        level=1.0 + rng.permutation(n) % 5,
        references={"weak": weak, "strong": np.clip(weak + rng.uniform(0.1, 0.2, n), 0, 1)},
        reference_rollouts={"weak": 16 * n, "strong": 16 * n},
        features=rng.normal(size=(n, 4)).astype(np.float32),
    )


class _Run:
    """The same steps, played as often as wanted."""

    def __init__(self, make: Make, pool: TaskPool, scenarios: Sequence[Scenario], seed: int) -> None:
        self.make, self.pool, self.scenarios, self.seed = make, pool, scenarios, seed

    def fresh(self) -> TaskSampler:
        return self.make(self.pool, self.scenarios[0].group_size)

    def unbroken(self, world: World) -> tuple[list[StepTrace], dict[str, Any], int, World]:
        """A whole run, the state as it was before some step, that step, and the world as it was then."""
        first, steps = self.scenarios[0], len(self.scenarios)
        rng = np.random.default_rng((self.seed, zlib.crc32(first.name.encode())))
        at = int(rng.integers(1, steps)) if steps > 1 else 1
        sampler = self.fresh()
        check_beliefs(sampler, lambda ok, clause, text: require(ok, clause, first, f"before the first step: {text}"))
        before = self.play(sampler, world, range(at), watched=True)
        state, then = sampler.state_dict(), copy.deepcopy(world)
        _check_plain(state, "state", first)
        kept = copy.deepcopy(state)
        rest = self.play(sampler, world, range(at, steps), watched=True)
        require(same(kept, state), 4, first, "the state that was saved changed when the run went on: copy it")
        return before + rest, state, at, then

    def play(
        self, sampler: TaskSampler, world: World, steps: range, noise: int = 0, watched: bool = False
    ) -> list[StepTrace]:
        """Plays some steps and checks each. ``noise`` seeds the global generators, which must not matter."""
        traces = []
        with _global_noise(noise):
            for step in steps:
                scenario = self.scenarios[step]
                progress = step / max(1, len(self.scenarios) - 1)
                try:
                    traces.append(CheckedStep(sampler, scenario, world, step, progress, self.seed, watched).run())
                except Violation:
                    raise
                except Exception as error:
                    raise Violation(message(6, scenario, f"step {step} raised {error!r}")) from error
        return traces


def _where(wanted: Sequence[StepTrace], found: Sequence[StepTrace], text: str) -> str:
    """``text`` with the first thing that differs."""
    for a, b in zip(wanted, found, strict=True):
        for name, one in vars(a).items():
            other = vars(b)[name]
            if isinstance(one, dict):
                keys = sorted(key for key in one.keys() | other.keys() if one.get(key) != other.get(key))
                one, other = ({key: d.get(key) for key in keys} for d in (one, other))
            if one != other:
                return f"{text}: step {a.step}, {name}: {one!s:.200} and {other!s:.200}"
    return text


def _arrays(pool: TaskPool) -> list[Any]:
    return [pool.category, pool.level, dict(pool.references), pool.features]


def _through_a_file(state: dict[str, Any]) -> Any:
    """The state as a checkpoint gives it back."""
    with tempfile.TemporaryDirectory() as folder:
        save_tree(Path(folder) / "state.npz", state)
        return load_tree(Path(folder) / "state.npz")


def _check_refusals(make: Make, seed: int) -> None:
    """Clause 5."""
    scenario = Scenario("a state that is not its own")
    pool, other = make_pool(scenario.tasks, seed), make_pool(scenario.tasks, seed + 1)
    run = _Run(make, pool, [scenario] * 2, seed)
    sampler = run.fresh()
    run.play(sampler, Drawn(pool, seed), range(2))
    state = sampler.state_dict()
    classes = dict.fromkeys(state["classes"], "some.other.Class")
    parts = state["parts"]
    versions = [parts | {part: learnt | {"of another version": 0}} for part, learnt in parts.items()]
    for what, to, changed in (
        ("pool", other, state),
        ("schema", pool, state | {"schema": -1}),
        ("class", pool, state | {"classes": classes}),
        *((f"version of a {p}", pool, state | {"parts": v}) for p, v in zip(parts, versions, strict=True)),
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


@contextmanager
def _global_noise(seed: int) -> Iterator[None]:
    """Seeds the generators that no sampler may use, and puts them back."""
    torch: Any = sys.modules.get("torch")
    before = random.getstate(), np.random.get_state(), torch and torch.get_rng_state()
    random.seed(seed)
    np.random.seed(seed)
    if torch:
        torch.manual_seed(seed)
    try:
        yield
    finally:
        random.setstate(before[0])
        np.random.set_state(before[1])
        if torch:
            torch.set_rng_state(before[2])
