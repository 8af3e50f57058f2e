"""The nouns that every part of rftlab shares. Data only, numpy only.

Shape letters, used in names and docstrings everywhere:

    N  tasks in the pool        P  tasks in a training batch      G  rollouts of a task (group size)
    B  rollouts in all (sum G)  T  tokens                         R  rows of a feedback (tasks seen in a step)

A step is a bounded conversation between the loop and a sampler:

    ask -> generate -> verify -> tell -> ask -> ... -> [] -> batch -> update -> end_step -> sync
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from rftlab.samplers.stats import TaskStats

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Bool = NDArray[np.bool_]

EMPTY: Int = np.empty(0, dtype=np.int64)


class InputError(ValueError):
    """Wrong input from the user. One line: what was found, what was wanted, the override that repairs it.

    The command line prints it without a traceback and exits with 2.
    """


class Need(StrEnum):
    """What a sampler part needs beside outcomes. Checked before a model loads."""

    REFERENCES = "references"
    """Pass rates of reference models, one array per model (``TaskPool.references``)."""
    CATEGORY = "category"
    """An integer category for every task (``TaskPool.category``)."""
    LEVEL = "level"
    """A difficulty level for every task (``TaskPool.level``)."""
    FEATURES = "features"
    """A feature vector for every task (``TaskPool.features``)."""
    ADVANTAGE = "advantage"
    """Mean absolute advantage of each trained group, known after the update."""
    PROBE = "probe"
    """Rollouts spent on measuring tasks, charged to the ledger and never trained on."""
    PROGRESS = "progress"
    """Position in the run, ``StepContext.progress``; makes the run's length part of its identity."""
    TRUTH = "truth"
    """The true pass rates: simulated engines only."""


class Purpose(StrEnum):
    """Why a rollout is generated."""

    TRAIN = "train"
    PROBE = "probe"
    """Measured, told to the selector, never trained on."""
    EVAL = "eval"
    """Never told to a sampler."""


class Status(StrEnum):
    """What happened when a completion was graded."""

    OK = "ok"
    UNPARSABLE = "unparsable"
    """No answer found in the text: score 0, a trial."""
    TIMEOUT = "timeout"
    """The candidate exceeded its own limits (a program that hangs or eats memory): score 0, a trial."""
    FAULT = "fault"
    """The grader or the machine failed: not a trial; leaves numerator, denominator and loss."""


class Finish(StrEnum):
    """Why a completion ended."""

    STOP = "stop"
    LENGTH = "length"


@dataclass(frozen=True, slots=True)
class Task:
    """A problem with a checkable answer."""

    id: str
    """Hash of the content (``task_id``): the same on every machine and in every order of the file."""
    index: int
    """Position in the pool, in [0, N)."""
    prompt: tuple[Mapping[str, str], ...]
    """Chat messages, each with ``role`` and ``content``."""
    answer: str
    """The gold answer, as the verifier wants it."""
    meta: Mapping[str, Any] = field(default_factory=dict)
    """Anything else that a verifier or a reader of the records may want."""


