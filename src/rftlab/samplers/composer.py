"""The composer: three parts make one task sampler. It alone holds groups, counts the budget and keeps the rules."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from rftlab.core import Feedback, Float, Group, Need, Pick, Purpose, Request, StepContext, TaskPool, UpdateInfo
from rftlab.samplers.base import Admission, Allocator, Part, Selector
from rftlab.samplers.carry import group_from_state, group_to_state
from rftlab.samplers.checks import (
    check_numbers,
    check_pick,
    check_prediction,
    check_same,
    check_tasks,
    check_told,
    class_name,
)
from rftlab.samplers.references import Filter
from rftlab.samplers.stats import TaskStats
from rftlab.samplers.step import Step, charge
from rftlab.samplers.tally import tally

log = logging.getLogger(__name__)

SCHEMA = 1
"""Version of the layout of ``TaskSampler.state_dict``."""
MIN_TRIALS = 2
"""A group with fewer valid rollouts is observed but never trained on: nothing to measure an advantage against."""


class TaskSampler:
    """Selector, allocator and admission as one sampler.

    The loop drives it, a step at a time::

        while requests := sampler.ask(ctx):
            sampler.tell(ctx, groups_of(requests))
        batch = sampler.batch(ctx)
        sampler.end_step(ctx, learner.update(batch, ...))

    Args:
        pool: The tasks.
        selector: Which tasks.
        allocator: How many rollouts of each.
        admission: Which groups are trained on.
        group_size: G, nominal rollouts of a task.
        filter: ``{reference, lo, hi}``: only tasks in that band of an offline pass rate; None = all of them.
        stats_discount: Factor on a task's old counts in ``stats`` when it is visited again.
    """

    def __init__(
        self,
        pool: TaskPool,
        selector: Selector,
        allocator: Allocator,
        admission: Admission,
        *,
        group_size: int,
        filter: Mapping[str, Any] | None = None,
        stats_discount: float = 1.0,
    ) -> None:
        self.pool, self.group_size = pool, group_size
        self.selector, self.allocator, self.admission = selector, allocator, admission
        self.parts: dict[str, Part] = {"selector": selector, "allocator": allocator, "admission": admission}
        for part in self.parts.values():
            part.bind(pool, group_size)
        self.filter = None if filter is None else Filter(**filter)
        self.filtered = np.zeros(len(pool), bool) if self.filter is None else self.filter.out(pool)
        self.stats = TaskStats(len(pool), stats_discount)
        self.carried: list[Group] = []
        self.steps = self.short_steps = 0
        self._step = Step(self.filtered.copy(), closed=True, ended=True)
        self._counts: dict[str, float] = {}
        self._warned = False

    def ask(self, ctx: StepContext) -> list[Request]:
        """The next rollouts wanted; [] closes the step. Moves ``ctx.left``."""
        if self._step.ended:
            self._begin(ctx)
        step = self._step
        if step.asked:
            raise RuntimeError("ask() before the groups of the last requests were told")
        if step.closed:
            return []
        able = ctx.left.rollouts > 0 and ctx.left.rounds > 0
        if able:
            step.asked = self._probe(ctx) or self._continue(ctx) + self._open(ctx)
        if step.asked:
            ctx.left = replace(ctx.left, rounds=ctx.left.rounds - 1)
        else:
            self._settle(step.open, ctx)
            step.closed = True
            step.underfilled = len(self._ready()) < ctx.target_groups and (step.cut or not able)
        return list(step.asked)

    def tell(self, ctx: StepContext, groups: list[Group]) -> None:
        """The groups of the last requests, in their order. Moves ``ctx.round``."""
        step = self._step
        check_told(self.pool, step.asked, groups, ctx.step)
        for request, group in zip(step.asked, groups, strict=True):
            book = step.probes if request.purpose is Purpose.PROBE else step.groups
            book[request.task] = book[request.task].extended(group) if request.task in book else group
        probes = bool(step.asked) and step.asked[0].purpose is Purpose.PROBE
        step.asked = []
        if probes:  # part of round 0: the parts' first propose and want still see round 0
            self.selector.on_probe(tally(step.probes, step.probes), self._view(ctx, "selector", "on_probe"))
        else:
            ctx.round += 1

    def batch(self, ctx: StepContext) -> list[tuple[Group, Pick]]:
        """What is trained on: carried groups first, then in request order, P at most. Changes nothing."""
        if not self._step.closed or self._step.ended:
            raise RuntimeError("batch() belongs between the closing ask() and end_step()")
        return [(group, self._pick(group, ctx)) for group in self._ready()[: ctx.target_groups]]

    def end_step(self, ctx: StepContext, update: UpdateInfo) -> None:
        """Lets the parts learn, and keeps what is carried."""
        step = self._step
        if not step.closed or step.ended:
            raise RuntimeError("end_step() belongs after the closing ask(), once a step")
        ready = self._ready()
        trained = {g.task.index for g in ready[: ctx.target_groups]} & set(step.groups)
        tasks = dict.fromkeys([*step.probes, *step.groups])
        fb = tally(tasks, step.probes, step.groups, trained=trained, abs_advantage=update.abs_advantage)
        report = self.allocator.report(tally(step.groups, step.groups), self._view(ctx, "allocator", "report"))
        self.selector.observe(fb, self._view(ctx, "selector", "observe"))
        self.stats.update(fb, ctx.step)
        self.steps += 1
        self.short_steps += step.underfilled
        self._count(ctx, fb, len(ready), report)
        surplus = ready[ctx.target_groups :]
        self.carried = [g for g in surplus if ctx.step + 1 - g.step <= self.admission.carry]
        step.ended = True

    @property
    def predicted(self) -> Float | None:
        """float64 [N], the pass rates believed when the step began; None = the selector believes nothing."""
        return self._step.predicted

    @property
    def admitted(self) -> dict[int, bool]:
        """Task -> admitted, for every task settled in this step."""
        return dict(self._step.settled)

    def predict(self) -> Float | None:
        """float64 [N], the pass rates believed now; None = the selector believes nothing."""
        return self.selector.predict()

    def needs(self) -> frozenset[Need]:
        """What the parts and the filter need."""
        own = frozenset({Need.REFERENCES}) if self.filter else frozenset()
        return own.union(*(part.needs() for part in self.parts.values()))

    def reference_rollouts(self) -> int:
        """What the references that this sampler reads have cost, in rollouts, each counted once."""
        used = {name for part in self.parts.values() for name in part.references}
        if self.filter:
            used.add(self.filter.source(self.pool))
        return sum(self.pool.reference_rollouts.get(name, 0) for name in used)

    def metrics(self) -> dict[str, float]:
        """Numbers of the last step, under ``sampler/``."""
        found = dict(self._counts)
        for part in self.parts.values():
            found |= part.metrics()
        return {f"sampler/{name}": float(value) for name, value in found.items()}

    def state_dict(self) -> dict[str, Any]:
        """All that was learnt and carried, as dicts, lists, arrays, strings and numbers. Only between steps."""
        if not self._step.ended:
            raise RuntimeError("state_dict() inside a step: save after end_step()")
        return {
            "schema": SCHEMA,
            "pool": self.pool.fingerprint,
            "classes": {name: class_name(part) for name, part in self.parts.items()},
            "parts": {name: part.state_dict() for name, part in self.parts.items()},
            "stats": self.stats.state_dict(),
            "carried": [group_to_state(group) for group in self.carried],
            "steps": self.steps,
            "short_steps": self.short_steps,
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Inverse of ``state_dict``; a state of another schema, pool or class is refused by name."""
        if not self._step.ended:
            raise RuntimeError("load_state_dict() inside a step")
        check_same("schema", state.get("schema"), SCHEMA)
        check_same("pool fingerprint", state["pool"], self.pool.fingerprint)
        for name, part in self.parts.items():
            check_same(name, state["classes"][name], class_name(part))
        for name, part in self.parts.items():
            part.load_state_dict(state["parts"][name])
        self.stats.load_state_dict(state["stats"])
        self.carried = [group_from_state(s, self.pool) for s in state["carried"]]
        self.steps, self.short_steps = int(state["steps"]), int(state["short_steps"])

    def _begin(self, ctx: StepContext) -> None:
        ctx.stats = self.stats
        taken = self.filtered.copy()
        taken[[g.task.index for g in self.carried]] = True
        self._step = Step(taken, predicted=check_prediction(self.selector, self.selector.predict(), len(self.pool)))

    def _probe(self, ctx: StepContext) -> list[Request]:
        """Measurements before the first selection; none where they would leave no round to train in."""
        if self._step.probed or self._step.groups or ctx.left.rounds < 2:
            return []
        self._step.probed = True
        taken = self._step.taken
        tasks, n = self.selector.probe(self._view(ctx, "selector", "probe"), taken.copy())
        check_tasks(self.selector, "probe", tasks, len(tasks), taken)
        given = [(task, charge(ctx, n, 1)) for task in tasks.tolist()]
        return [Request(task, k, Purpose.PROBE) for task, k in given if k > 0]

    def _continue(self, ctx: StepContext) -> list[Request]:
        """More rollouts of open tasks; those that get none are settled."""
        step = self._step
        if not step.open:
            return []
        n = np.asarray(self.allocator.more(tally(step.open, step.groups), self._view(ctx, "allocator", "more")))
        check_numbers(self.allocator, "more", n, len(step.open), 0)
        given = [(task, charge(ctx, int(k), 1)) for task, k in zip(step.open, n, strict=True)]
        self._settle([task for task, k in given if k == 0], ctx)
        return [Request(task, k) for task, k in given if k > 0]

    def _open(self, ctx: StepContext) -> list[Request]:
        """New tasks, as many as the admission wants and the budget allows."""
        step = self._step
        missing = ctx.target_groups - len(self._ready()) - len(step.open)
        if missing <= 0:
            return []
        so_far = tally(step.groups, step.groups, trained=[t for t in step.groups if step.settled.get(t, True)])
        m = int(self.admission.want(missing, so_far, self._view(ctx, "admission", "want")))
        if m <= 0:
            return []
        view = self._view(ctx, "selector", "propose")
        tasks = np.asarray(self.selector.propose(m, view, step.taken.copy()), np.int64)
        check_tasks(self.selector, "propose", tasks, m, step.taken)
        n = np.asarray(self.allocator.first(tasks, self._view(ctx, "allocator", "first")))
        check_numbers(self.allocator, "first", n, len(tasks), 1)
        requests = []
        for task, k in zip(tasks.tolist(), n.tolist(), strict=True):
            if (give := charge(ctx, k, min(k, self.allocator.min_first))) == 0:
                break  # the order is one of preference: nothing behind this task is opened in its place
            requests.append(Request(task, give))
            step.taken[task] = True
            step.open.append(task)
        step.cut = step.cut or len(requests) < m
        return requests

    def _settle(self, tasks: Iterable[int], ctx: StepContext) -> None:
        """Asks the admission, once a task."""
        step = self._step
        for task in list(tasks):
            o = step.groups[task].outcomes()
            view = self._view(ctx, "admission", f"admit/{task}")
            step.settled[task] = o.trials >= MIN_TRIALS and bool(self.admission.admit(o, view))
            step.open.remove(task)

    def _ready(self) -> list[Group]:
        """What may be trained on, the best claim first."""
        step = self._step
        return self.carried + [group for task, group in step.groups.items() if step.settled.get(task)]

    def _pick(self, group: Group, ctx: StepContext) -> Pick:
        o = group.outcomes()
        pick = self.admission.assemble(o, self._view(ctx, "admission", f"assemble/{o.task}"))
        check_pick(self.admission, pick, o, least=MIN_TRIALS if pick.baseline is None else 1)
        return pick

    def _view(self, ctx: StepContext, part: str, use: str) -> StepContext:
        """The context as a part may see it; each use has a random stream of its own."""
        return ctx.view(f"{part}/{use}", self.parts[part].needs())

    def _count(self, ctx: StepContext, fb: Feedback, ready: int, report: Mapping[str, float]) -> None:
        """The numbers of a step that has just ended; says it when too many were short."""
        step = self._step
        share = self.short_steps / self.steps
        if self.steps >= 20 and share > 0.05 and not self._warned:
            self._warned = True
            said = "%d of %d steps had fewer than %d groups: raise budget.step_rollouts or budget.max_rounds"
            log.warning(said, self.short_steps, self.steps, ctx.target_groups)
        self._counts = (
            dict(report)
            | step.counts()
            | {
                "rounds": ctx.round,
                "surplus": max(0, ready - ctx.target_groups),
                "carried": len(self.carried),
                "faults": step.rollouts() - int(fb.trials.sum()),
                "underfilled_share": share,
                "coverage": float((self.stats.visits[~self.filtered] > 0).mean()),
                "eligible": float((~self.filtered).sum()),
            }
        )
