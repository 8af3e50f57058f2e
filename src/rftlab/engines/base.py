"""What the loop asks of whatever generates rollouts, and of whatever learns from them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from rftlab.core import Completion, Float, Group, Pick, Task, UpdateInfo


@dataclass(frozen=True)
class Sampling:
    """How completions are drawn."""

    max_new_tokens: int
    temperature: float = 1.0
    """0 = greedy."""
    top_p: float = 1.0
    """Evaluation only: training on a truncated distribution is refused (the log-probs would not be the policy's)."""
    top_k: int = 0
    """Evaluation only; 0 = off."""


@dataclass(frozen=True)
class Job:
    """n rollouts of one task, numbered from ``first``."""

    task: Task
    first: int
    """Ordinal of the first rollout among those of this task in this stream: rollout i is number first + i."""
    n: int


class Learner(Protocol):
    """The thing that is trained."""

    version: int
    """Counts updates; a completion carries the version that sampled it."""
    precision: str
    """The arithmetic of its weights: a run does not go on in another."""

    def update(
        self,
        batch: Sequence[tuple[Group, Pick]],
        generated: Sequence[Group],
        *,
        group_size: int,
        target_groups: int,
        rollouts: int,
    ) -> UpdateInfo:
        """One optimisation phase on a batch.

        ``generated`` are all groups of this step, ``rollouts`` all that were generated for training so far.
        """
        ...

    def save(self, folder: Path) -> None:
        """Everything needed to go on exactly: weights, optimiser, counters."""
        ...

    def load(self, folder: Path) -> None: ...

    def save_weights(self, folder: Path) -> None:
        """Only what a user of the result needs (for a language model: the adapter)."""
        ...


class Engine(Protocol):
    """Generates rollouts of the learner's present version."""

    LEARNS: bool
    """True: it is its own learner (a simulated world), built from the pools instead of a policy."""
    separate: bool
    """It holds weights of its own, which are stale until ``sync``; False = it reads the learner's."""

    def generate(self, jobs: Sequence[Job], sampling: Sampling, stream: tuple[Any, ...]) -> list[list[Completion]]:
        """Completions of every job, in order.

        A sampled token depends on (stream, task id, rollout ordinal, position) and the logits only: never on what
        else is generated beside it. ``stream`` is e.g. ``("train", seed, step)``.
        """
        ...

    def sync(self, learner: Learner) -> None:
        """Takes over the learner's weights and version."""
        ...

    def truth(self) -> Float | None:
        """True pass rates float64 [N] where the engine knows them (simulation), else None."""
        ...

    def close(self) -> None: ...
