from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rftlab.core import Status, Task
from rftlab.verifiers.exact import Exact


def task(answer: str) -> Task:
    return Task("t", 0, (), answer)


@pytest.mark.parametrize(
    ("options", "text", "passed"),
    [
        ({}, "abc", True),
        ({}, " abc\n", True),
        ({}, "Abc", False),
        ({}, "abc abc", False),
        ({"casefold": True}, "ABC", True),
        ({"strip": False}, "abc ", False),
        ({"strip": False}, "abc", True),
    ],
)
def test_the_whole_text_must_be_the_answer(options: dict[str, bool], text: str, passed: bool) -> None:
    verdict = Exact(**options).grade(text, task("abc"))
    assert (verdict.passed, verdict.score, verdict.status) == (passed, float(passed), Status.OK)


@pytest.mark.parametrize("text", ["", " \n\t"])
def test_nothing_said_is_unparsable_and_a_trial(text: str) -> None:
    verdict = Exact().grade(text, task("abc"))
    assert verdict.status is Status.UNPARSABLE and verdict.valid and not verdict.passed


@given(st.text(min_size=1).filter(str.strip), st.booleans(), st.booleans())
def test_gold_passes_and_no_near_miss_does(answer: str, strip: bool, casefold: bool) -> None:
    verifier, gold = Exact(strip, casefold), task(answer)
    assert verifier.grade(verifier.gold(gold), gold).passed
    misses = verifier.wrong(gold)
    assert len(misses) >= 3
    assert not [text for text in misses if verifier.grade(text, gold).passed]
