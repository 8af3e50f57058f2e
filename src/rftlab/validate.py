"""Does the verifier take every gold answer and refuse wrong ones? Asked before a run is trusted."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field

from rftlab.core import Task, TaskPool, Verdict
from rftlab.datasets.base import Dataset
from rftlab.verifiers.base import Verifier
from rftlab.verifiers.pool import VerifierPool

SHOWN = 5
"""Findings of a kind on the terminal; the JSON has all."""
BATCH = 4096
"""Completions graded at once, so that a large pool is not held twice."""


@dataclass(frozen=True)
class Finding:
    """A completion that was not judged as it should be."""

    task: str
    """Task id."""
    row: str
    """Where the task stands, e.g. ``train.jsonl:17``; empty if the dataset is not from a file."""
    completion: str
    reason: str


@dataclass
class Split:
    """What was found in one pool."""

    tasks: int
    accepted: int = 0
    """Tasks of which every gold completion passed."""
    wrong: int = 0
    """Wrong completions tried."""
    wrong_refused: int = 0
    gold_refused: list[Finding] = field(default_factory=list)
    ungradable: list[Finding] = field(default_factory=list)
    """The grader failed on them."""
    wrong_accepted: list[Finding] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """The answer of ``rftlab validate``."""

    dataset: str
    verifier: str
    splits: dict[str, Split]

    @property
    def ok(self) -> bool:
        """Every gold answer passes and no wrong one does."""
        return all(s.accepted == s.tasks and not s.ungradable and not s.wrong_accepted for s in self.splits.values())

    def lines(self) -> list[str]:
        """The report for a terminal."""
        shown = []
        for name, s in self.splits.items():
            refused = f"{s.wrong_refused:,} of {s.wrong:,} wrong ones" if s.wrong else "no wrong one tried"
            shown.append(f"{name}: {s.accepted:,} of {s.tasks:,} gold answers accepted, {refused} refused")
            for kind in ("gold_refused", "ungradable", "wrong_accepted"):
                findings = getattr(s, kind)
                for f in findings[:SHOWN]:
                    shown.append(
                        f"  {kind.replace('_', ' ')}: task {f.task} {f.row} {f.completion[-60:]!r}: {f.reason}"
                    )
                if len(findings) > SHOWN:
                    shown.append(f"  {kind.replace('_', ' ')}: and {len(findings) - SHOWN:,} more")
        verdict = "ok" if self.ok else "NOT ok"
        return [*shown, f"{verdict}: verifier {self.verifier} on dataset {self.dataset}"]

    def to_json(self) -> str:
        """The whole report, every finding included."""
        return json.dumps(asdict(self) | {"ok": self.ok}, indent=1)


def validate(dataset: Dataset, pool: VerifierPool) -> Report:
    """Grades the gold completions of every task (the dressed answer, and the worked solution where there is one) and
    the near misses that the verifier itself proposes."""
    splits = {"train": _split(dataset.train, pool), "eval": _split(dataset.eval, pool)}
    return Report(dataset.train.name, type(pool.verifier).__name__, splits)


@dataclass(frozen=True)
class _Trial:
    task: Task
    text: str
    gold: bool


def _split(tasks: TaskPool, pool: VerifierPool) -> Split:
    split = Split(len(tasks))
    spoilt: set[int] = set()
    batch: list[_Trial] = []
    for task in tasks.tasks:
        try:
            batch += _trials(task, pool.verifier)
        except Exception as error:  # the verifier cannot even dress this answer
            reason = f"{type(error).__name__}: {error}"
            split.ungradable.append(Finding(task.id, str(task.meta.get("row", "")), task.answer, reason))
            spoilt.add(task.index)
        if len(batch) >= BATCH:
            _grade(batch, pool, split, spoilt)
            batch = []
    _grade(batch, pool, split, spoilt)
    split.accepted = len(tasks) - len(spoilt)
    return split


def _trials(task: Task, verifier: Verifier) -> list[_Trial]:
    worked = task.meta.get("solution")
    gold = [verifier.gold(task), *([worked] if isinstance(worked, str) else [])]
    return [_Trial(task, text, True) for text in gold] + [_Trial(task, text, False) for text in verifier.wrong(task)]


def _grade(batch: list[_Trial], pool: VerifierPool, split: Split, spoilt: set[int]) -> None:
    """Grades a batch into ``split``; ``spoilt`` collects the tasks whose gold completion did not pass."""
    verdicts = pool.grade([(trial.text, trial.task) for trial in batch])
    split.wrong += sum(not trial.gold for trial in batch)
    split.wrong_refused += sum(
        verdict.valid and not verdict.passed and not trial.gold for trial, verdict in zip(batch, verdicts, strict=True)
    )
    for trial, verdict, finding in _findings(batch, verdicts, pool.reasons):
        if not verdict.valid:
            split.ungradable.append(finding)
        elif trial.gold:
            split.gold_refused.append(finding)
        else:
            split.wrong_accepted.append(finding)
        if trial.gold:
            spoilt.add(trial.task.index)


def _findings(
    batch: list[_Trial], verdicts: list[Verdict], reasons: dict[int, str]
) -> Iterator[tuple[_Trial, Verdict, Finding]]:
    for i, (trial, verdict) in enumerate(zip(batch, verdicts, strict=True)):
        if verdict.valid and verdict.passed == trial.gold:
            continue
        reason = reasons.get(i) or f"{verdict.status}, read {verdict.answer!r}, gold {trial.task.answer!r}"
        row = str(trial.task.meta.get("row", ""))
        yield trial, verdict, Finding(trial.task.id, row, trial.text, reason)
