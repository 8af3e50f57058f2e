"""One step with a sampler, checked: the contract's clauses 1, 2 and 6 (``rftlab.testing`` has the whole contract)."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np

from rftlab.core import (
    Budget,
    Completion,
    Feedback,
    Finish,
    Float,
    Group,
    Pick,
    Request,
    Status,
    StepContext,
    TaskPool,
    UpdateInfo,
    Verdict,
)
from rftlab.samplers.composer import TaskSampler


class Violation(AssertionError):
    """A broken clause; the message begins with its number."""


@dataclass(frozen=True)
class Scenario:
    """A run that a sampler must survive."""

    name: str
    tasks: int = 40
    prompts: int = 6
    group_size: int = 4
    rollouts: int = 96
    """Budget of a step."""
    rounds: int = 12
    answers: str = "mixed"
    """``mixed``: by the tasks' pass rates; ``right``, ``wrong``: all of them."""
    faults: float = 0.0
    """Share of rollouts whose grading fails."""


@dataclass
class StepTrace:
    """What a sampler did in one step."""

    rounds: list[list[Request]] = field(default_factory=list)
    batch: list[tuple[str, int, list[int], float | None]] = field(default_factory=list)
    """Task id, step of the group, rollouts picked, baseline."""


class CheckedStep:
    """One step with a sampler, checked against clauses 1, 2 and 6."""

    def __init__(self, sampler: TaskSampler, scenario: Scenario, step: int, seed: int) -> None:
        self.sampler, self.scenario, self.seed = sampler, scenario, seed
        self.rates = true_rates(sampler.pool, scenario)
        self.groups: dict[int, list[Group]] = {}
        self.trace = StepTrace()
        self.ctx = StepContext(
            step=step, version=step, target_groups=scenario.prompts, group_size=scenario.group_size, progress=step / 8,
            left=Budget(scenario.rollouts, scenario.rounds), stats=sampler.stats, seed=seed, truth=self.rates.copy(),
        )  # fmt: skip

    def run(self) -> StepTrace:
        while requests := self.sampler.ask(self.ctx):
            self.trace.rounds.append(requests)
            self._check_requests(requests)
            groups = [self._answer(r) for r in requests]
            for r, group in zip(requests, groups, strict=True):
                self.groups.setdefault(r.task, []).append(group)
            self.sampler.tell(self.ctx, groups)
        batch = self.sampler.batch(self.ctx)
        self.trace.batch = [(g.task.id, g.step, p.rollouts.tolist(), p.baseline) for g, p in batch]
        self._check_batch(batch)
        advantage = {g.task.index: float(np.std([v.score for v in g.verdicts if v.valid])) for g, _ in batch}
        with _listening(self.sampler) as heard:
            self.sampler.end_step(self.ctx, UpdateInfo(abs_advantage=advantage))
        self._check_told(heard)
        self._check_beliefs()
        return self.trace

    def _answer(self, request: Request) -> Group:
        """Rollouts whose verdicts depend on the step, the task and how often it was asked for, and on nothing else."""
        earlier = len(self.groups.get(request.task, ()))
        rng = np.random.default_rng((self.seed, self.ctx.step, request.task, earlier))
        passed = rng.random(request.n) < self.rates[request.task]
        fault = rng.random(request.n) < self.scenario.faults
        verdicts = tuple(
            Verdict(0.0, False, Status.FAULT) if f else Verdict(float(p), bool(p))
            for p, f in zip(passed, fault, strict=True)
        )
        completions = tuple(
            Completion("", np.arange(k, dtype=np.int32), np.full(k, -0.5, np.float32), Finish.STOP, self.ctx.version)
            for k in rng.integers(0, 5, request.n)
        )
        task = self.sampler.pool.tasks[request.task]
        return Group(task, completions, verdicts, self.ctx.step, request.purpose)

    def _check_requests(self, requests: list[Request]) -> None:
        asked = sum(r.n for turn in self.trace.rounds for r in turn)
        self._require(asked <= self.scenario.rollouts, 2, f"asked for {asked} rollouts of {self.scenario.rollouts}")
        rounds = len(self.trace.rounds)
        self._require(rounds <= self.scenario.rounds, 2, f"asked {rounds} times, {self.scenario.rounds} were allowed")
        self._require(all(r.n >= 1 for r in requests), 2, "a request for less than one rollout")
        tasks = [r.task for r in requests]
        self._require(all(0 <= t < len(self.sampler.pool) for t in tasks), 6, "a task outside of the pool")
        self._require(len(set(tasks)) == len(tasks), 6, "one ask() named a task twice")

    def _check_batch(self, batch: list[tuple[Group, Pick]]) -> None:
        self._require(len(batch) <= self.scenario.prompts, 6, f"{len(batch)} groups in a batch of P")
        names = [g.task.id for g, _ in batch]
        self._require(len(set(names)) == len(names), 6, "a task twice in one batch")
        for group, pick in batch:
            valid = group.outcomes().valid
            fits = len(pick.rollouts) > 0 and all(0 <= i < len(valid) and valid[i] for i in pick.rollouts)
            self._require(fits, 6, f"a pick of {pick.rollouts} where only {np.flatnonzero(valid)} could be graded")
            self._require(pick.baseline is None or np.isfinite(pick.baseline), 6, "a baseline that is not a number")

    def _check_told(self, heard: list[Feedback]) -> None:
        self._require(len(heard) == 1, 1, f"the selector observed {len(heard)} times in one step")
        fb = heard[0]
        told = {int(t): (int(k), int(w)) for t, k, w in zip(fb.tasks, fb.trials, fb.wins, strict=True)}
        self._require(len(told) == len(fb), 1, "the selector observed a task in two rows")
        for task, groups in self.groups.items():
            trials, wins = (sum(getattr(g.outcomes(), name) for g in groups) for name in ("trials", "wins"))
            found = told.pop(task, (0, 0))
            self._require(
                found == (trials, wins), 1,
                f"{trials} rollouts of task {task} were graded and {wins} passed, the selector saw {found}",
            )  # fmt: skip
        self._require(not any(trials for trials, _ in told.values()), 1, f"saw rollouts nobody asked for: {told}")

    def _check_beliefs(self) -> None:
        rates = self.sampler.predict()
        if rates is not None:
            fits = rates.shape == (len(self.sampler.pool),) and bool(((rates >= 0) & (rates <= 1)).all())
            self._require(fits, 6, "predict() is not a pass rate in [0, 1] for every task")
        for name, value in self.sampler.metrics().items():
            self._require(bool(np.isfinite(value)), 6, f"metric {name} is {value}")

    def _require(self, ok: bool, clause: int, text: str) -> None:
        require(ok, clause, self.scenario, f"step {self.ctx.step}: {text}")


def true_rates(pool: TaskPool, scenario: Scenario) -> Float:
    """True pass rates, float64 [N]."""
    if scenario.answers == "mixed":
        return (pool.references["weak"] + pool.references["strong"]) / 2
    return np.full(len(pool), 1.0 if scenario.answers == "right" else 0.0)


@contextmanager
def _listening(sampler: TaskSampler) -> Iterator[list[Feedback]]:
    """What reaches the selector's ``observe`` meanwhile."""
    heard: list[Feedback] = []
    observe = sampler.selector.observe

    def spy(fb: Feedback, ctx: StepContext) -> None:
        heard.append(fb)
        observe(fb, ctx)

    sampler.selector.observe = spy  # type: ignore[method-assign]
    try:
        yield heard
    finally:
        del sampler.selector.observe


def message(clause: int, scenario: Scenario, text: str) -> str:
    return f"clause {clause} of the sampler contract, {scenario.name}: {text}"


def require(ok: bool, clause: int, scenario: Scenario, text: str) -> None:
    if not ok:
        raise Violation(message(clause, scenario, text))
