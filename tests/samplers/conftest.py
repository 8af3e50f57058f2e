"""A hand on a composer: contexts, answers, whole steps."""

from collections.abc import Callable

import numpy as np
import pytest

from rftlab.core import (
    Budget,
    Completion,
    Feedback,
    Finish,
    Group,
    Pick,
    Purpose,
    Request,
    Status,
    StepContext,
    UpdateInfo,
    Verdict,
)
from rftlab.samplers.composer import TaskSampler

Answer = Callable[[Request], list[bool | None]]


class Hand:
    """Drives a sampler by hand; answers are lists of passed, None = the grading failed."""

    def context(self, sampler, step=0, p=4, g=4, rollouts=1000, rounds=8, seed=0, **more) -> StepContext:
        left = Budget(rollouts, rounds)
        return StepContext(step, step, p, g, 0.0, left, sampler.stats, seed, **more)

    def group(self, sampler: TaskSampler, request: Request, passed: list[bool | None], step: int) -> Group:
        verdicts = tuple(Verdict(0.0, False, Status.FAULT) if p is None else Verdict(float(p), p) for p in passed)
        completions = tuple(
            Completion(f"{i}", np.full(i + 1, i, np.int32), np.full(i + 1, -0.25 * i, np.float32), Finish.LENGTH, step)
            for i in range(len(passed))
        )
        return Group(sampler.pool.tasks[request.task], completions, verdicts, step, request.purpose)

    def tell(self, sampler: TaskSampler, ctx: StepContext, requests: list[Request], answer: Answer) -> None:
        sampler.tell(ctx, [self.group(sampler, r, answer(r), ctx.step) for r in requests])

    def step(
        self, sampler: TaskSampler, ctx: StepContext, answer: Answer
    ) -> tuple[list[list[Request]], list[tuple[Group, Pick]]]:
        """A whole step: the requests of each round, and the batch."""
        rounds = []
        while requests := sampler.ask(ctx):
            rounds.append(requests)
            self.tell(sampler, ctx, requests, answer)
        batch = sampler.batch(ctx)
        sampler.end_step(ctx, UpdateInfo())
        return rounds, batch

    def feedback(self, tasks, wins, trials) -> Feedback:
        tasks, wins = np.array(tasks, np.int64), np.array(wins)
        trials = np.broadcast_to(np.array(trials), tasks.shape)
        none = np.full(len(tasks), np.nan)
        return Feedback(tasks, wins, trials, wins.astype(float), np.ones(len(tasks), bool), none)

    @staticmethod
    def mixed(request: Request) -> list[bool | None]:
        return [i % 2 == 0 for i in range(request.n)]

    @staticmethod
    def right(request: Request) -> list[bool | None]:
        return [True] * request.n

    probe = Purpose.PROBE


@pytest.fixture(scope="session")
def hand() -> Hand:
    return Hand()
