"""One step with a sampler, checked: what a single step can break (``rftlab.testing`` has the whole contract)."""

from __future__ import annotations

from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field

import numpy as np

from rftlab.core import Budget, Feedback, Group, Pick, Purpose, Request, StepContext
from rftlab.samplers.checked_parts import Require, Watch, watching
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.contract import Scenario, World, require, same, wins_and_trials


@dataclass
class StepTrace:
    """What a sampler did in one step, and what it believed after it."""

    step: int
    rounds: list[list[Request]] = field(default_factory=list)
    batch: list[tuple[str, int, list[int], float | None]] = field(default_factory=list)
    """Task id, step of the group, rollouts picked, baseline."""
    predicted: list[float] | None = None
    metrics: dict[str, float] = field(default_factory=dict)


class CheckedStep:
    """One step with a sampler, checked against clauses 1, 2, 6, 7 and, where it is watched, the purity of 3.

    Args:
        sampler: Between two steps.
        scenario: The conditions.
        world: Answers.
        step: Number of the step.
        progress: Of the run.
        seed: Of the run.
        watched: Ask twice what must be pure, and listen to what the selector is told.
    """

    def __init__(
        self,
        sampler: TaskSampler,
        scenario: Scenario,
        world: World,
        step: int,
        progress: float,
        seed: int,
        watched: bool = True,
    ) -> None:
        self.sampler, self.scenario, self.world, self.watched = sampler, scenario, world, watched
        self.groups: dict[int, list[Group]] = {}
        self.trace = StepTrace(step)
        self.ctx = StepContext(
            step=step, version=step, target_groups=scenario.prompts, group_size=scenario.group_size, progress=progress,
            left=Budget(scenario.rollouts, scenario.rounds), stats=sampler.stats, seed=seed,
            truth=world.truth(scenario, step),
        )  # fmt: skip

    def run(self) -> StepTrace:
        with ExitStack() as stack:
            watch = stack.enter_context(watching(self.sampler, self._require)) if self.watched else None
            batch = self._talk(watch)
            self._check_asked(batch)
            self._check_batch(batch)
            self.sampler.end_step(self.ctx, self.world.learn(batch, self.ctx))
            if watch is not None:
                self._check_told(watch, batch)
        self.trace.predicted, self.trace.metrics = check_beliefs(self.sampler, self._require)
        return self.trace

    def _talk(self, watch: Watch | None) -> list[tuple[Group, Pick]]:
        """From the first question to the batch."""
        while requests := self.sampler.ask(self.ctx):
            self.trace.rounds.append(requests)
            self._check_requests(requests)
            if watch is not None:
                watch.unmoved("ask")
            groups = [self._answer(r) for r in requests]
            for r, group in zip(requests, groups, strict=True):
                self.groups.setdefault(r.task, []).append(group)
            self.sampler.tell(self.ctx, groups)
        batch = self.sampler.batch(self.ctx)
        if watch is not None:
            watch.unmoved("batch")
        self.trace.batch = [(g.task.id, g.step, p.rollouts.tolist(), p.baseline) for g, p in batch]
        return batch

    def _answer(self, request: Request) -> Group:
        first = sum(len(g.verdicts) for g in self.groups.get(request.task, ()))
        return self.world.answer(self.scenario, self.ctx, request, first)

    def _check_requests(self, requests: list[Request]) -> None:
        told = [r for turn in self.trace.rounds for r in turn]
        asked = sum(r.n for r in told)
        self._require(asked <= self.scenario.rollouts, 2, f"asked for {asked} rollouts of {self.scenario.rollouts}")
        rounds = len(self.trace.rounds)
        self._require(rounds <= self.scenario.rounds, 2, f"asked {rounds} times, {self.scenario.rounds} were allowed")
        self._require(all(r.n >= 1 for r in requests), 2, "a request for less than one rollout")
        tasks = [r.task for r in requests]
        self._require(all(0 <= t < len(self.sampler.pool) for t in tasks), 6, "a task outside of the pool")
        self._require(len(set(tasks)) == len(tasks), 6, "one ask() named a task twice")
        self._check_turns(told)

    def _check_asked(self, batch: list[tuple[Group, Pick]]) -> None:
        """A run ends at a step like that, whatever the reason: nothing would ever move again."""
        whole = self.scenario.prompts * self.scenario.group_size
        able = self.scenario.rollouts >= whole and self.scenario.rounds > 0
        asked = bool(self.trace.rounds or batch)
        self._require(asked or not able, 7, f"nothing was asked, with a budget of {self.scenario.rollouts} rollouts")

    def _check_turns(self, told: list[Request]) -> None:
        """Rounds of a task; one with faults may take more, as an allocator counts only what could be graded."""
        whole = {t for t, groups in self.groups.items() if all(g.outcomes().valid.all() for g in groups)}
        turns = Counter(r.task for r in told if r.purpose is Purpose.TRAIN and r.task in whole)
        most, allowed = max(turns.values(), default=0), self.sampler.allocator.rounds()
        self._require(most <= allowed, 2, f"the allocator took {most} rounds for a task, rounds() says {allowed}")

    def _check_batch(self, batch: list[tuple[Group, Pick]]) -> None:
        self._require(len(batch) <= self.scenario.prompts, 6, f"{len(batch)} groups in a batch of P")
        names = [g.task.id for g, _ in batch]
        self._require(len(set(names)) == len(names), 6, "a task twice in one batch")
        for group, pick in batch:
            valid = group.outcomes().valid
            graded, rollouts = np.flatnonzero(valid).tolist(), pick.rollouts.tolist()
            fits = bool(rollouts) and set(rollouts) <= set(graded)
            self._require(fits, 6, f"a pick of {rollouts} where only {graded} could be graded")
            self._require(pick.baseline is None or np.isfinite(pick.baseline), 6, "a baseline that is not a number")

    def _check_told(self, watch: Watch, batch: list[tuple[Group, Pick]]) -> None:
        heard = watch.observed
        self._require(len(heard) == 1, 1, f"the selector observed {len(heard)} times in one step")
        self._check_rows(heard[0], self.groups, "observe")
        fresh = {g.task.index for g, _ in batch if g.step == self.ctx.step}
        trained = set(heard[0].tasks[heard[0].trained].tolist())
        self._require(trained == fresh, 1, f"the selector was told that {trained} were trained on, {fresh} were")
        probes = {
            task: found
            for task, groups in self.groups.items()
            if (found := [g for g in groups if g.purpose is Purpose.PROBE])
        }
        self._require(len(watch.probed) == bool(probes), 1, f"on_probe was called {len(watch.probed)} times")
        if probes:
            self._check_rows(watch.probed[0], probes, "on_probe")

    def _check_rows(self, fb: Feedback, groups: dict[int, list[Group]], method: str) -> None:
        """What was told is what was graded: a row a task, every rollout once."""
        told = {int(t): (int(w), int(k)) for t, w, k in zip(fb.tasks, fb.wins, fb.trials, strict=True)}
        self._require(len(told) == len(fb), 1, f"{method} was given a task in two rows")
        for task, answered in groups.items():
            wins, trials = wins_and_trials([g.outcomes() for g in answered])
            found = told.pop(task, (0, 0))
            self._require(
                found == (wins, trials), 1,
                f"{trials} rollouts of task {task} were graded and {wins} passed, {method} was given "
                f"{found[1]} and {found[0]}",
            )  # fmt: skip
        self._require(not any(k for _, k in told.values()), 1, f"{method} saw rollouts that nobody asked for: {told}")

    def _require(self, ok: bool, clause: int, text: str) -> None:
        require(ok, clause, self.scenario, f"step {self.ctx.step}: {text}")


def check_beliefs(sampler: TaskSampler, require: Require) -> tuple[list[float] | None, dict[str, float]]:
    """Clause 6 for what a sampler says of itself: ``predict()`` and ``metrics()``, which must not move it either."""
    before = {name: part.state_dict() for name, part in sampler.parts.items()}
    rates, metrics = sampler.predict(), sampler.metrics()
    again = sampler.predict()
    require(same(rates, again), 3, "predict() gave two answers to the same call: the mean is wanted, not a draw")
    after = {name: part.state_dict() for name, part in sampler.parts.items()}
    require(same(before, after), 3, "predict() or metrics() changed a part's state")
    for name, value in metrics.items():
        require(bool(np.isfinite(value)), 6, f"metric {name} is {value}")
    if rates is None:
        return None, metrics
    fits = isinstance(rates, np.ndarray) and rates.dtype == np.float64 and rates.shape == (len(sampler.pool),)
    require(fits and bool(((rates >= 0) & (rates <= 1)).all()), 6, "predict() is no float64 pass rate in [0, 1] a task")
    return rates.tolist(), metrics
