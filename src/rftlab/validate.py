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
FINDINGS = ("gold_refused", "alike_refused", "wrong_accepted", "ungradable")
"""Kinds of findings, as ``Split`` names them."""
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
    alike: int = 0
    """Other spellings of gold answers tried."""
    alike_accepted: int = 0
    wrong: int = 0
    """Wrong completions tried."""
    wrong_refused: int = 0
    gold_refused: list[Finding] = field(default_factory=list)
    alike_refused: list[Finding] = field(default_factory=list)
    wrong_accepted: list[Finding] = field(default_factory=list)
    ungradable: list[Finding] = field(default_factory=list)
    """The grader failed on them, or no such completion could be made."""

    @property
    def ok(self) -> bool:
        """Every gold answer passes, however it is spelt, and no wrong one does."""
        return self.accepted == self.tasks and not any(getattr(self, kind) for kind in FINDINGS)


@dataclass(frozen=True)
class Report:
    """The answer of ``rftlab validate``."""

    dataset: str
    verifier: str
    splits: dict[str, Split]
    left_out: tuple[tuple[str, str], ...] = ()
    """(where, why) of the rows that cannot be a task; they are in no pool."""

    @property
    def ok(self) -> bool:
        """Whether every split is; rows left out are told and do not count."""
        return all(s.ok for s in self.splits.values())

    def lines(self) -> list[str]:
        """The report for a terminal."""
        shown = []
        for name, s in self.splits.items():
            refused = f"{s.wrong_refused:,} of {s.wrong:,} wrong ones" if s.wrong else "no wrong one tried"
            alike = f"{s.alike_accepted:,} of {s.alike:,} in other spellings, " if s.alike else ""
            shown.append(f"{name}: {s.accepted:,} of {s.tasks:,} gold answers accepted, {alike}{refused} refused")
            for kind in FINDINGS:
                findings = getattr(s, kind)
                for f in findings[:SHOWN]:
                    shown.append(
                        f"  {kind.replace('_', ' ')}: task {f.task} {f.row} {f.completion[-60:]!r}: {f.reason}"
                    )
                if len(findings) > SHOWN:
                    shown.append(f"  {kind.replace('_', ' ')}: and {len(findings) - SHOWN:,} more")
        shown += [f"  left out: {where} {why}" for where, why in self.left_out[:SHOWN]]
        if len(self.left_out) > SHOWN:
            shown.append(f"  left out: and {len(self.left_out) - SHOWN:,} more rows")
        verdict = "ok" if self.ok else "NOT ok"
        return [*shown, f"{verdict}: verifier {self.verifier} on dataset {self.dataset}"]

    def to_json(self) -> str:
        """The whole report, every finding included."""
        return json.dumps(asdict(self) | {"ok": self.ok}, indent=1)


def validate(dataset: Dataset, pool: VerifierPool) -> Report:
    """Grades the gold completions of every task (the dressed answer, and the worked solution where there is one), the
    other spellings and the near misses that the verifier itself proposes."""
    splits = {name: _split(tasks, pool) for name, tasks in dataset.pools().items()}
    name = dataset.eval.name.removesuffix("-eval")
    return Report(name, type(pool.verifier).__name__, splits, dataset.left_out)


@dataclass(frozen=True)
class _Trial:
    task: Task
    text: str
    kind: str
    """gold, alike or wrong."""

    @property
    def should_pass(self) -> bool:
        return self.kind != "wrong"


def _split(tasks: TaskPool, pool: VerifierPool) -> Split:
    split = Split(len(tasks))
    spoilt: set[int] = set()
    batch: list[_Trial] = []
    for task in tasks.tasks:
        try:
            batch += _trials(task, pool.verifier)
        except Exception as error:  # the verifier cannot even dress this answer
            reason = " ".join(f"{type(error).__name__}: {error}".split())
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
    kinds = {"gold": gold, "alike": verifier.alike(task), "wrong": verifier.wrong(task)}
    return [_Trial(task, text, kind) for kind, texts in kinds.items() for text in texts]


def _grade(batch: list[_Trial], pool: VerifierPool, split: Split, spoilt: set[int]) -> None:
    """Grades a batch into ``split``; ``spoilt`` collects the tasks whose gold completion did not pass."""
    verdicts = pool.grade([(trial.text, trial.task) for trial in batch])
    for trial, verdict in zip(batch, verdicts, strict=True):
        right = verdict.valid and verdict.passed == trial.should_pass
        split.alike += trial.kind == "alike"
        split.alike_accepted += right and trial.kind == "alike"
        split.wrong += trial.kind == "wrong"
        split.wrong_refused += right and trial.kind == "wrong"
    for trial, verdict, finding in _findings(batch, verdicts, pool.reasons):
        if not verdict.valid:
            split.ungradable.append(finding)
        else:
            findings = {"gold": split.gold_refused, "alike": split.alike_refused, "wrong": split.wrong_accepted}
            findings[trial.kind].append(finding)
        if trial.kind == "gold":
            spoilt.add(trial.task.index)


def _findings(
    batch: list[_Trial], verdicts: list[Verdict], reasons: dict[int, str]
) -> Iterator[tuple[_Trial, Verdict, Finding]]:
    for i, (trial, verdict) in enumerate(zip(batch, verdicts, strict=True)):
        if verdict.valid and verdict.passed == trial.should_pass:
            continue
        reason = reasons.get(i) or f"{verdict.status}, read {verdict.answer!r}, gold {trial.task.answer!r}"
        row = str(trial.task.meta.get("row", ""))
        yield trial, verdict, Finding(trial.task.id, row, trial.text, reason)
