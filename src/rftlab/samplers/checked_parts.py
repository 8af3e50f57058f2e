"""The parts of a sampler under watch: what must be pure is asked twice, and what they are told is written down."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from rftlab.core import Feedback, StepContext
from rftlab.samplers.base import Part
from rftlab.samplers.checks import class_name
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.contract import same

PURE = {
    "selector": ("probe", "propose"),
    "allocator": ("first", "more"),
    "admission": ("want", "admit", "assemble"),
}

Require = Callable[[bool, int, str], None]
"""(holds, clause, what is wrong if not)."""


class Watch:
    """What the parts of ``sampler`` are told during a step, and whether they move when they must not."""

    def __init__(self, sampler: TaskSampler, require: Require) -> None:
        self.sampler, self.require = sampler, require
        self.observed: list[Feedback] = []
        self.probed: list[Feedback] = []
        self._before = self._state()

    def unmoved(self, method: str) -> None:
        """Fails unless parts and counts are as they were when the step began, or as ``on_probe`` has left them."""
        self.require(not self.observed, 1, f"the selector observed before end_step(), in tell() or {method}()")
        now = self._state()
        for name, part in self.sampler.parts.items():
            moved = "it changed its state outside of observe() and on_probe()"
            self.require(same(self._before[name], now[name]), 3, f"{class_name(part)}, within {method}(): {moved}")
        self.require(same(self._before["stats"], now["stats"]), 3, f"a part wrote into ctx.stats within {method}()")

    def _state(self) -> dict[str, Any]:
        parts = {name: part.state_dict() for name, part in self.sampler.parts.items()}
        return parts | {"stats": self.sampler.stats.state_dict()}

    def _twice(self, part: Part, name: str) -> Callable[..., Any]:
        method = getattr(part, name)

        def asked_twice(*args: Any) -> Any:
            answers = [method(*args) for _ in range(2)]
            self.require(
                same(*answers),
                3,
                f"{class_name(part)}.{name} answered {answers[0]}, then {answers[1]} to the same call",
            )
            return answers[0]

        return asked_twice

    def _told(self, name: str, heard: list[Feedback]) -> Callable[[Feedback, StepContext], None]:
        selector = self.sampler.selector
        method = getattr(selector, name)

        def spy(fb: Feedback, ctx: StepContext) -> None:
            heard.append(fb.rows(np.arange(len(fb))))
            stats = self.sampler.stats.state_dict()
            method(fb, ctx)
            where = f"{class_name(selector)}.{name} wrote into"
            self.require(same(vars(heard[-1]), vars(fb)), 6, f"{where} the feedback, which the counts are made of")
            self.require(same(stats, self.sampler.stats.state_dict()), 6, f"{where} ctx.stats")
            if name == "on_probe":
                self._before = self._state()

        return spy


@contextmanager
def watching(sampler: TaskSampler, require: Require) -> Iterator[Watch]:
    """Puts the parts of ``sampler`` under watch for a step."""
    watch = Watch(sampler, require)
    shadows: list[tuple[Part, str]] = []
    for group, names in PURE.items():
        part = sampler.parts[group]
        for name in names:
            setattr(part, name, watch._twice(part, name))
            shadows.append((part, name))
    for name, heard in (("observe", watch.observed), ("on_probe", watch.probed)):
        setattr(sampler.selector, name, watch._told(name, heard))
        shadows.append((sampler.selector, name))
    try:
        yield watch
    finally:
        for part, name in shadows:
            vars(part).pop(name, None)
