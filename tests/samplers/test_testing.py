"""check_sampler can fail: for each clause, samplers that break it are caught with its number."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rftlab.core import Bool, Feedback, Float, Int, Need, Pick, Request, StepContext, TaskPool, UpdateInfo
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.admissions.nonzero_var import NonzeroVar
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.base import Allocator, Selector
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.ranking import lowest
from rftlab.samplers.selectors.uniform import Uniform
from rftlab.samplers.tally import tally
from rftlab.testing import check_sampler


class Believer(Selector):
    """Counts, and the tasks whose mean is nearest to one half: what most of the broken ones below are made of."""

    STATE = ("alpha", "beta")

    def bind(self, pool: TaskPool, group_size: int) -> None:
        self.alpha, self.beta = np.ones(len(pool)), np.ones(len(pool))

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        mean = self.alpha / (self.alpha + self.beta)
        return lowest(np.abs(mean - 0.5), np.flatnonzero(~taken), m, ctx.rng)

    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        self.alpha[fb.tasks] += fb.wins
        self.beta[fb.tasks] += fb.trials - fb.wins

    def predict(self) -> Float:
        return self.alpha / (self.alpha + self.beta)


def check(selector=Uniform, allocator=Fixed, admission=All, composer=TaskSampler) -> None:
    check_sampler(lambda pool, g: composer(pool, selector(), allocator(), admission(), group_size=g), steps=5)


class DropsRejects(TaskSampler):
    """Tells the selector of trained groups only."""

    def end_step(self, ctx: StepContext, update: UpdateInfo) -> None:
        observe = self.selector.observe
        self.selector.observe = lambda fb, view: observe(fb.rows(fb.trained), view)
        super().end_step(ctx, update)
        self.selector.observe = observe


class CountsFaults(TaskSampler):
    """Takes a failed grading for a failed answer."""

    def end_step(self, ctx: StepContext, update: UpdateInfo) -> None:
        observe = self.selector.observe
        self.selector.observe = lambda fb, view: observe(
            Feedback(fb.tasks, fb.wins, np.full(len(fb), 4), fb.score, fb.trained, fb.abs_advantage), view
        )
        super().end_step(ctx, update)
        self.selector.observe = observe


class NeverObserves(TaskSampler):
    def end_step(self, ctx: StepContext, update: UpdateInfo) -> None:
        self.selector.observe = lambda fb, view: None
        super().end_step(ctx, update)


class Overspends(TaskSampler):
    def ask(self, ctx: StepContext) -> list[Request]:
        self._step.asked = [Request(r.task, r.n + 1) for r in super().ask(ctx)]
        return list(self._step.asked)


class KeepsAsking(TaskSampler):
    """Does not count rounds."""

    def ask(self, ctx: StepContext) -> list[Request]:
        ctx.left = type(ctx.left)(ctx.left.rollouts, 5)
        return super().ask(ctx)


class RaisesWhenShort(TaskSampler):
    def batch(self, ctx: StepContext) -> Any:
        if self.underfilled:
            raise RuntimeError("generated too many")
        return super().batch(ctx)


class GlobalRandom(Uniform):
    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        return np.random.permutation(np.flatnonzero(~taken))[:m]


class FreshRandom(Uniform):
    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        return np.random.default_rng().permutation(np.flatnonzero(~taken))[:m]


class Forgetful(Uniform):
    STATE = ()


class Aliases(Believer):
    """Updates in place what it has handed out as its state."""

    def state_dict(self) -> dict[str, Any]:
        return {"alpha": self.alpha, "beta": self.beta}


class SavesAnObject(Uniform):
    STATE = ("turns", "rng")

    def __init__(self) -> None:
        super().__init__()
        self.rng = np.random.default_rng(0)


class DropsCarried(TaskSampler):
    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"carried": []}


class TakesAnyState(TaskSampler):
    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        mine = super().state_dict()
        super().load_state_dict({**state, **{key: mine[key] for key in ("schema", "pool", "classes")}})


class RepeatsATask(Uniform):
    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        return np.repeat(super().propose(m, ctx, taken), 2)[:m]


class IgnoresTaken(Uniform):
    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        return super().propose(m, ctx, np.zeros_like(taken))


class BelievesNaN(Believer):
    """Divides by the counts of a task, also where there are none."""

    def predict(self) -> Float:
        with np.errstate(invalid="ignore"):
            return (self.alpha - 1) / (self.alpha + self.beta - 2)


class CrashesOnNoFeedback(Believer):
    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        assert fb.trials.min() > 0
        super().observe(fb, ctx)


class TrainsOnFaults(All):
    def assemble(self, o, ctx):
        return Pick(o.task, np.arange(len(o.valid)))


class ObservesInTell(TaskSampler):
    """Learns as soon as it is told, and again at the end."""

    def tell(self, ctx: StepContext, groups: list[Any]) -> None:
        super().tell(ctx, groups)
        self.selector.observe(tally(self._step.groups, self._step.groups), self._view(ctx, "selector", "observe"))


class TellsOthersWereTrained(TaskSampler):
    def end_step(self, ctx: StepContext, update: UpdateInfo) -> None:
        observe = self.selector.observe
        self.selector.observe = lambda fb, view: observe(replace(fb, trained=~fb.trained), view)
        super().end_step(ctx, update)
        self.selector.observe = observe


class TakesMoreRounds(Allocator):
    """Says that it takes two rounds, and takes three."""

    def rounds(self) -> int:
        return 2

    def first(self, tasks: Int, ctx: StepContext) -> Int:
        return np.full(len(tasks), 2)

    def more(self, open: Feedback, ctx: StepContext) -> Int:
        return np.where(open.trials < 6, 2, 0)


class CursorInPropose(Uniform):
    """Moves in propose(), as an iterator does: a step that is run again gets other tasks."""

    STATE = ("turns", "cursor")
    cursor = 0

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        free = np.roll(np.flatnonzero(~taken), -self.cursor)
        self.cursor += 1
        return free[:m]


class CountsInPropose(Uniform):
    """Answers alike twice, and yet is not as it was."""

    STATE = ("turns", "proposals")
    proposals = 0

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        self.proposals += 1
        return super().propose(m, ctx, taken)


class AdmitsByTurns(All):
    turn = 0

    def admit(self, o, ctx):
        self.turn += 1
        return self.turn % 2 == 0


class WantsByTurns(All):
    def __init__(self) -> None:
        self.random = np.random.default_rng(0)

    def want(self, missing, so_far, ctx):
        return missing + int(self.random.integers(0, 2**30)) if ctx.round == 0 else 0


class AssemblesByChance(All):
    def __init__(self) -> None:
        super().__init__()
        self.random = np.random.default_rng(0)

    def assemble(self, o, ctx):
        return Pick(o.task, np.flatnonzero(o.valid), baseline=self.random.random())


class AllocatesByChance(Fixed):
    random = np.random.default_rng(0)

    def first(self, tasks: Int, ctx: StepContext) -> Int:
        return self.random.integers(2, 2**20, len(tasks))


class PredictsADraw(Believer):
    """Believes a new draw each time it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.random = np.random.default_rng(0)

    def predict(self) -> Float:
        return self.random.beta(self.alpha, self.beta)


