"""What the checks of the sampler contract share: the conditions of a step, and the world that answers in it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from rftlab.core import (
    Completion,
    Finish,
    Float,
    Group,
    Outcomes,
    Pick,
    Request,
    Status,
    StepContext,
    TaskPool,
    UpdateInfo,
    Verdict,
)


class Violation(AssertionError):
    """A broken clause; the message begins with its number."""


@dataclass(frozen=True)
class Scenario:
    """The conditions of a step, or of a whole run, that a sampler must survive."""

    name: str
    tasks: int = 40
    prompts: int = 6
    group_size: int = 4
    rollouts: int = 96
    """Budget of a step."""
    rounds: int = 16
    answers: str = "mixed"
    """``mixed``: by the tasks' pass rates. ``right``, ``wrong``: all of them. ``swing``: all right in even steps, all
    wrong in odd ones. ``shaped``: as ``mixed``, with rewards in [0, 1] that differ from pass and fail."""
    faults: float = 0.0
    """Share of rollouts whose grading fails."""


class World(Protocol):
    """Where the answers of a checked run come from. It is copied (``copy.deepcopy``) where a sampler is saved."""

    def truth(self, scenario: Scenario, step: int) -> Float:
        """True pass rates, float64 [N]."""
        ...

    def answer(self, scenario: Scenario, ctx: StepContext, request: Request, first: int) -> Group:
        """The group of a request; ``first`` rollouts of its task were generated earlier in this step."""
        ...

    def learn(self, batch: Sequence[tuple[Group, Pick]], ctx: StepContext) -> UpdateInfo: ...


class Drawn:
    """Fixed pass rates between the references ``weak`` and ``strong`` of the pool, and nothing is learnt.

    A rollout depends on (seed, step, task, its ordinal) and on nothing else, so equal questions have equal answers.
    """

    def __init__(self, pool: TaskPool, seed: int) -> None:
        self.pool, self.seed = pool, seed
        self.rates: Float = (pool.references["weak"] + pool.references["strong"]) / 2

    def __deepcopy__(self, memo: dict[int, Any]) -> Drawn:
        """Nothing in it ever changes."""
        return self

    def truth(self, scenario: Scenario, step: int) -> Float:
        if scenario.answers in ("mixed", "shaped"):
            return self.rates.copy()
        right = scenario.answers == "right" or (scenario.answers == "swing" and step % 2 == 0)
        return np.full(len(self.pool), float(right))

    def answer(self, scenario: Scenario, ctx: StepContext, request: Request, first: int) -> Group:
        rate = self.truth(scenario, ctx.step)[request.task]
        rng = np.random.default_rng((self.seed, ctx.step, request.task, first))
        passed = rng.random(request.n) < rate
        score = 0.5 * passed + 0.5 * rng.random(request.n) if scenario.answers == "shaped" else passed.astype(float)
        fault = rng.random(request.n) < scenario.faults
        verdicts = [
            Verdict(0.0, False, Status.FAULT) if f else Verdict(float(s), bool(p))
            for p, s, f in zip(passed, score, fault, strict=True)
        ]
        completions = [
            Completion(
                "", np.arange(k, dtype=np.int32), np.full(k, -0.5, np.float32),
                Finish.LENGTH if k == 4 else Finish.STOP, ctx.version,
            )
            for k in rng.integers(0, 5, request.n)
        ]  # fmt: skip
        task = self.pool.tasks[request.task]
        return Group(task, tuple(completions), tuple(verdicts), ctx.step, request.purpose)

    def learn(self, batch: Sequence[tuple[Group, Pick]], ctx: StepContext) -> UpdateInfo:
        advantage = {}
        for group, pick in batch:
            score = group.outcomes().score[pick.rollouts]
            baseline = score.mean() if pick.baseline is None else pick.baseline
            advantage[pick.task] = float(np.abs(score - baseline).mean())
        return UpdateInfo(abs_advantage=advantage)


def same(a: Any, b: Any) -> bool:
    """Equality that goes into containers and arrays; NaN in an array equals NaN."""
    if isinstance(a, np.ndarray):
        return isinstance(b, np.ndarray) and a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return a.keys() == b.keys() and all(same(a[k], b[k]) for k in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Pick):
        return same([a.task, a.rollouts, a.baseline], [b.task, b.rollouts, b.baseline])
    return bool(a == b)


def wins_and_trials(groups: Sequence[Outcomes]) -> tuple[int, int]:
    return sum(o.wins for o in groups), sum(o.trials for o in groups)


def message(clause: int, scenario: Scenario, text: str) -> str:
    return f"clause {clause} of the sampler contract, {scenario.name}: {text}"


def require(ok: bool, clause: int, scenario: Scenario, text: str) -> None:
    if not ok:
        raise Violation(message(clause, scenario, text))
