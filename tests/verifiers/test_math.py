"""Equal answers pass however they are written; what only looks equal does not."""

from __future__ import annotations

import gzip
import json
import pickle
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rftlab.core import InputError, Status, Task
from rftlab.verifiers import formula
from rftlab.verifiers.maths import Maths
from rftlab.verifiers.pool import VerifierPool

MATHS = Maths()


def task(answer: str, **meta: object) -> Task:
    return Task("t", 0, (), answer, meta)


def passes(gold: str, said: str, **meta: object) -> bool:
    verdict = MATHS.grade(rf"So \boxed{{{said}}}.", task(gold, **meta))
    assert verdict.valid and verdict.score == float(verdict.passed)
    return verdict.passed


NUMBERS = [
    (r"\frac12", "0.5"),
    (r"\frac12", "1/2"),
    (r"-\frac12", r"\frac{-1}{2}"),
    (r"2\frac12", "2.5"),
    ("2.5", "2 1/2"),
    ("1,234", "1234"),
    ("1234", "1{,}234"),
    (r"11,\! 111,\! 100", "11111100"),
    ("10000", r"10\,000"),
    ("0.5", "50%"),
    ("50", r"50\%"),
    (r"12.5\%", "12.5"),
    ("4.5e33", r"4.5 \times 10^{33}"),
    ("10^{5}", "100000"),
    (r"\frac1{12}", "0.0833333333333333"),
    (r"\sqrt{17}", "4.123105625617661"),
    (r"\$18.90", r"18.9 \text{ dollars}"),
    (r"147\text{ cm}", "147"),
    ("147", r"147\,\mathrm{cm}^2"),
    ("147", "147 square units"),
    (r"90^\circ", "90 degrees"),
    ("x=5", "5"),
    ("5", "x = 2 + 3 = 5"),
    ("5", "2 + 3 = 5"),
    ("5", r"\angle ABC = 5"),
    ("5", "f^{\\prime}(3) = 5"),
    ("3.14", r"x = \frac{22}{7} \approx 3.14"),
    ("5", "5 times"),
    ("5", r"\frac{ 10 }{2}"),
    ("1.41421356", r"\sqrt{2}"),
    ("025", "25"),
    ("27.0", "27"),
]
FORMULAS = [
    (r"\frac{3\sqrt2}{2}", r"\frac{3}{\sqrt{2}}"),
    ("x^2+5x+4", "(x+4)(x+1)"),
    (r"\sec^2(y)", r"\tan^2(y)+1"),
    (r"\log\left(\frac{2007}{2006}\right)", r"\log 2007-\log 2006"),
    (r"1 - \frac{1}{\mathrm{e}}", "1-e^{-1}"),
    (r"\binom{2n}{n}", r"\frac{(2n)!}{n!n!}"),
    ("x^{1/2}", r"\sqrt{x}"),
    ("n", r"\frac{2n}{2}"),
    ("y=2x+3", "2x+3"),
    ("2RC+R+C", "R+C+2RC"),
    ("2x+4y-3=0", r"y=-\frac12x+\frac34"),
    ("x>3", r"(3,\infty)"),
    ("[-2,7)", r"-2 \le x < 7"),
    (r"\text{(E)}", r"\textbf{(E)}"),
    (r"\text{Tuesday}", "tuesday"),
    ("10001_2", r"10001_{\text{2}}"),
    (r"8\!:\!34\text{ p.m.}", "8:34 PM"),
]
STRUCTURES = [
    ("2,3", r"3 \text{ and } 2"),
    ("2,3", r"\{3,2\}"),
    ("16,3,1,1", "1,1,3,16"),
    (r"60^\circ, 120^\circ", "60,120"),
    (r"\pm 2", "2,-2"),
    (r"\frac{1\pm\sqrt5}{2}", r"\frac{1-\sqrt5}{2},\frac{1+\sqrt5}{2}"),
    ("(3,4)", "3,4"),
    ("x=1, y=2", "(1,2)"),
    (r"(1,\frac92)", r"\left( 1 , 4.5 \right)"),
    ("[1,2)", r"x \in [1,2)"),
    (r"(2,3)\cup(-\infty,1)", r"(-\infty,1)\cup(2,3)"),
    (r"\begin{pmatrix}1\\2\end{pmatrix}", r"\begin{bmatrix} 1 \\ \frac{4}{2}\end{bmatrix}"),
]