class LearnsInPredict(Believer):
    def predict(self) -> Float:
        self.alpha = self.alpha + 1
        return np.full(len(self.alpha), 0.5)


class WritesFeedback(Believer):
    """Makes failures of the counts in place."""

    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        fb.wins[:] = fb.trials - fb.wins
        super().observe(fb, ctx)


class WritesStats(Believer):
    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        ctx.stats.visits[:] = 0
        ctx.stats.trials += 1
        super().observe(fb, ctx)


class WritesStatsInPropose(Uniform):
    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        ctx.stats.streak += 1
        return super().propose(m, ctx, taken)


class ScalesThePool(Uniform):
    """Normalises the features that all others read too."""

    def bind(self, pool: TaskPool, group_size: int) -> None:
        super().bind(pool, group_size)
        pool.features[:] = pool.features / (1 + np.abs(pool.features))


class BelievesTooMuch(Believer):
    def predict(self) -> Float:
        return 1.5 * super().predict()


class BelievesInFloat32(Believer):
    def predict(self) -> Float:
        return super().predict().astype(np.float32)


class MeasuresNaN(Believer):
    """A mean over what was observed, also when nothing was."""

    seen = np.nan

    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        super().observe(fb, ctx)
        rates = fb.rate[fb.trials > 0]
        self.seen = float(rates.mean()) if len(rates) else float("inf")

    def metrics(self) -> dict[str, float]:
        return {"seen": self.seen} if self.seen == self.seen else {}


class NoBeliefAtFirst(Believer):
    """Divides by the evidence of all tasks before there is any."""

    def predict(self) -> Float:
        with np.errstate(invalid="ignore"):
            return np.full(len(self.alpha), np.sum(self.alpha - 1)) / np.sum(self.alpha + self.beta - 2)


class KeepsABeliefAside(Believer):
    """Its requests survive a restart, its prediction does not."""

    shift = 0.0

    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        super().observe(fb, ctx)
        self.shift += 0.01

    def predict(self) -> Float:
        return np.clip(super().predict() + self.shift, 0, 1)

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        return np.flatnonzero(~taken)[:m]


class TakesAnyVersion(Believer):
    def load_state_dict(self, state: dict[str, Any]) -> None:
        super().load_state_dict({name: state[name] for name in self.STATE})


