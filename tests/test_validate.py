"""What `rftlab validate` finds, with real verifiers in real workers."""

from __future__ import annotations

import json
from pathlib import Path

from rftlab.config import build_dataset, compose
from rftlab.core import Task, TaskPool, Verdict
from rftlab.datasets.base import Dataset
from rftlab.validate import validate
from rftlab.verifiers.exact import Exact
from rftlab.verifiers.number import Number
from rftlab.verifiers.pool import VerifierPool

DATA = Path(__file__).parent / "data" / "gsm8k_like.jsonl"


def gsm8k(path: Path, *overrides: str) -> Dataset:
    return build_dataset(compose(["dataset=gsm8k", f"dataset.path={path}", *overrides], verb="validate"))


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
        report = validate(gsm8k(DATA, "dataset.eval_fraction=0.3"), pool)
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


def test_all_of_gsm8k_is_accepted_and_every_near_miss_refused(data: Path) -> None:
    with VerifierPool(Number()) as pool:
        report = validate(gsm8k(data / "gsm8k"), pool)
    assert report.ok, report.lines()
    assert {name: s.accepted for name, s in report.splits.items()} == {"train": 7473, "eval": 1319}
    assert sum(s.wrong_refused for s in report.splits.values()) > 80_000


class Strict(Exact):
    """Knows another spelling and refuses it."""

    def alike(self, task: Task) -> list[str]:
        return [task.answer + "!", task.answer]


def test_another_spelling_that_is_refused_is_a_finding() -> None:
    with VerifierPool(Strict()) as pool:
        report = validate(made(["a1"]), pool)
    split = report.splits["train"]
    assert (split.alike, split.alike_accepted) == (2, 1) and not report.ok
    assert [f.completion for f in split.alike_refused] == ["a1!"]
    assert "1 of 2 in other spellings" in report.lines()[0]


def test_rows_left_out_are_listed_and_a_benchmark_has_one_split(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"prompt": "p", "answer": "1"}\n{"prompt": "q", "answer": null}\n')
    options = ["dataset=file", f"dataset.path={path}", "dataset.bad_rows=skip", "dataset.eval_fraction=1"]
    with VerifierPool(Exact()) as pool:
        report = validate(build_dataset(compose(options, verb="validate")), pool)
    assert report.ok and list(report.splits) == ["eval"] and report.splits["eval"].tasks == 1
    assert any("left out: a.jsonl:2 has no 'answer'" in line for line in report.lines())
