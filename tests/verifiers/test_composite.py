"""The score is shaped, the accuracy is not."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rftlab.config import check, compose
from rftlab.core import InputError, Status, Task
from rftlab.verifiers.composite import Composite
from rftlab.verifiers.pool import VerifierPool, build_pool

NUMBER = {"_target_": "rftlab.verifiers.number.Number"}
EXACT = {"_target_": "rftlab.verifiers.exact.Exact"}
FORMAT = {"_target_": "rftlab.verifiers.format.Format"}
LENGTH = {"_target_": "rftlab.verifiers.length.Length", "max_chars": 100, "buffer_chars": 20}
TASK = Task("t", 0, (), "42")
SHAPED = "<think>…</think><answer>{}</answer>"


def composite(passed: Any = "answer", **parts: Any) -> Composite:
    return Composite(parts or {"answer": {"check": NUMBER}, "format": {"check": FORMAT, "weight": 0.25}}, passed)


@pytest.mark.parametrize(
    ("text", "score", "passed", "status"),
    [
        (SHAPED.format(42), 1.0, True, Status.OK),
        ("42", 0.8, True, Status.OK),
        (SHAPED.format(41), 0.2, False, Status.OK),
        (SHAPED.format("none"), 0.2, False, Status.UNPARSABLE),
        ("<think>#### 42</think><answer>41</answer>", 0.2, False, Status.OK),
        ("<think>42</think><answer></answer>", 0.2, False, Status.UNPARSABLE),
        ("<think>6 * 7</think> #### 42 <answer>41</answer>", 0.2, False, Status.OK),
        ("", 0.0, False, Status.UNPARSABLE),
    ],
)
def test_the_shape_pays_and_does_not_pass(text: str, score: float, passed: bool, status: Status) -> None:
    verdict = composite().grade(text, TASK)
    assert verdict.score == pytest.approx(score) and (verdict.passed, verdict.status) == (passed, status)


@given(st.lists(st.floats(0, 1e6), min_size=3, max_size=3).filter(lambda w: sum(w) > 0), st.text(max_size=80))
def test_the_score_stays_in_0_1_for_any_weights(weights: list[float], text: str) -> None:
    checks = (NUMBER, FORMAT, LENGTH)
    parts = {n: {"check": c, "weight": w} for n, c, w in zip("nfl", checks, weights, strict=True)}
    verdict = composite("n", **parts).grade(text, TASK)
    assert 0.0 <= verdict.score <= 1.0


def test_a_part_may_see_only_what_a_tag_holds() -> None:
    verifier = composite(answer={"check": EXACT, "within": "answer"}, format={"check": FORMAT})
    assert verifier.grade(SHAPED.format(" 42 "), TASK).passed
    assert verifier.grade("42", TASK).status is Status.UNPARSABLE
    assert verifier.trusted, "every part is a string comparison"
    assert not composite().trusted


def test_several_parts_can_decide_together() -> None:
    verifier = composite(["answer", "format"], answer={"check": NUMBER}, format={"check": FORMAT})
    assert verifier.grade(SHAPED.format(42), TASK).passed
    verdict = verifier.grade("42", TASK)
    assert (verdict.passed, verdict.status, verdict.score, verdict.answer) == (False, Status.UNPARSABLE, 0.5, None)


@pytest.mark.parametrize("answer", [NUMBER, EXACT | {"within": "answer"}], ids=["number", "exact"])
@pytest.mark.parametrize("shape", [{"format": {"check": FORMAT}}, {}, {"length": {"check": LENGTH}}])
def test_gold_is_dressed_for_all_parts_and_near_misses_do_not_pass(
    answer: dict[str, Any], shape: dict[str, Any]
) -> None:
    node = {"check": {k: v for k, v in answer.items() if k != "within"}, "within": answer.get("within")}
    verifier = composite(answer=node, **shape)
    verdict = verifier.grade(verifier.gold(TASK), TASK)
    assert verdict.passed and verdict.score == 1.0
    misses = verifier.wrong(TASK)
    assert len(misses) > 5 and not [text for text in misses if verifier.grade(text, TASK).passed]
    assert all(verifier.grade(text, TASK).passed for text in verifier.alike(TASK))


def test_every_spelling_of_an_answer_in_mathematics_passes_in_the_tag() -> None:
    maths = {"_target_": "rftlab.verifiers.maths.Maths"}
    verifier = composite(answer={"check": maths}, format={"check": FORMAT})
    task = Task("t", 0, (), r"\frac{1}{2}")
    assert [text for text in verifier.alike(task) if not verifier.grade(text, task).passed] == []
    assert [text for text in verifier.wrong(task) if verifier.grade(text, task).passed] == []


def test_a_part_that_fails_as_a_grader_makes_the_whole_a_fault() -> None:
    unreadable = Task("t", 0, (), "forty-two")
    with VerifierPool(composite(), workers=1) as pool:
        (verdict,) = pool.grade([(SHAPED.format(42), unreadable)])
    assert verdict.status is Status.FAULT and "not a number" in pool.reasons[0]


def test_the_shipped_preset_trains_and_takes_parts_by_name() -> None:
    with build_pool(compose(["verifier=composite"]).verifier) as pool:
        (verdict,) = pool.grade([(SHAPED.format(42), TASK)])
        assert verdict.passed and verdict.score == 1.0
        (verdict,) = pool.grade([("42", TASK)])
        assert verdict.passed and verdict.score == pytest.approx(1 / 1.2)
    overrides = ["verifier=composite", "verifier@verifier.check.parts.answer=exact"]
    overrides += ["+verifier@verifier.check.parts.length=length", "+verifier.check.parts.length.weight=0.5"]
    cfg = compose([*overrides, "verifier.check.parts.answer.within=answer"])
    check(cfg)
    with build_pool(cfg.verifier) as pool:
        assert [v.passed for v in pool.grade([(SHAPED.format(42), TASK), (SHAPED.format(43), TASK)])] == [True, False]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("verifier.check.passed=shape", "one of the parts answer, format"),
        ("verifier.check.passed=[]", "one of the parts"),
        ("+verifier.check.parts.format.wait=2", "parts.format.wait: no such key"),
        ("verifier.check.parts.format.weight=-1", "parts.format.weight=-1"),
        ("verifier.check.parts.answer.within=3", "parts.answer.within=3"),
        ("+verifier.check.parts.answer.check.tolerence=1", "did you mean verifier.check.parts.answer.check.tolerance"),
        ("verifier.check.parts.answer.check.tolerance=-1", "tolerance"),
        ("verifier.check.parts.format.check=null", "parts.format.check has no _target_"),
    ],
)
def test_what_is_wrong_with_a_part_is_one_line_that_names_it(override: str, says: str) -> None:
    with pytest.raises(InputError) as refused:
        build_pool(compose(["verifier=composite", override]).verifier)
    assert says in str(refused.value) and "\n" not in str(refused.value)


def test_weights_that_are_all_zero_are_refused() -> None:
    with pytest.raises(InputError, match=r"weight=1"):
        composite(answer={"check": NUMBER, "weight": 0})
