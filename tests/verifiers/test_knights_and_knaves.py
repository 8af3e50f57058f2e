"""Everyone gets one kind, however it is written, and the published answers follow from their statements."""

from __future__ import annotations

import ast
import itertools
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rftlab.config import build_dataset, compose
from rftlab.core import Status, Task
from rftlab.validate import validate
from rftlab.verifiers.knights_and_knaves import KnightsAndKnaves
from rftlab.verifiers.pool import VerifierPool

CHECK = KnightsAndKnaves()
TASK = Task("t", 0, (), "(1) Zoey is a knight\n(2) Owen is a knave\n(3) Mia is a knight")


@pytest.mark.parametrize(
    "text",
    [
        "<answer>(1) Zoey is a knight\n(2) Owen is a knave\n(3) Mia is a knight</answer>",
        "So Mia is a knight, Owen is a knave, and Zoey is a knight.",
        "Say Zoey is a knave. Contradiction.\n\nZoey - knight\nOwen - knave\nMia - knight\n\nHope this helps!",
        "Zoey is a knave\n</think><answer>Zoey: Knight\n\nOwen: Knave\n\nMia: Knight</answer>",
        "<answer>Zoey is a knave</answer> no: <answer>**Zoey**: knight; *Owen* = knave; `Mia` -> knight</answer>",
        "<answer>Zoey is a knight, Owen is a knave, Mia is a knight. So Owen: knave.</answer>",
        "**Zoey:** knight\n**Owen:** a **knave**\n- *Mia:* Knight",
    ],
)
def test_every_way_to_say_it_passes(text: str) -> None:
    verdict = CHECK.grade(text, TASK)
    assert verdict.passed and verdict.score == 1.0 and verdict.status is Status.OK


@pytest.mark.parametrize(
    "text",
    [
        "<answer>Zoey: knight\nOwen: knave</answer>",
        "<answer>Zoey: knight\nOwen: knave\nMia: knave</answer>",
        "<answer>Zoey: knight\nOwen: knave\nMia: knight\nNoah: knight</answer>",
        "<answer>Zoey: knight\nOwen: knave\nMia: knight\nMia: knave</answer>",
        "<answer>Zoey is a knight or a knave, Owen is a knave, Mia is a knight</answer>",
        "<answer>Zoey is a knight/knave, Owen is a knave, Mia is a knight</answer>",
        "<answer>Zoey is a knight, Owen is not a knight, Mia is a knight</answer>",
        "<answer>Zoey and Mia are knights, Owen is a knave</answer>",
        "<answer>Zoey and Mia: knight, Owen: knave</answer>",
        "<answer>Zoey: knight\nOwen: knave\nMia: knight</answer><answer>I give up</answer>",
        "Zoey: knight\nOwen: knave\nMia: knight\n\nRather: Owen is a knight",
        "knight knave knight",
        "<think><answer>Zoey: knight\nOwen: knave\nMia: knight</answer></think>",
        "<think>Zoey: knight\nOwen: knave\nMia: knight",
        "",
    ],
)
def test_whoever_is_missing_invented_or_hedged_makes_it_fail(text: str) -> None:
    verdict = CHECK.grade(text, TASK)
    assert not verdict.passed and verdict.score == 0.0 and verdict.valid


def test_no_readable_assignment_is_unparsable_and_a_wrong_one_is_not() -> None:
    assert CHECK.grade("I do not know", TASK).status is Status.UNPARSABLE
    assert CHECK.grade("Zoey: knave", TASK).status is Status.OK


@given(st.dictionaries(st.sampled_from(["Ava", "Bo", "Cleo", "Dan", "Eve", "Finn"]), st.booleans(), min_size=2))
def test_gold_and_alike_pass_and_no_near_miss_does(people: dict[str, bool]) -> None:
    task = Task("t", 0, (), "\n".join(f"{n} is a {'knight' if k else 'knave'}" for n, k in people.items()))
    assert all(CHECK.grade(text, task).passed for text in [CHECK.gold(task), *CHECK.alike(task)])
    wrong = CHECK.wrong(task)
    assert len(wrong) > 2 * len(people) and not any(CHECK.grade(text, task).passed for text in wrong)


@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    assert CHECK.grade(text, TASK).valid


@pytest.mark.parametrize(
    "piece", ["Zoey is a ", "knight ", "Zoey: knight\n", "<answer>", "* ", " is a", "\0\ud800", "Z"]
)
def test_time_is_linear_in_the_length_of_any_text(piece: str) -> None:
    started = time.process_time()
    CHECK.grade(piece * (200_000 // len(piece)), TASK)
    CHECK.grade(piece * (200_000 // len(piece)) + " knight", TASK)
    assert time.process_time() - started < 2.0


def test_an_unreadable_gold_answer_is_the_graders_failure() -> None:
    with pytest.raises(ValueError, match="does not say who"):
        CHECK.grade("Zoey: knight", Task("t", 0, (), "42"))


@pytest.fixture(scope="module")
def puzzles(data: Path) -> Any:
    return build_dataset(
        compose(["dataset=knights_and_knaves", f"dataset.path={data / 'knights-and-knaves'}"], verb="validate")
    )


def test_every_published_answer_is_what_its_statements_imply_and_nothing_else_is(puzzles: Any) -> None:
    tasks = [*puzzles.train.tasks, *puzzles.eval.tasks]
    assert len(tasks) == 4500
    for task in tasks[::5]:
        statements, names = ast.literal_eval(task.meta["statements"]), list(task.meta["names"])
        fits = [
            kinds
            for kinds in itertools.product([True, False], repeat=len(names))
            if all(holds(claim, kinds) == kind for claim, kind in zip(statements, kinds, strict=True))
        ]
        (kinds,) = fits
        told = "\n".join(f"{name}: {'knight' if kind else 'knave'}" for name, kind in zip(names, kinds, strict=True))
        assert CHECK.grade(told, task).passed, task.meta["row"]


def test_size_is_level_and_category_and_prompts_are_our_own(puzzles: Any) -> None:
    assert puzzles.train.categories == ("3", "4", "5", "6", "7") and set(puzzles.train.level) == {3, 4, 5, 6, 7}
    (message,) = puzzles.train.tasks[0].prompt
    assert "<answer>" in message["content"] and "im_start" not in message["content"]


def test_the_published_puzzles_are_graded_as_they_should_be(puzzles: Any) -> None:
    some = replace(puzzles, training=replace(puzzles.train, tasks=puzzles.train.tasks[::9], category=None, level=None))
    with VerifierPool(CHECK) as pool:
        assert validate(some, pool).ok


def holds(claim: Any, kinds: tuple[bool, ...]) -> bool:
    match claim:
        case ("telling-truth", int(who)):
            return kinds[who]
        case ("lying", int(who)):
            return not kinds[who]
        case ("not", inner):
            return not holds(inner, kinds)
        case ("and", *inner):
            return all(holds(each, kinds) for each in inner)
        case ("or", *inner):
            return any(holds(each, kinds) for each in inner)
        case ("->", left, right):
            return not holds(left, kinds) or holds(right, kinds)
        case ("<=>", left, right):
            return holds(left, kinds) == holds(right, kinds)
    raise AssertionError(claim)
