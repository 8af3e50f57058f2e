"""One value has many spellings; all pass, and no other value does."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rftlab.core import InputError, Status, Task
from rftlab.verifiers.number import Number, final_number, parse_number

integers = st.integers(-(10**12), 10**12)
decimals = st.decimals(-(10**6), 10**6, allow_nan=False, allow_infinity=False, places=3)
frames = st.sampled_from(
    [
        "#### {}",
        "####{}",
        "We get 3 + 4 = 7 of 99.\n#### {}\n",
        "#### 1\nNo, wait.\n#### {} clips",
        r"Hence \boxed{{{}}} in 2 days.",
        r"\boxed{{1}} or rather $\boxed{{x = {}}}$",
        "The answer is {}.",
        "First 12, then 7, so **{}**",
        "4 * 5 - 3 = {}",
        "It is ${}",
        "In all {}%.",
    ]
)


def task(answer: object) -> Task:
    return Task("t", 0, (), str(answer))


def spellings(number: int) -> list[str]:
    sign, size = ("-" if number < 0 else ""), abs(number)
    return [
        f"{number}",
        f"{number}.0",
        f"{number:,}",
        f"{number:,}.00",
        f"{sign}00{size}",
        f"{number}e0",
        f"{sign or '+'}{size}",
        f"{number}".replace("-", "\u2212"),
        f"{number:,}".replace(",", "{,}"),
        f"{number}/1",
        f"{3 * number} / 3",
        rf"{sign}\frac{{{2 * size}}}{{2}}",
        rf"\dfrac{{{number}}}{{1}}",
    ]


@given(integers, frames, st.data())
def test_every_spelling_of_the_value_in_every_frame_passes(number: int, frame: str, data: st.DataObject) -> None:
    text = frame.format(data.draw(st.sampled_from(spellings(number))))
    verdict = Number().grade(text, task(number))
    assert verdict.passed and verdict.score == 1.0 and verdict.status is Status.OK, text


@given(integers, integers, frames, st.data())
def test_no_spelling_of_another_value_passes(gold: int, other: int, frame: str, data: st.DataObject) -> None:
    other += other == gold
    text = frame.format(data.draw(st.sampled_from(spellings(other))))
    verdict = Number().grade(text, task(gold))
    assert not verdict.passed and verdict.score == 0.0 and verdict.valid, text


@given(decimals, frames)
def test_decimals_are_compared_exactly(number: object, frame: str) -> None:
    text = frame.format(f"{number:f}")
    assert Number().grade(text, task(f"{number:f}")).passed
    assert not Number().grade(text + "1" if frame.endswith("{}") else frame.format(f"{number:f}1"), task(number)).passed


@given(st.fractions(max_denominator=1000))
def test_fractions_are_compared_exactly(value: Fraction) -> None:
    assert Number().grade(f"#### {value}", task(f"{value.numerator * 7}/{value.denominator * 7}")).passed
    assert not Number().grade(f"#### {value + Fraction(1, 10**9)}", task(value)).passed


@given(st.one_of(integers, decimals, st.fractions(max_denominator=99)), st.sampled_from([0.0, 0.01, 0.5, 3.0, 1000.0]))
def test_the_gold_completion_passes_and_no_near_miss_does(number: object, tolerance: float) -> None:
    verifier = Number(tolerance)
    gold = task(f"{number:f}" if not isinstance(number, int | Fraction) else number)
    assert verifier.grade(verifier.gold(gold), gold).passed
    assert [text for text in verifier.alike(gold) if not verifier.grade(text, gold).passed] == []
    misses = verifier.wrong(gold)
    assert len(misses) >= 4
    assert not [text for text in misses if verifier.grade(text, gold).passed]


@given(st.text(max_size=300))
def test_no_text_breaks_it(text: str) -> None:
    assert Number().grade(text, task(5)).valid


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("5-3", "3"),
        ("between 5 and -3", "-3"),
        ("x = - 7 or #### - 7", "-7"),
        ("#### 3 + 4 = 7 clips in 2 days", "7"),
        ("#### \nthe answer 12", "12"),
        ("#### 4 #### 5", "5"),
        (r"\boxed{4} and then 5", "4"),
        (r"#### 6, not \boxed{4}", "6"),
        # headings of Markdown
        ("#### Step 2: answer\nThe answer is \\boxed{42}.", "42"),
        ("#### 2. Conclusion\n**42**", "42"),
        ("#### 2) **Conclusion**\n42", "42"),
        ("#### 42\n\n#### Explanation: 6*7", "42"),
        ("#### 42\n\n#### Explanation: \n7", "42"),
        ("#### Step 1: 6*7\n\\boxed{42}\n", "42"),
        ("#### 6\nNo, \\boxed{7}", "7"),
        ("\\boxed{6} #### 7", "7"),
        ("#### The answer is: **42**\n", "42"),
        ("#### $42$ as 6 * 7", "$42"),
        # other numbers begin like this
        ("#### 3 1/2", None),
        ("#### 2^{10}", None),
        (r"#### 2\times 10^3", None),
        (r"#### $2 \cdot 10^3$", None),
        (r"\boxed{2^{10}}", None),
        (r"\boxed{x = 3 + 4}", None),
        ("#### 5 or 6", None),
        ("#### 5, 6", None),
        ("#### 12:30", None),
        # thoughts and tags
        ("<think>#### 42</think><answer>41</answer>", "41"),
        ("<think>42</think><answer></answer>", None),
        ("42</think>", None),
        ("<think>It is 42", None),
        ("#### 42 <answer>41</answer>", "41"),
        ("<answer>#### 41</answer>", "41"),
        (r"\boxed{\text{speed} = 1{,}200 \text{ km/h}^2}", "1,200"),
        (r"\boxed{7", "7"),
        ("1,2", "2"),
        ("12:30", "30"),
        ("costs $-5", "$-5"),
        ("costs -$5.50.", "-$5.50"),
        (".5", ".5"),
        ("1.5e3", "1.5e3"),
        ("3 / 4", "3 / 4"),
        ("٣", None),
        ("seven", None),
        ("", None),
        ("#### ", None),
        ("1/0", None),
        ("1e9999", None),
        ("9" * 301, None),
        ("8 and then " + "9" * 5000, None),
        (f"0.{'3' * 5000}", None),
        (f"1/{'7' * 5000}", None),
    ],
)
def test_what_is_read(text: str, read: str | None) -> None:
    found = final_number(text)
    assert (found and found[0]) == read
    verdict = Number().grade(text, task(1))
    assert (verdict.status is Status.UNPARSABLE) == (read is None) and verdict.answer == read and verdict.valid


@pytest.mark.parametrize(
    "piece",
    ["1", "1,111,", "1,111", "1.", "1/", "1e", "-", "$ ", "####", "#### 1\n", r"\boxed{", "{", "= ", r"\frac{1}"],
)
def test_time_is_linear_in_the_length_of_any_text(piece: str) -> None:
    started = time.process_time()
    Number().grade(piece * (200_000 // len(piece)), task(1))
    assert time.process_time() - started < 2.0  # quadratic would be minutes; linear is 0.1 s


@pytest.mark.parametrize(("answer", "value"), [("1,234", 1234), ("$18", 18), ("50%", 50), ("7.", 7), (" -3 ", -3)])
def test_gold_answers_may_be_dressed(answer: str, value: int) -> None:
    assert parse_number(answer) == value


@pytest.mark.parametrize("answer", ["eighteen", "3 or 4", "18 clips", "x", "1/0", ""])
def test_a_gold_answer_that_is_no_number_is_the_graders_failure_not_a_zero(answer: str) -> None:
    assert parse_number(answer) is None
    with pytest.raises(ValueError, match="not a number"):
        Number().grade("#### 5", task(answer))


def test_the_tolerance_is_absolute_and_its_bound_belongs_to_it() -> None:
    verifier = Number(tolerance=0.1)
    assert verifier.grade("10.1", task(10)).passed and verifier.grade("9.9", task(10)).passed
    assert not verifier.grade("10.1000001", task(10)).passed


@pytest.mark.parametrize("tolerance", [-0.1, float("nan"), float("inf")])
def test_an_impossible_tolerance_is_refused(tolerance: float) -> None:
    with pytest.raises(InputError, match=r"verifier\.check\.tolerance"):
        Number(tolerance)
