"""The three parts of a task sampler. A published method is a choice of one of each.

When each is called in a step (``composer.py`` does the calling):

    round 0   Selector.probe                      -> probe rollouts -> Selector.on_probe
    any round Admission.want -> Selector.propose -> Allocator.first -> train rollouts
              Allocator.more (open tasks)         -> more rollouts, or settled
              Admission.admit (once a task, when settled)
    the end   Admission.assemble (admitted tasks) -> the batch
              Selector.observe                    once, rejects and probes included

Parts see arrays, never text. ``propose``, ``first``, ``more``, ``want``, ``admit`` and ``assemble`` are pure: the same
state and arguments give the same answer, and only ``observe`` and ``on_probe`` change state. So a step that is
interrupted and run again asks for the same rollouts.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rftlab.core import EMPTY, Bool, Feedback, Float, InputError, Int, Need, Outcomes, Pick, StepContext, TaskPool


class Part:
    """Base of all three: what it needs, what it learns.

    A part is built from its YAML (``_target_`` and keyword arguments) and then bound to a pool, once.
    """

    NEEDS: frozenset[Need] = frozenset()
    """Arrays and facts without which it cannot work."""
    STATE: tuple[str, ...] = ()
    """Names of the attributes that it learns: numpy arrays, numbers, strings, or dicts and lists of these."""

    references: tuple[str, ...] = ()
    """Names of the references that it reads, known after ``bind``; what they cost is shown beside the ledger."""

    def needs(self) -> frozenset[Need]:
        """``NEEDS``, or fewer or more where the options decide."""
        return self.NEEDS

    def bind(self, pool: TaskPool, group_size: int) -> None:
        """Called once, before the first step: allocate what is per task. Raises ``InputError`` on bad arrays."""

    def state_dict(self) -> dict[str, Any]:
        """A copy of what it has learnt; arrays are copied."""
        return {name: _copy(getattr(self, name)) for name in self.STATE}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Inverse of ``state_dict``. Raises ``InputError`` when names or shapes differ."""
        if set(state) != set(self.STATE):
            raise InputError(
                f"{type(self).__name__} wants the state {sorted(self.STATE)}, the checkpoint holds {sorted(state)}"
            )
        for name, value in state.items():
            have = getattr(self, name)
            if isinstance(have, np.ndarray) and np.shape(have) != np.shape(value):
                raise InputError(
                    f"{type(self).__name__}.{name} has shape {have.shape}, the checkpoint's has {np.shape(value)}"
                )
            setattr(self, name, _copy(value))

    def metrics(self) -> dict[str, float]:
        """Numbers worth a curve; the composer adds the namespace ``sampler/``."""
        return {}


def _copy(value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, dict):
        return {k: _copy(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_copy(v) for v in value]
    return value


class Selector(Part):
    """Which tasks."""

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        """At most ``m`` distinct task indices, best first, none of them ``taken`` (bool [N]). Pure."""
        raise NotImplementedError

    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        """Called once a step, with every task that was requested, rejects and probes included.

        A task without a row, or with zero trials, was not observed.
        """

    def probe(self, ctx: StepContext, taken: Bool) -> tuple[Int, int]:
        """Tasks int64 [Q] to measure before selecting, none of them ``taken``, and the rollouts of each. Round 0 only.

        They are charged to the ledger, never trained on, and stay free to be proposed. Pure.
        """
        return EMPTY, 0

    def on_probe(self, fb: Feedback, ctx: StepContext) -> None:
        """What the probes have shown, before the first ``propose`` of the step."""

    def predict(self) -> Float | None:
        """Believed pass rate of every task, float64 [N]: the posterior mean, no draw. None = it believes nothing."""
        return None


class Allocator(Part):
    """How many rollouts of each task, and when to stop."""

    min_first: int = 2
    """A task is not opened with fewer rollouts than ``min(first, min_first)``."""

    def rounds(self) -> int:
        """The most rounds that it can take for a task, known after ``bind``; ``budget.max_rounds`` must allow it."""
        return 1

    def first(self, tasks: Int, ctx: StepContext) -> Int:
        """Rollouts int64 [P] to begin with, at least 1 each. Pure."""
        raise NotImplementedError

    def more(self, open: Feedback, ctx: StepContext) -> Int:
        """Further rollouts int64 [R] for the open tasks, row by row; 0 settles a task. Pure."""
        return np.zeros(len(open), np.int64)

    def report(self, fb: Feedback, ctx: StepContext) -> dict[str, float]:
        """Numbers of the step that ends, under ``sampler/``; ``fb`` has a row for every task it gave rollouts. Pure.

        Asked before ``ctx.stats`` learns of the step: the counts are those that the allocator decided by.
        """
        return {}


class Admission(Part):
    """Which groups reach the optimiser."""

    carry: int = 0
    """Largest age, in steps, of surplus groups that are kept for a later batch; 0 = surplus is discarded."""

    def want(self, missing: int, so_far: Feedback, ctx: StepContext) -> int:
        """How many new tasks to propose in this round; ``missing`` groups lack for a full batch. Pure.

        ``so_far`` has this step's groups; ``trained`` there means not rejected: admitted, or still open. Asked in every
        round, the first too (a larger number there is oversampling).
        """
        return missing if ctx.round == 0 else 0

    def admit(self, o: Outcomes, ctx: StepContext) -> bool:
        """Whether a settled group may be trained on. Asked once. Pure."""
        return True

    def assemble(self, o: Outcomes, ctx: StepContext) -> Pick:
        """Which rollouts of an admitted group are trained on, and against which baseline. Pure."""
        return Pick(o.task, np.flatnonzero(o.valid))