class NeverProposes(Uniform):
    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        return np.empty(0, np.int64)


class WantsNothing(All):
    def want(self, missing, so_far, ctx):
        return 0


class RepeatsInTheBatch(TaskSampler):
    def batch(self, ctx: StepContext) -> Any:
        return super().batch(ctx)[:1] * 2


@pytest.mark.parametrize(
    ("clause", "broken"),
    [
        (1, {"composer": DropsRejects, "admission": NonzeroVar}),
        (1, {"composer": CountsFaults}),
        (1, {"composer": NeverObserves}),
        (1, {"composer": ObservesInTell}),
        (1, {"composer": TellsOthersWereTrained}),
        (2, {"composer": Overspends}),
        (2, {"composer": KeepsAsking}),
        (2, {"allocator": TakesMoreRounds}),
        (6, {"composer": RaisesWhenShort}),
        (3, {"selector": GlobalRandom}),
        (3, {"selector": FreshRandom}),
        (3, {"selector": CursorInPropose}),
        (3, {"selector": CountsInPropose}),
        (3, {"selector": WritesStatsInPropose}),
        (3, {"selector": PredictsADraw}),
        (3, {"selector": LearnsInPredict}),
        (3, {"allocator": AllocatesByChance}),
        (3, {"admission": AdmitsByTurns}),
        (3, {"admission": WantsByTurns}),
        (3, {"admission": AssemblesByChance}),
        (4, {"selector": Forgetful}),
        (4, {"selector": Aliases}),
        (4, {"selector": SavesAnObject}),
        (4, {"selector": KeepsABeliefAside}),
        (4, {"composer": DropsCarried, "admission": lambda: NonzeroVar(oversample=2, carry=2)}),
        (5, {"composer": TakesAnyState}),
        (5, {"selector": TakesAnyVersion}),
        (6, {"selector": RepeatsATask}),
        (6, {"selector": IgnoresTaken, "admission": NonzeroVar}),
        (6, {"selector": BelievesNaN}),
        (6, {"selector": NoBeliefAtFirst}),
        (6, {"selector": BelievesTooMuch}),
        (6, {"selector": BelievesInFloat32}),
        (6, {"selector": MeasuresNaN}),
        (6, {"selector": WritesFeedback}),
        (6, {"selector": WritesStats}),
        (6, {"selector": ScalesThePool}),
        (6, {"selector": CrashesOnNoFeedback}),
        (6, {"admission": TrainsOnFaults}),
        (6, {"composer": RepeatsInTheBatch}),
        (7, {"selector": NeverProposes}),
        (7, {"admission": WantsNothing}),
    ],
    ids=lambda v: str(v) if isinstance(v, int) else "-".join(getattr(c, "__name__", "f") for c in v.values()),
)
def test_a_sampler_that_breaks_a_clause_is_caught(clause: int, broken: dict[str, Any]) -> None:
    with pytest.raises(AssertionError, match=f"clause {clause} "):
        check(**broken)


class Probing(Selector):
    """Measures twice a batch, then takes the tasks nearest to one half."""

    NEEDS = frozenset({Need.PROBE})
    STATE = ("rate",)

    def bind(self, pool: TaskPool, group_size: int) -> None:
        self.rate = np.full(len(pool), 0.5)

    def probe(self, ctx: StepContext, taken: Bool) -> tuple[Int, int]:
        return ctx.rng.permutation(np.flatnonzero(~taken))[: 2 * ctx.target_groups], 2

    def on_probe(self, fb: Feedback, ctx: StepContext) -> None:
        self.rate[fb.tasks] = np.where(fb.trials > 0, fb.rate, self.rate[fb.tasks])

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        free = np.flatnonzero(~taken)
        return free[np.argsort(np.abs(self.rate[free] - 0.5), kind="stable")][:m]

    def predict(self) -> Float:
        return self.rate


class UntilBoth(Allocator):
    """Two at a time until there is a pass and a failure, eight at most."""

    def rounds(self) -> int:
        return 4

    def first(self, tasks: Int, ctx: StepContext) -> Int:
        return np.full(len(tasks), 2)

    def more(self, open: Feedback, ctx: StepContext) -> Int:
        both = (open.wins > 0) & (open.wins < open.trials)
        return np.where(both | (open.trials >= 8), 0, 2)


@pytest.mark.parametrize(
    ("selector", "allocator", "admission"),
    [
        (Believer, Fixed, All),
        (Uniform, UntilBoth, lambda: NonzeroVar(oversample=1.5, carry=1)),
        (Probing, Fixed, lambda: NonzeroVar(oversample=1.5, carry=1)),
        (Probing, UntilBoth, All),
    ],
)
def test_probing_selectors_and_sequential_allocators_pass(selector, allocator, admission) -> None:
    check(selector, allocator, admission)
