"""check_sampler can fail: for each clause, samplers that break it are caught with its number."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest

from rftlab.core import Bool, Feedback, Float, Int, Need, Pick, Request, StepContext, TaskPool, UpdateInfo
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.admissions.nonzero_var import NonzeroVar
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.base import Allocator, Selector
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.mopps import MoPPS
from rftlab.samplers.selectors.uniform import Uniform
from rftlab.testing import check_sampler


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


class Aliases(MoPPS):
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


class BelievesNaN(MoPPS):
    """Divides by the counts of a task, also where there are none."""

    def predict(self) -> Float:
        with np.errstate(invalid="ignore"):
            return (self.alpha - 1) / (self.alpha + self.beta - 2)


class CrashesOnNoFeedback(MoPPS):
    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        assert fb.trials.min() > 0
        super().observe(fb, ctx)


class TrainsOnFaults(All):
    def assemble(self, o, ctx):
        return Pick(o.task, np.arange(len(o.valid)))


class RepeatsInTheBatch(TaskSampler):
    def batch(self, ctx: StepContext) -> Any:
        return super().batch(ctx)[:1] * 2


@pytest.mark.parametrize(
    ("clause", "broken"),
    [
        (1, {"composer": DropsRejects, "admission": NonzeroVar}),
        (1, {"composer": CountsFaults}),
        (1, {"composer": NeverObserves}),
        (2, {"composer": Overspends}),
        (2, {"composer": KeepsAsking}),
        (6, {"composer": RaisesWhenShort}),
        (3, {"selector": GlobalRandom}),
        (3, {"selector": FreshRandom}),
        (4, {"selector": Forgetful}),
        (4, {"selector": Aliases}),
        (4, {"selector": SavesAnObject}),
        (4, {"composer": DropsCarried, "admission": lambda: NonzeroVar(oversample=2, carry=2)}),
        (5, {"composer": TakesAnyState}),
        (6, {"selector": RepeatsATask}),
        (6, {"selector": IgnoresTaken, "admission": NonzeroVar}),
        (6, {"selector": BelievesNaN}),
        (6, {"selector": CrashesOnNoFeedback}),
        (6, {"admission": TrainsOnFaults}),
        (6, {"composer": RepeatsInTheBatch}),
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

    def probe(self, ctx: StepContext) -> tuple[Int, int]:
        return ctx.rng.permutation(len(self.rate))[: 2 * ctx.target_groups], 2

    def on_probe(self, fb: Feedback, ctx: StepContext) -> None:
        self.rate[fb.tasks] = np.where(fb.trials > 0, fb.rate, self.rate[fb.tasks])

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        free = np.flatnonzero(~taken)
        return free[np.argsort(np.abs(self.rate[free] - 0.5), kind="stable")][:m]

    def predict(self) -> Float:
        return self.rate


class UntilBoth(Allocator):
    """Two at a time until there is a pass and a failure, eight at most."""

    def first(self, tasks: Int, ctx: StepContext) -> Int:
        return np.full(len(tasks), 2)

    def more(self, open: Feedback, ctx: StepContext) -> Int:
        both = (open.wins > 0) & (open.wins < open.trials)
        return np.where(both | (open.trials >= 8), 0, 2)


@pytest.mark.parametrize("selector", [Uniform, Probing])
@pytest.mark.parametrize("allocator", [Fixed, UntilBoth])
@pytest.mark.parametrize("admission", [All, lambda: NonzeroVar(oversample=1.5, carry=1)])
def test_probing_selectors_and_sequential_allocators_pass(selector, allocator, admission) -> None:
    check(selector, allocator, admission)
