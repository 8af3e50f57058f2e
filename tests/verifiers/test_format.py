"""Tags and lengths, and nothing else: what the answer is does not matter here."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rftlab.core import InputError, Status, Task
from rftlab.verifiers.format import Format, within
from rftlab.verifiers.length import Length

TASK = Task("t", 0, (), "42")
GOOD = "<think>6 * 7</think>\n<answer>42</answer>"


@pytest.mark.parametrize(
    ("text", "passed", "status"),
    [
        (GOOD, True, Status.OK),
        ("Well. " + GOOD + "  \n", True, Status.OK),
        (GOOD + " Done.", False, Status.OK),
        ("<answer>42</answer><think>6 * 7</think>", False, Status.UNPARSABLE),
        (GOOD + GOOD, False, Status.UNPARSABLE),
        ("<think>6 * 7<answer>42</answer></think>", False, Status.UNPARSABLE),
        ("<think>6 * 7</think><answer>42", False, Status.UNPARSABLE),
        ("<think>6 * 7</think>42</answer>", False, Status.UNPARSABLE),
        ("<THINK>6 * 7</THINK><ANSWER>42</ANSWER>", False, Status.UNPARSABLE),
        ("</think><think></answer><answer>", False, Status.UNPARSABLE),
        ("", False, Status.UNPARSABLE),
    ],
)
def test_every_tag_once_in_order_and_nothing_behind(text: str, passed: bool, status: Status) -> None:
    verdict = Format().grade(text, TASK)
    assert (verdict.passed, verdict.status, verdict.score) == (passed, status, float(passed))


def test_text_behind_the_last_tag_can_be_allowed() -> None:
    assert Format(end=False).grade(GOOD + " Done.", TASK).passed


def test_the_last_tag_is_what_is_parsed() -> None:
    assert Format().grade(GOOD, TASK).answer == "42"
    assert within("<a>1</a> <a> 2 </a>", "a") == "2" and within("<a>1", "a") is None and within("1</a>", "a") is None


def test_lengths_are_inclusive_and_count_no_outer_white_space() -> None:
    bounds = Format(tags=[], min_chars=3, max_chars=5)
    assert [bounds.grade(text, TASK).passed for text in ("ab", " ab  ", "abc", "abcde", " abcde ", "abcdef")] == [
        *(False, False, True),
        *(True, True, False),
    ]


@given(
    st.lists(st.sampled_from(["think", "answer", "plan", "a-b"]), unique=True, max_size=4),
    st.booleans(),
    st.integers(0, 300),
    st.sampled_from([None, 400, 1000]),
    st.text(st.characters(exclude_characters="<>", exclude_categories=["Cs"]), min_size=1, max_size=40),
)
def test_gold_passes_and_no_near_miss_does(
    tags: list[str], end: bool, least: int, most: int | None, answer: str
) -> None:
    if not tags and not least and most is None:
        least = 1
    verifier, task = Format(tags, end, least, most), Task("t", 0, (), f"x{answer}x")
    assert verifier.grade(verifier.gold(task), task).passed
    misses = verifier.wrong(task)
    assert misses and not [text for text in misses if verifier.grade(text, task).passed]


@pytest.mark.parametrize("piece", ["<think>", "</think>", "<think></think>", "<", "<answer>x</answer>", "\0", "\ud800"])
def test_time_is_linear_and_nothing_raises(piece: str) -> None:
    started = time.process_time()
    assert not Format().grade(piece * (400_000 // len(piece)), TASK).passed
    assert time.process_time() - started < 3.0


@pytest.mark.parametrize(
    "options",
    [
        {"tags": "think"},
        {"tags": ["a b"]},
        {"tags": [1]},
        {"tags": ["a", "a"]},
        {"tags": []},
        {"min_chars": -1},
        {"min_chars": 9, "max_chars": 8},
    ],
)
def test_impossible_formats_are_refused_with_what_repairs_them(options: dict[str, object]) -> None:
    with pytest.raises(InputError, match=r"verifier\.check\."):
        Format(**options)  # type: ignore[arg-type]


def test_the_length_score_falls_over_the_buffer_as_in_the_paper() -> None:
    verifier = Length(max_chars=100, buffer_chars=20)
    scores = [verifier.grade("x" * n, TASK).score for n in (0, 80, 85, 90, 100, 101)]
    assert scores == [1.0, 1.0, 0.75, 0.5, 0.0, 0.0]
    assert [verifier.grade("x" * n, TASK).passed for n in (100, 101)] == [True, False]
    assert not any(verifier.grade(text, TASK).passed for text in verifier.wrong(TASK))


@pytest.mark.parametrize("options", [(100, 0), (100, 101), (0, 0), (100, -5)])
def test_an_impossible_buffer_is_refused(options: tuple[int, int]) -> None:
    with pytest.raises(InputError, match=r"verifier\.check\.buffer_chars"):
        Length(*options)
