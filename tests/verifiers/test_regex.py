"""An expression accepts what it matches and captures; one that never ends costs the candidate its trial."""

from __future__ import annotations

import pytest

from rftlab.core import InputError, Status, Task
from rftlab.verifiers.pattern import Pattern
from rftlab.verifiers.pool import VerifierPool


def task(answer: str, **meta: object) -> Task:
    return Task("t", 0, (), answer, meta)


@pytest.mark.parametrize(
    ("answer", "text", "anywhere", "passed"),
    [
        (r"\d{4}-\d{2}", "2024-05", False, True),
        (r"\d{4}-\d{2}", "  2024-05\n", False, True),
        (r"\d{4}-\d{2}", "on 2024-05", False, False),
        (r"\d{4}-\d{2}", "on 2024-05", True, True),
        ("colou?r", "Color", False, False),
        (".*", "a\nb", False, False),
        ("(?s).*", "a\nb", False, True),
    ],
)
def test_the_answer_is_an_expression(answer: str, text: str, anywhere: bool, passed: bool) -> None:
    verdict = Pattern(anywhere=anywhere).grade(text, task(answer))
    assert verdict.passed == passed and verdict.score == float(passed) and verdict.valid


@pytest.mark.parametrize(
    ("pattern", "text", "said"),
    [
        (r"Answer: (\w+)", "Answer: no. Answer: yes", "yes"),
        (r"Answer: (not )?(?P<answer>\w+)", "Answer: not yes", "yes"),
        (r"\byes\b|\bno\b", "no, well, yes", "yes"),
        (r"Answer:( \w+)?", "Answer:", ""),
        (r"Answer: (.*)", "Answer:  yes  ", "yes"),
        (r"Answer: (\w+)", "yes", None),
    ],
)
def test_what_a_pattern_captures_last_is_the_answer(pattern: str, text: str, said: str | None) -> None:
    verdict = Pattern(pattern).grade(text, task("yes"))
    assert verdict.answer == said and verdict.passed == (said == "yes")
    assert (verdict.status is Status.UNPARSABLE) == (said is None)


def test_case_can_be_ignored_in_the_expression_and_in_the_answer() -> None:
    assert Pattern(ignore_case=True).grade("Color", task("colou?r")).passed
    assert Pattern("answer: (.*)", ignore_case=True).grade("Answer: YES", task("yes")).passed
    assert not Pattern("answer: (.*)").grade("answer: YES", task("yes")).passed


def test_validate_learns_from_the_example_what_passes() -> None:
    verifier = Pattern(r"Answer: (.*)", example="Answer: {answer}")
    assert verifier.grade(verifier.gold(task("a.b")), task("a.b")).passed
    assert not [text for text in verifier.wrong(task("a.b")) if verifier.grade(text, task("a.b")).passed]
    own = task(r"\d+", example="12")
    assert Pattern().grade(Pattern().gold(own), own).passed
    assert Pattern().wrong(task(".*")) == [] and Pattern().wrong(own) == [""]


def test_a_bad_pattern_is_refused_at_build_and_a_bad_answer_is_the_tasks_fault() -> None:
    with pytest.raises(InputError, match=r"verifier\.check\.pattern='\(' is no regular expression"):
        Pattern("(")
    with pytest.raises(InputError, match=r"verifier\.check\.anywhere=false"):
        Pattern("a", anywhere=True)
    with pytest.raises(ValueError, match="no regular expression"):
        Pattern().grade("a", task("("))


def test_an_expression_that_never_ends_is_a_failed_trial_and_the_next_text_is_graded() -> None:
    with VerifierPool(Pattern(), workers=1, deadline=3.0, memory_gib=1.0) as pool:
        bomb, fine = pool.grade([("a" * 60, task("(a+)+b")), ("aab", task("(a+)+b"))])
    assert bomb.status is Status.TIMEOUT and bomb.valid and not bomb.passed
    assert fine.passed