def task_id(prompt: Sequence[Mapping[str, str]], answer: str, namespace: str = "") -> str:
    """16 hex digits of a hash of prompt and answer; ``namespace`` keeps equal texts of two sources apart."""
    content = json.dumps([namespace, [dict(m) for m in prompt], answer], sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(content.encode(), digest_size=8).hexdigest()


@dataclass(frozen=True)
class TaskPool:
    """N tasks and the arrays that samplers may use."""

    tasks: tuple[Task, ...]
    category: Int | None = None
    """int64 [N], values in [0, len(categories)); None = the dataset has none."""
    categories: tuple[str, ...] = ()
    level: Float | None = None
    """float64 [N], larger = harder; None = the dataset has none."""
    references: Mapping[str, Float] = field(default_factory=dict)
    """Per reference model: float64 [N], its pass rate on every task in [0, 1]; NaN = unknown."""
    reference_rollouts: Mapping[str, int] = field(default_factory=dict)
    """Per reference model: the rollouts its array has cost."""
    features: NDArray[np.float32] | None = None
    """float32 [N, D]; None = not computed."""
    name: str = "pool"

    def __post_init__(self) -> None:
        n = len(self.tasks)
        if n == 0:
            raise InputError(f"dataset {self.name!r} has no task: give a file with rows or loosen dataset.limit")
        arrays = {"category": self.category, "level": self.level, "features": self.features}
        arrays |= {f"references.{k}": v for k, v in self.references.items()}
        for what, array in arrays.items():
            if array is not None and len(array) != n:
                raise InputError(f"{what} of dataset {self.name!r} has {len(array)} rows, the pool has {n} tasks")
        for what, rates in self.references.items():
            known = rates[~np.isnan(rates)]
            if known.size and (known.min() < 0 or known.max() > 1):
                raise InputError(
                    f"reference {what!r} of dataset {self.name!r} has values in [{known.min():g}, {known.max():g}], "
                    "wanted pass rates in [0, 1]"
                )

    def __len__(self) -> int:
        return len(self.tasks)

    @property
    def fingerprint(self) -> str:
        """Hash of the ordered task ids: two pools are interchangeable for a sampler only if it is equal."""
        return hashlib.blake2b("\n".join(t.id for t in self.tasks).encode(), digest_size=8).hexdigest()

    @property
    def arrays_fingerprint(self) -> str:
        """Hash of category, level and references: what samplers read beside the tasks."""
        content = hashlib.blake2b(digest_size=8)
        arrays = {"category": self.category, "level": self.level, **dict(sorted(self.references.items()))}
        for name, array in arrays.items():
            content.update(name.encode() + (b"" if array is None else np.ascontiguousarray(array).tobytes()))
        return content.hexdigest()

    def take(self, kept: Sequence[int] | Int) -> TaskPool:
        """The pool of these tasks, in this order and numbered anew; a reference's cost falls with its known rates."""
        rows = np.asarray(kept, np.int64)
        shares = {m: (~np.isnan(r[rows])).sum() / max((~np.isnan(r)).sum(), 1) for m, r in self.references.items()}
        return replace(
            self,
            tasks=tuple(replace(self.tasks[old], index=new) for new, old in enumerate(rows)),
            category=None if self.category is None else self.category[rows],
            level=None if self.level is None else self.level[rows],
            references={name: rates[rows] for name, rates in self.references.items()},
            reference_rollouts={m: round(n * shares[m]) for m, n in self.reference_rollouts.items()},
            features=None if self.features is None else self.features[rows],
        )

    def has(self) -> frozenset[Need]:
        """The needs that this pool can serve."""
        present = {
            Need.REFERENCES: bool(self.references),
            Need.CATEGORY: self.category is not None,
            Need.LEVEL: self.level is not None,
            Need.FEATURES: self.features is not None,
        }
        return frozenset(need for need, there in present.items() if there)


@dataclass(frozen=True, slots=True)
class Request:
    """n new rollouts of this task, now."""

    task: int
    n: int
    purpose: Purpose = Purpose.TRAIN


@dataclass(frozen=True, slots=True)
class Completion:
    """One rollout."""

    text: str
    tokens: NDArray[np.int32]
    """int32 [T], the sampled tokens, the stop token included."""
    logps: NDArray[np.float32]
    """float32 [T], log-probability of each under the policy that sampled it, at the sampling temperature."""
    finish: Finish
    version: int
    """Version of the policy that sampled it."""
    engine: int = 0
    """Which of several engines sampled it; asked of the present version's only, and so not kept in checkpoints."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a verifier says of one completion."""

    score: float
    """The reward, in [0, 1]."""
    passed: bool
    """The accuracy: pass or fail, whatever shaping the score has."""
    status: Status = Status.OK
    answer: str | None = None
    """What was parsed from the text."""
    seconds: float = 0.0

    @property
    def valid(self) -> bool:
        """A trial; only a fault is not."""
        return self.status is not Status.FAULT


@dataclass(frozen=True)
class Outcomes:
    """One task's rollouts as arrays [G], in generation order. What sampler parts see of a group."""

    task: int
    passed: Bool
    score: Float
    valid: Bool
    tokens: Int
    """Completion length in tokens."""
    truncated: Bool
    version: Int

    @property
    def trials(self) -> int:
        return int(self.valid.sum())

    @property
    def wins(self) -> int:
        return int((self.passed & self.valid).sum())


@dataclass(frozen=True)
class Group:
    """A task with its completions and verdicts. Only the composer, the policy and the records see it."""

    task: Task
    completions: tuple[Completion, ...]
    verdicts: tuple[Verdict, ...]
    step: int
    purpose: Purpose = Purpose.TRAIN

    def __post_init__(self) -> None:
        if len(self.completions) != len(self.verdicts):
            raise ValueError(f"{len(self.completions)} completions, {len(self.verdicts)} verdicts")

    def outcomes(self) -> Outcomes:
        """The group as arrays, read-only; made once, as a step asks for them many times."""
        return self._outcomes

    @cached_property
    def _outcomes(self) -> Outcomes:
        arrays = {
            "passed": np.array([v.passed for v in self.verdicts], bool),
            "score": np.array([v.score for v in self.verdicts], np.float64),
            "valid": np.array([v.valid for v in self.verdicts], bool),
            "tokens": np.array([len(c.tokens) for c in self.completions], np.int64),
            "truncated": np.array([c.finish is Finish.LENGTH for c in self.completions], bool),
            "version": np.array([c.version for c in self.completions], np.int64),
        }
        for array in arrays.values():
            array.flags.writeable = False
        return Outcomes(self.task.index, **arrays)

    def extended(self, other: Group) -> Group:
        """This group followed by newer rollouts of the same task."""
        return replace(self, completions=self.completions + other.completions, verdicts=self.verdicts + other.verdicts)


@dataclass(frozen=True)
class Feedback:
    """What a step has shown, one row per task [R], cumulative within the step."""

    tasks: Int
    wins: Int
    """Valid rollouts that passed."""
    trials: Int
    """Valid rollouts; 0 = nothing was learnt of this task."""
    score: Float
    """Sum of the rewards of the valid rollouts."""
    trained: Bool
    """Whether the group reached the optimiser."""
    abs_advantage: Float
    """Mean absolute advantage of what was trained on; NaN = unknown."""

    def __len__(self) -> int:
        return len(self.tasks)

    @property
    def rate(self) -> Float:
        """Pass rate [R]; NaN where trials are 0."""
        return np.divide(self.wins, self.trials, out=np.full(len(self), np.nan), where=self.trials > 0)

    def rows(self, mask: Bool | Int) -> Feedback:
        """The rows that ``mask`` selects."""
        return Feedback(
            self.tasks[mask],
            self.wins[mask],
            self.trials[mask],
            self.score[mask],
            self.trained[mask],
            self.abs_advantage[mask],
        )


@dataclass(frozen=True, slots=True)
class Pick:
    """What of a settled group is trained on."""

    task: int
    rollouts: Int
    """int64 [k], positions in generation order."""
    baseline: float | None = None
    """Given: A = r - baseline (no std, no leave-one-out). None: the mean of the picked rollouts."""
    weight: float = 1.0
    """Of the group in the loss, relative to the others of the batch: scaled to mean 1 there, so that it moves shares
    and not the size of the step."""


@dataclass(frozen=True, slots=True)
class Budget:
    """What is left of the present step."""

    rollouts: int
    rounds: int


@dataclass
class StepContext:
    """What a sampler may know of the present step. The composer moves ``round`` and ``left``; parts only read."""

    step: int
    version: int
    """Version of the policy that generates."""
    target_groups: int
    """P, the groups wanted by the optimiser."""
    group_size: int
    """G, the nominal rollouts of a task."""
    progress: float
    """Share of the run that is done, in [0, 1]; NaN for parts that do not declare ``Need.PROGRESS``."""
    left: Budget
    stats: TaskStats
    """Discounted counts, visits, streaks of every task. Read-only."""
    seed: int
    round: int = 0
    truth: Float | None = None
    """float64 [N], true pass rates; None for parts that do not declare ``Need.TRUTH`` and off simulation."""
    part: str = ""
    """Name of the part that this view is for."""

    def view(self, part: str, needs: frozenset[Need]) -> StepContext:
        """This context as ``part`` may see it: its own random stream, and only what it declared."""
        return replace(
            self,
            part=part,
            progress=self.progress if Need.PROGRESS in needs else float("nan"),
            truth=self.truth if Need.TRUTH in needs else None,
        )

    @property
    def rng(self) -> np.random.Generator:
        """A fresh generator of (seed, step, round, part): the same draw however often a run was resumed.

        Every access starts the stream anew: take it once in a method and keep it.
        """
        entropy = (self.seed, self.step, self.round, zlib.crc32(self.part.encode()))
        return np.random.default_rng(np.random.SeedSequence(entropy))


@dataclass(frozen=True)
class UpdateInfo:
    """What the optimiser did with a batch."""

    metrics: Mapping[str, float] = field(default_factory=dict)
    abs_advantage: Mapping[int, float] = field(default_factory=dict)
    """Mean absolute advantage by task index."""
    advantages: Mapping[int, Float] = field(default_factory=dict)
    """By task index: float64 [k], those that were trained with, in the order of ``Pick.rollouts``; for the records."""
