"""What `rftlab validate` finds, with real verifiers in real workers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from rftlab.core import Task, TaskPool, Verdict
from rftlab.datasets import gsm8k
from rftlab.datasets.base import Dataset
from rftlab.validate import validate
from rftlab.verifiers.exact import Exact
from rftlab.verifiers.number import Number
from rftlab.verifiers.pool import VerifierPool

DATA = Path(__file__).parent / "data" / "gsm8k_like.jsonl"
WHOLE = Path(__file__).parents[2] / "shared" / "data" / "gsm8k"


def made(answers: list[str], solutions: dict[int, str] | None = None) -> Dataset:
    def pool(name: str, some: list[str]) -> TaskPool:
        metas = [{"row": f"{name}.jsonl:{i + 1}"} for i in range(len(some))]
        for i, solution in (solutions or {}).items():
            metas[i]["solution"] = solution
        tasks = [Task(f"{name}{i}", i, (), a, m) for i, (a, m) in enumerate(zip(some, metas, strict=True))]
        return TaskPool(tuple(tasks), name=name)

    return Dataset(pool("train", answers), pool("eval", answers))


class Lenient(Number):
    """Takes anything with a digit for the answer 7."""

    trusted = True

    def grade(self, text: str, task: Task) -> Verdict:
        passed = any(c.isdigit() for c in text) if task.answer == "7" else super().grade(text, task).passed
        return Verdict(float(passed), passed)


def test_every_gold_answer_and_worked_solution_passes_and_no_near_miss_does() -> None:
    with VerifierPool(Number(), workers=1) as pool:
        report = validate(gsm8k.load(str(DATA), eval_fraction=0.3), pool)
    assert report.ok and report.lines()[-1].startswith("ok:")
    assert sum(s.accepted for s in report.splits.values()) == 6
    assert all(s.wrong >= 5 * s.tasks and s.wrong_refused == s.wrong for s in report.splits.values())


def test_a_worked_solution_that_ends_elsewhere_is_a_refused_gold_with_its_reason() -> None:
    with VerifierPool(Number(), workers=1) as pool:
        report = validate(made(["1", "2"], {1: "so 1 + 1 = 3\n#### 3"}), pool)
    split = report.splits["train"]
    (finding,) = split.gold_refused
    assert not report.ok and split.accepted == 1 and split.wrong_accepted == []
    assert (finding.task, finding.row) == ("train1", "train.jsonl:2") and "read '3', gold '2'" in finding.reason
    assert any("gold refused: task train1 train.jsonl:2" in line for line in report.lines())


def test_an_answer_that_the_verifier_cannot_read_is_ungradable_not_refused() -> None:
    with VerifierPool(Number(), workers=1) as pool:
        report = validate(made(["1", "seven"]), pool)
    split = report.splits["eval"]
    assert not report.ok and split.accepted == 1 and split.gold_refused == []
    assert split.ungradable and all("'seven' is not a number" in f.reason for f in split.ungradable)


def test_a_wrong_answer_that_passes_is_found() -> None:
    with VerifierPool(Lenient()) as pool:
        report = validate(made(["5", "7"]), pool)
    split = report.splits["train"]
    assert not report.ok and split.accepted == 2 and {f.task for f in split.wrong_accepted} == {"train1"}
    assert split.wrong_refused + len(split.wrong_accepted) == split.wrong


def test_many_findings_are_all_in_the_json_and_few_on_the_terminal() -> None:
    with VerifierPool(Exact()) as pool:
        report = validate(made([f"a{i}" for i in range(40)], dict.fromkeys(range(40), "no")), pool)
    assert len(report.lines()) == 2 * (1 + 5 + 1) + 1 and "and 35 more" in "\n".join(report.lines())
    written = json.loads(report.to_json())
    assert written["ok"] is False and len(written["splits"]["train"]["gold_refused"]) == 40


@pytest.mark.skipif(not WHOLE.is_dir(), reason="the GSM8K files are not here; tests/data has rows in their format")
def test_all_of_gsm8k_is_accepted_and_every_near_miss_refused() -> None:
    with VerifierPool(Number()) as pool:
        report = validate(gsm8k.load(str(WHOLE)), pool)
    assert report.ok, report.lines()
    assert {name: s.accepted for name, s in report.splits.items()} == {"train": 7473, "eval": 1319}
    assert sum(s.wrong_refused for s in report.splits.values()) > 80_000