@pytest.mark.parametrize(("gold", "said"), NUMBERS + FORMULAS + STRUCTURES)
def test_what_means_the_same_passes(gold: str, said: str) -> None:
    assert passes(gold, said)


@pytest.mark.parametrize(
    ("gold", "said"),
    [
        # math-verify alone takes these for equal: small differences, lost letters, lost endings
        (r"\frac{1}{2004!}", r"\frac{1}{2006!}"),
        (r"\frac{1}{2^{99}}", r"\frac{1}{2^{98}}"),
        (r"\frac{x}{2^{99}}", r"\frac{x}{2^{98}}"),
        (r"\frac{2^{2005}+1}{3 \cdot 2^{2006}}", r"\frac{1}{3 \cdot 2^{2006}}"),
        ("0", "10^{-20}"),
        ("1e-7", "2e-7"),
        ("R+r", "2r"),
        ("2s", "2"),
        ("y'", "y"),
        ("12:00", "1:00"),
        (r"1, 2, \ldots, n", r"1, 3, 5, \ldots, 2n-1"),
        ("10001_2", "10001_3"),
        ("12", "1 2"),
        ("x^2+y^2=-1", "x^2+y^2=-2"),
        ("n=2, 3, 4", "n=1, 2, 3"),
        (r"\pm 2021", "2021"),
        ("1331, 1728", "1728"),
        # numbers
        ("5", "-5"),
        ("5", "5 million"),
        ("12", "12 bn"),
        ("5", "5 squared"),
        ("5", r"5 \text{ squared}"),
        ("5", "5 divided by 2"),
        ("5", "5 times 2"),
        # equations that end in the answer
        ("5", "4 = 5"),
        ("5", "x = 4 = 5"),
        ("5", "4 because x = 5"),
        ("10", "3 x+4 y=10"),
        ("0", r"\dot{x}+p x=0"),
        ("x = 5", "x = 4 = 5"),
        # still to be worked out
        ("9901", "99^2+99+1"),
        ("5", r"\sqrt{25}"),
        ("1024", "2^{10}"),
        ("120", "5!"),
        ("1", "1^{2^{235423523}}"),
        (".35", r"\frac{7}{2^2 \cdot 5}"),
        ("5", "5x"),
        ("0.5", "0.5%"),
        ("50%", "5000%"),
        ("3.4", "3,4"),
        (r"\frac13", "0.33"),
        (r"\sqrt{2}", "1.41"),
        ("10001_2", "17"),
        # formulas
        ("x^2+1", "x^2-1"),
        ("x", "y"),
        ("f(x)=x", "f(x)=2x"),
        ("2x+3=7", "2x+3=8"),
        ("x>3", "x<3"),
        ("x>3", r"x \ge 3"),
        ("[-2,7)", r"-2 \le x \le 7"),
        ("5", r"5 \text{ versus } 6"),
        ("3+4i", "3-4i"),
        (r"\text{(E)}", "D"),
        ("8:34 p.m.", "8:34 a.m."),
        # structure
        ("(1,2)", "(2,1)"),
        ("(1,2)", "[1,2]"),
        ("[1,2)", "(1,2)"),
        ("1:2", "2:1"),
        ("7", "7 or 8"),
        (r"\{1,2\}", r"\{1,3\}"),
        ("x=1, y=2", "x=2, y=1"),
        (r"(-\infty,1)\cup(2,3)", r"(-\infty,1)"),
        (r"\begin{pmatrix}1&2\\3&4\end{pmatrix}", r"\begin{pmatrix}1\\2\\3\\4\end{pmatrix}"),
    ],
)
def test_what_only_looks_the_same_does_not_pass(gold: str, said: str) -> None:
    assert not passes(gold, said)


def echoed(question: str, gold: str, said: str) -> bool:
    asked = Task("t", 0, ({"role": "user", "content": question},), gold)
    return MATHS.grade(rf"\boxed{{{said}}}", asked).passed


