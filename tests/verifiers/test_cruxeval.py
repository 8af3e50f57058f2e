"""Outputs are compared as values; inputs are any that work, if they are literals."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rftlab.core import Status, Task
from rftlab.verifiers.cruxeval import CruxEval
from rftlab.verifiers.pool import VerifierPool

CODE = "def f(a, b=1):\n    return [a, b] if a else {}"


def task(mode: str = "output", code: str = CODE, given: str = "'x', b=2", output: str = "['x', 2]") -> Task:
    return Task("t", 0, (), "", {"mode": mode, "code": code, "input": given, "output": output})


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool(CruxEval(seconds=30.0), workers=2, deadline=120.0, memory_gib=2.0) as shared:
        yield shared


@pytest.mark.parametrize(
    ("text", "passed"),
    [
        ("[ANSWER]['x', 2][/ANSWER]", True),
        ('[ANSWER] [ "x",2 ] ', True),
        ("[ANSWER]f('x', b=2) == ['x', 2][/ANSWER]", True),
        ("[ANSWER]1[/ANSWER] no, [ANSWER]\n```python\nassert f('x', b=2) == ['x', 2]\n```\n[/ANSWER]", True),
        ("[ANSWER]('x', 2)[/ANSWER]", False),
        ("[ANSWER]['x', '2'][/ANSWER]", False),
        ("[ANSWER]['x', 2][/ANSWER] no, [ANSWER]1[/ANSWER]", False),
        ("[ANSWER]1 == 1 == ['x', 2][/ANSWER]", False),
        ("<think>[ANSWER]1[/ANSWER]</think>[ANSWER]['x', 2][/ANSWER]", True),
        ("<think>[ANSWER]['x', 2][/ANSWER]</think>", False),
        ("<think>[ANSWER]['x', 2][/ANSWER]", False),
        ("['x', 2]", False),
    ],
)
def test_outputs(text: str, passed: bool) -> None:
    assert CruxEval().grade(text, task()).passed is passed


@pytest.mark.parametrize(
    ("output", "right", "wrong"),
    [
        ("True", ["True"], ["1", "1.0", "'True'"]),
        ("0", ["0", "0.0", "-0"], ["False"]),
        ("[(1, {2: True}), {0}]", ["[(1.0, {2: True}), {0}]"], ["[(True, {2: True}), {0}]", "[(1, {2: 1}), {False}]"]),
        ("{1: 2}", ["{1.0: 2}"], ["{True: 2}"]),
    ],
)
def test_truth_values_are_no_numbers(output: str, right: list[str], wrong: list[str]) -> None:
    for said, passed in [*((r, True) for r in right), *((w, False) for w in wrong)]:
        assert CruxEval().grade(f"[ANSWER]{said}[/ANSWER]", task(output=output)).passed is passed, said


@pytest.mark.parametrize(
    ("said", "passed"),
    [
        ("'x', 2", True),
        ("'x', b=2", True),
        ("f(b=2, a='x')", True),
        ("assert f('x', 2) == ['x', 2]", True),
        ("`f('x', 2)`", True),
        ("'x', 1 + 1", False),
        ("*'x', 2", False),
        ("**{'a': 'x', 'b': 2}", False),
        ("'y', 2", False),
        ("f(f('x'), 2)", False),
        ("g('x', 2)", False),
        ("'x', 2) or f(1", False),
        ("'x', (f := lambda *a: 5)", False),
        ("globals().update(f=lambda: ['x', 2])", False),
    ],
)
def test_inputs(said: str, passed: bool) -> None:
    verdict = CruxEval().grade(f"[ANSWER]{said}[/ANSWER]", task("input"))
    assert verdict.passed is passed and verdict.valid


def test_a_tasks_own_input_may_be_no_literal_and_is_run_all_the_same() -> None:
    own = task("input", "def f(g): return g(2)", "lambda x: x + 1", "3")
    verifier = CruxEval()
    assert verifier.grade("[ANSWER]f(lambda x: x+1)[/ANSWER]", own).passed
    assert not verifier.grade("[ANSWER]lambda x: 3[/ANSWER]", own).passed
    assert not verifier.grade(
        "[ANSWER]lambda x: x + 1[/ANSWER]", task("input", "def f(g): return 4", own.meta["input"])
    ).passed


def test_an_input_on_which_the_program_hangs_is_a_failed_trial() -> None:
    hangs = task("input", "def f(a):\n    while a: pass\n    return 1", "0", "1")
    verdict = CruxEval(seconds=2.0).grade("[ANSWER]1[/ANSWER]", hangs)
    assert verdict.status is Status.TIMEOUT and verdict.score == 0.0


@pytest.mark.parametrize("mode", ["output", "input"])
@pytest.mark.parametrize(("given", "output"), [("'x', b=2", "['x', 2]"), ("''", "{}"), ("0, 'b'", "{}")])
def test_gold_passes_as_does_what_is_alike_and_no_near_miss(
    pool: VerifierPool, mode: str, given: str, output: str
) -> None:
    one = task(mode, given=given, output=output)
    right = [pool.verifier.gold(one), *pool.verifier.alike(one)]
    wrong = pool.verifier.wrong(one)
    assert len(right) >= 3 and len(wrong) >= 6
    verdicts = pool.grade([(text, one) for text in [*right, *wrong]])
    assert [v.passed for v in verdicts] == [True] * len(right) + [False] * len(wrong)
    assert all(v.valid for v in verdicts)


@settings(max_examples=50)
@given(st.text(max_size=200))
def test_no_text_breaks_it(text: str) -> None:
    assert CruxEval().grade(f"[ANSWER]{text}", task()).valid


@pytest.mark.parametrize("mode", ["output", "input"])
@pytest.mark.parametrize("piece", ["[", "(", "-", "1", "\0", "\ud800", "[ANSWER]", "{[]:1}", "f(", "9**9**9,", "`"])
def test_no_long_text_breaks_it(mode: str, piece: str) -> None:
    started = time.process_time()
    for size in (15_000, 400_000):
        verdict = CruxEval().grade("[ANSWER]" + piece * (size // len(piece)), task(mode))
        assert verdict.valid and not verdict.passed
    assert time.process_time() - started < 3.0


def test_all_recorded_tasks_hold_as_outputs(data: object) -> None:
    import json
    from pathlib import Path

    lines = (Path(str(data)) / "cruxeval" / "cruxeval.jsonl").read_text().splitlines()
    tasks = [task("output", row["code"], row["input"], row["output"]) for row in map(json.loads, lines)]
    verifier = CruxEval()
    assert len(tasks) == 800
    assert all(verifier.grade(verifier.gold(each), each).passed for each in tasks)
    assert not [each for each in tasks for text in verifier.wrong(each) if verifier.grade(text, each).passed]
