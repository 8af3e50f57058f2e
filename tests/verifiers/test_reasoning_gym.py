"""The family itself scores, whatever stands around the answer; an answer is read and never run."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("reasoning_gym")

from rftlab.config import compose
from rftlab.core import InputError, Status, Task
from rftlab.datasets import gym_items
from rftlab.datasets.reasoning_gym import load
from rftlab.verifiers.pool import VerifierPool, build_pool
from rftlab.verifiers.reasoning_gym import ReasoningGym, stated

CREATE = "__import__('pathlib').Path({!r}).write_text('x')"


def one(family: str, **parameters: object) -> Task:
    return load({family: parameters}, train_size=1, eval_size=1).train.tasks[0]


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with made(60) as shared:
        yield shared


def made(deadline: float) -> VerifierPool:
    return build_pool(compose(["verifier=reasoning_gym", f"verifier.pool.deadline={deadline}"]).verifier)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<answer>7</answer>", "7"),
        ("<answer>1</answer> no, <answer>\n7\n8\n</answer> ok", "7\n8"),
        ("6 <answer>7", "6 <answer>7"),
        ("#### 7", "7"),
        ("The answer is 6.\n#### 7\n", "7"),
        ("The answer is: 7.", "7"),
        ("The answer is 6. The final answer is\n1 2\n3 4", "1 2\n3 4"),
        (" 7 ", "7"),
        ("<think><answer>6</answer></think> 7", "7"),
        ("<think>#### 7</think>", ""),
        ("<think>The answer is 7", ""),
        ("", ""),
        ("</answer>7<answer>", "</answer>7<answer>"),
    ],
)
def test_where_an_answer_is_read(text: str, said: str) -> None:
    assert stated(text) == said


@pytest.mark.parametrize("family", ["basic_arithmetic", "spell_backward", "graph_color", "rotate_matrix", "countdown"])
def test_gold_and_its_likes_pass_and_near_misses_do_not(pool: VerifierPool, family: str) -> None:
    task, verifier = one(family), pool.verifier
    good, wrong = [verifier.gold(task), *verifier.alike(task)], verifier.wrong(task)
    assert all(verdict.passed for verdict in pool.grade([(text, task) for text in good]))
    assert not any(verdict.passed or not verdict.valid for verdict in pool.grade([(text, task) for text in wrong]))


def test_partial_credit_is_the_score_and_does_not_pass() -> None:
    task = one("spell_backward", min_word_len=5, max_word_len=5)
    near = task.answer[:4] + "#"
    assert ReasoningGym().grade(near, task).score == pytest.approx(0.8)
    assert not ReasoningGym().grade(near, task).passed and ReasoningGym(pass_at=0.7).grade(near, task).passed
    assert ReasoningGym(partial=False).grade(near, task).score == 0.0
    assert ReasoningGym(partial=False).grade(task.answer, task).score == 1.0


def test_what_a_family_cannot_read_is_wrong_and_no_fault(pool: VerifierPool) -> None:
    task = one("prime_factorization")
    assert [v.status for v in pool.grade([("I do not know", task), ("", task)])] == [Status.UNPARSABLE] * 2


def test_what_a_family_cannot_read_of_its_own_is_a_fault(pool: VerifierPool) -> None:
    task = one("prime_factorization")
    broken = Task(task.id, 0, task.prompt, "not a number", task.meta)
    assert pool.grade([("I do not know", broken)])[0].status is Status.FAULT


def test_an_expression_that_never_ends_is_its_authors_failure() -> None:
    task = one("puzzle24")
    with made(deadline=4) as pool:
        found = pool.grade([("<answer>9**9**9**9</answer>", task), (task.answer, task)])
    assert not found[0].passed and found[0].status is Status.TIMEOUT
    assert found[1].passed


@pytest.mark.parametrize("family", [*gym_items.EVALUATED, *gym_items.FORMULAS])
def test_nothing_in_an_answer_is_executed(family: str, tmp_path: Path) -> None:
    task, trap = one(family), tmp_path / "executed"
    code = CREATE.format(str(trap))
    for text in (code, f"[{code}]", f"[[{code}]]", f"x + {code}", f"exp({code})", f"(lambda: {code})()"):
        assert not ReasoningGym().grade(f"<answer>{text}</answer>", task).passed
    assert not trap.exists()


def test_all_families_that_evaluate_text_are_known() -> None:
    """A new version of the package that evaluates answers elsewhere must be looked at."""
    folder = Path(str(importlib.util.find_spec("reasoning_gym").origin)).parent  # type: ignore[union-attr]
    code = re.compile(
        r"\b(?:eval|exec|parse_expr|sympify|parse_latex)\((?!self)\s*\w*(?:answer|response)", re.IGNORECASE
    )
    found = {file.stem for file in folder.rglob("*.py") if code.search(file.read_text(encoding="utf-8"))}
    known = {*gym_items.EVALUATED, *gym_items.FORMULAS}
    assert found - known <= {"number_sorting"}, "evaluates the package's own answer only"


@pytest.mark.parametrize(
    "text", ["[" * 20_000, "\0", "\ud800", "9" * 20_000, "(" * 5_000 + ")" * 5_000, "nan", "1e999"]
)
@pytest.mark.parametrize("family", ["puzzle24", "n_queens", "complex_arithmetic", "basic_arithmetic", "jugs"])
def test_no_text_is_a_fault(text: str, family: str) -> None:
    verdict = ReasoningGym().grade(text, one(family))
    assert verdict.valid and not verdict.passed


@pytest.mark.parametrize("pass_at", [0.0, 1.5, float("nan")])
def test_an_impossible_passing_score_is_refused(pass_at: float) -> None:
    with pytest.raises(InputError, match=r"verifier\.check\.pass_at"):
        ReasoningGym(pass_at=pass_at)


def test_a_family_without_an_answer_is_scored_but_has_no_gold() -> None:
    task = one("rush_hour")
    assert task.answer == "" and not ReasoningGym().grade("F+1", task).passed
    with pytest.raises(ValueError, match="rush_hour stores no answer"):
        ReasoningGym().gold(task)