@pytest.mark.parametrize(
    ("question", "gold", "said"),
    [
        ("Factor $ab+5b+2a+10$.", "(a+5)(b+2)", "ab + 5b + 2a + 10"),
        (r"Simplify $f(x) = \dfrac{3}{\sqrt{27}}.$", r"\frac{\sqrt{3}}{3}", r"\frac{3}{\sqrt{27}}"),
        (r"Solve \[-4<x^{4}+4x^{2}<21.\]", r"(-\sqrt{3}, \sqrt{3})", "-4<x^{4}+4x^{2}<21"),
        (r"Reduce $\frac{10}{2}$", "5", r"\frac{10}{2}"),
    ],
)
def test_a_formula_of_the_question_is_no_answer_unless_the_gold_answer_is_spelt_like_it(
    question: str, gold: str, said: str
) -> None:
    assert passes(gold, said) and not echoed(question, gold, said), "it passes where it is not in the question"
    assert echoed(question, gold, gold) and echoed(f"{question} Is it ${gold}$?", gold, gold)
    asked = Task("t", 0, ({"role": "user", "content": question},), gold)
    misses = [
        text for text in MATHS.wrong(asked) if said.replace(" ", "") in text.replace(" ", "").replace("dfrac", "frac")
    ]
    assert misses and not any(MATHS.grade(text, asked).passed for text in misses)


def test_what_the_question_asks_for_may_stand_before_the_answer_and_numbers_of_the_question_may_be_right() -> None:
    assert echoed("Find $a+b$.", "12", "a + b = 12") and not echoed("Find $a$.", "12", "a + b = 12")
    assert echoed("Find the angles $A$ and $B$.", "A=90,B=90", "B = 90, A = 90")
    assert echoed(r"Is $\frac{1}{2}$ or $x = 5$ larger?", "0.5", r"\frac12")
    assert echoed("Is $x = 5$ or $x = 6$ larger?", "6", "x = 6")


def test_of_several_boxes_the_last_one_counts() -> None:
    assert not MATHS.grade(r"\boxed{5}, perhaps \boxed{6}", task("5")).passed
    assert MATHS.grade(r"\boxed{5}, perhaps \boxed{6}", task("6")).passed


def test_any_of_the_alternatives_of_a_gold_answer_passes() -> None:
    gold = r"\sqrt{8} \text{ OR } 2\sqrt{2} \text{ OR } 2.83"
    for said in (gold, r"2\sqrt{2}", "2.83"):
        assert passes(gold, said)
    assert not passes(gold, "2.84") and not passes(gold, r"\sqrt{2}")
    assert judged([gold]) == ([], [])


def test_without_an_answer_a_completion_is_unparsable_and_without_a_whole_gold_answer_it_is_the_graders_failure() -> (
    None
):
    for text in ("", "I do not know", r"\boxed{}", r"\boxed{" + "9" * 5000 + "}"):
        assert MATHS.grade(text, task("5")).status is Status.UNPARSABLE
    with pytest.raises(ValueError, match="empty"):
        MATHS.grade(r"\boxed{}", task(" "))
    with pytest.raises(ValueError, match="never closed"):
        MATHS.grade(r"\boxed{\frac{1}{2}}", task(r"\frac{1}{2"))
    assert passes(r"\{1, 2\}", r"\left\{ 2, 1 \right\}")


def test_a_tolerance_is_absolute_or_relative_and_a_task_may_bring_its_own() -> None:
    assert not passes("4.2", "4.25") and passes("4.2", "4.25", tolerance="1e-1")
    assert Maths(tolerance=0.1).grade(r"\boxed{\frac{43}{10}}", task("4.2")).passed
    assert Maths(relative=0.01).grade(r"\boxed{4.54e33}", task("4.5e33")).passed
    assert Maths(relative=0.01).grade(r"\boxed{1.42}", task(r"\sqrt{2}")).passed
    assert not Maths(relative=0.01).grade(r"\boxed{4.56e33}", task("4.5e33")).passed
    assert not Maths(relative=0.01).grade(r"\boxed{1.45}", task(r"\sqrt{2}")).passed


@pytest.mark.parametrize("said", [r"\infty", r"-\infty", "2^{5000}", "e^{1000}", "10^{10^3}", r"\frac{1}{0}"])
def test_a_value_beyond_all_floats_is_not_within_a_tolerance(said: str) -> None:
    assert not passes("0.5", said, tolerance=0.005)
    assert not passes(r"\sqrt{2}", said, tolerance=0.005)


