"""The answer is found where a completion states it, and nowhere else."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rftlab.verifiers.final import final_answer


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"\boxed{1} ... so \boxed{\frac{1}{2}}.", r"\frac{1}{2}"),
        (r"\fbox{3}", "3"),
        (r"\boxed 7 it is", "7"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"$\boxed{\text{Tuesday}}$", r"\text{Tuesday}"),
        ("\\boxed{4 + 5\nand more", "4 + 5"),
        (r"The answer is 5. \boxed{6} #### 7", "6"),
        (r"\boxed{5} or \boxed{}", None),
        ("#### 72 clips\nGood.", "72 clips"),
        ("The answer is 3.\n#### 4", "4"),
        ("The final answer is $3$ and $-1$. I hope it is correct.", "3 , -1"),
        (r"The final answer is: \(x = 2\)", "x = 2"),
        ("The answer is:\n$$\n5\n$$", "5"),
        ("**Answer:** Tuesday.", "Tuesday"),
        ("So the answer to the question is 12 cm.\nReally.", "12 cm"),
        ("the answer is the number $8$, as $2 + 6 = 8$", "8"),
        ("The answer is 3. No, the answer is 4.", "4"),
        ("Hence $x = 3$ as claimed.", "x = 3"),
        (r"First \[a\] and then \[b + 1\].", "b + 1"),
        ("which makes 12, 7 of them red", "7"),
        ("it costs $5", "$5"),
        ("so $\\frac{1}{115}$.</think>\n<answer>116</answer>", "116"),
        ("<answer>1</answer> or <answer>It is $x = 2$.</answer>", "x = 2"),
        (r"<answer>12, as \boxed{1} <answer>\boxed{2} cm</answer> \boxed{3}", "2"),
        ("<answer></answer> 5", None),
        ("The answer is 4.</think>The answer is 45 degrees.</b>", "45 degrees"),
        (r"\boxed{7}</think>", None),
        (r"<think>\boxed{7}", None),
        ("<answer>#### 5</answer>", "5"),
        ("<answer>The answer is 5</answer>", "5"),
        ("<answer>Step 1.\nThe final answer is $5$.</answer>", "5"),
        ("I do not know", None),
        ("", None),
    ],
)
def test_what_is_read(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


@given(st.text(max_size=300) | st.text("\\${}()[]#answerisboxed: 1\n", max_size=300))
def test_no_text_breaks_it(text: str) -> None:
    found = final_answer(text)
    assert found is None or found.strip()


@pytest.mark.parametrize(
    "piece",
    [
        "answer ",
        "answer is ",
        "answer:\n",
        "$",
        "$$",
        r"\[",
        r"\(",
        r"\boxed{",
        r"\boxed ",
        "####",
        "{",
        "}",
        "1, ",
        "and",
    ],
)
def test_time_is_linear_in_the_length_of_any_text(piece: str) -> None:
    started = time.process_time()
    final_answer(piece * (200_000 // len(piece)))
    assert time.process_time() - started < 2.0  # quadratic would be minutes; linear is 0.1 s