@pytest.mark.parametrize("option", ["tolerance", "relative"])
@pytest.mark.parametrize("value", [-0.1, float("nan"), float("inf")])
def test_an_impossible_tolerance_is_refused(option: str, value: float) -> None:
    with pytest.raises(InputError, match=rf"verifier\.check\.{option}=0"):
        Maths(**{option: value})


@settings(max_examples=40)
@given(st.fractions(-1000, 1000, max_denominator=60), st.fractions(-1000, 1000, max_denominator=60))
def test_the_short_way_for_plain_numbers_agrees_with_math_verify(one: Fraction, other: Fraction) -> None:
    def latex(value: Fraction) -> str:
        return rf"{'-' if value < 0 else ''}\frac{{{abs(value.numerator)}}}{{{value.denominator}}}"

    for left, right in ((one, other), (one, one), (one, -one)):
        assert (
            formula.equal(latex(left), latex(right)) == formula.symbolic(latex(left), latex(right)) == (left == right)
        )
        assert formula.equal(latex(left), f"{float(right):.9f}") == formula.symbolic(latex(left), f"{float(right):.9f}")


@settings(max_examples=200)
@given(st.text(max_size=200) | st.text("\\{}()[]^_=<>,.:%$pm frac sqrt 0123 xyn!'", max_size=40))
def test_no_text_is_a_fault(text: str) -> None:
    for gold in ("5", r"\frac{\pi}{2}", "(1, 2)"):
        assert MATHS.grade(rf"\boxed{{{text}}}", task(gold)).valid
        assert MATHS.grade(text, task(gold)).valid


def test_an_expression_that_never_ends_is_the_candidates_failure_and_the_next_one_is_graded() -> None:
    items = [(rf"\boxed{{{said}}}", task(r"\sqrt{3}")) for said in ("9^{9^{9^9}}", r"3^{1/2}", "2")]
    with VerifierPool(MATHS, workers=1, deadline=4.0, memory_gib=2.0) as pool:
        bomb, right, wrong = pool.grade(items)
    assert bomb.status is Status.TIMEOUT and bomb.valid and not bomb.passed
    assert right.passed and wrong.status is Status.OK and not wrong.passed


def test_a_worker_is_ready_only_when_the_computer_algebra_is_loaded() -> None:
    formula.parsed.cache_clear()
    assert isinstance(pickle.loads(pickle.dumps(MATHS)), Maths)
    assert formula.parsed.cache_info().currsize == 2


def judged(answers: list[str]) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """(gold, completion) that should have passed, and that should not have."""
    refused, accepted = [], []
    for answer in answers:
        gold = task(answer)
        right, wrong = [MATHS.gold(gold), *MATHS.alike(gold)], MATHS.wrong(gold)
        assert len(right) > 3 and len(wrong) > 3
        refused += [(answer, text) for text in right if not MATHS.grade(text, gold).passed]
        accepted += [(answer, text) for text in wrong if MATHS.grade(text, gold).passed]
    return refused, accepted


def test_the_gold_answer_and_its_other_spellings_pass_and_no_near_miss_does() -> None:
    assert judged([gold for gold, _ in NUMBERS + FORMULAS + STRUCTURES]) == ([], [])


def test_math500_accepts_its_gold_answers_and_refuses_what_is_near_them(data: Path) -> None:
    lines = (data / "math-eval" / "math500.jsonl").read_text().splitlines()
    assert judged([json.loads(line)["answer"] for line in lines[::5]]) == ([], [])


def test_completions_of_a_real_model_are_judged_as_they_were_recorded(data: Path) -> None:
    """Of a 3B model on AIME 2024, every third: those recorded as right pass, and no other."""
    with gzip.open(data / "reasoning-gym-eval" / "llama3b_rl_step400_aime2024.json.gz") as file:
        results = [r for c in json.load(file)["categories"] for d in c["datasets"] for r in d["results"]]
    recorded = [(r["expected_answer"], c["full_model_response"], c["score"]) for r in results for c in r["completions"]]
    wrong = [text for gold, text, score in recorded[::3] if MATHS.grade(text, task(gold)).passed != (score == 1)]
    assert len(recorded) == 1500 and wrong == []
