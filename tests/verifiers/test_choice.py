"""One option has many dresses; all pass, and no other option, no two options and no article does."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rftlab.core import InputError, Status, Task
from rftlab.verifiers.choice import Choice

LETTERS = "ABCDE"
TEXTS = ["10 km", "12 km", "120 km", "no distance", r"$\frac{12}{5}$ km"]


def lettered(answer: str = "B", options: list[str] | None = None) -> Task:
    return Task("t", 0, (), answer, {"options": TEXTS if options is None else options})


def worded(answer: str, *options: str) -> Task:
    return Task("t", 0, (), answer, {"options": options})


def free(answer: str) -> Task:
    return Task("t", 0, (), answer)


@pytest.mark.parametrize("letter", LETTERS)
@pytest.mark.parametrize(
    "frame",
    [
        *("({})", "{}", "{}.", "**{}**", "**({})**", r"\boxed{{{}}}", r"\boxed{{\text{{({})}}}}", "#### {}"),
        *("answer is ({})", "The answer is: {}.", "**Answer:** {}", "Answer:\n\n({})", "<answer>{}</answer>"),
        *("The correct option is {} because the others fail.", "the best choice would be ({}).", "Option {}"),
        *(
            "First (A), then (E).\n\nSo option {}.",
            r"\boxed{{A}} no, \boxed{{{}}}",
            "The answer is A. Or: answer is {}",
        ),
        *("The answer is most likely {}.", r"Therefore the answer is $\boxed{{\textbf{{({})}}}}$.", "{})"),
    ],
)
def test_every_dress_of_the_letter_is_read(frame: str, letter: str) -> None:
    for answer in LETTERS:
        verdict = Choice().grade(frame.format(letter), lettered(answer))
        assert (verdict.answer, verdict.passed) == (letter, letter == answer)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("(b)", "B"),
        ("b", "B"),
        ("the answer is (a)", "A"),
        ("The answer is a", None),  # cut off before "a train"?
        ("The answer is A train", None),
        ("The answer is A because of that", "A"),
        ("The answer is A or B", "A, B"),
        ("The answer is (A) and (B)", "A, B"),
        ("The answer is B, not C", "B"),
        ("The answer is (B) because (A) is too short and (C) is too long.", "B"),
        ("The answer is (B). Option C is wrong.", "B"),
        ("The correct answer is B (13 km), not A.", "B"),
        ("The answer is (A) or (B)", "A, B"),
        ("The answer is A/B", "A, B"),
        ("The answer is (B) or not (C)", "B, C"),
        ("The answer is (B). No, (C).", "B, C"),
        ("The answer is (B). Option C is right.", "B, C"),
        ("The answer is (A) or (B) because (C) is too long", "A, B"),
        ("The answer is not (B) because (A) is it", None),
        ("So, (B)", "B"),
        ("<think>The answer is (B).</think>", None),
        ("<think>The answer is (B).</think> The answer is (C).", "C"),
        ("<think>The answer is (B).", None),
        ("The answer is not B", None),
        ("The answer isn't (B)", None),
        ("The answer is (G)", None),
        ("(F)", None),
        ("12 km", "B"),
        ("The answer is 12 KM.", "B"),
        ("(B) 12 km", "B"),
        ("B. 12 km", "B"),
        ("(B) 10 km", "A, B"),
        (r"The answer is \frac{12}{5} km", "E"),
        ("It takes 12 km.", None),  # no mark, and more than the option
        ("I would say so", None),
        ("A man walks", None),
        ("(B)\nI hope this helps you", None),
        ("The answer is", None),
        ("", None),
        ("(C)\n\n", "C"),
        ("The answer is E-mail", None),
        ("<answer>\n(D)\n</answer> as asked", "D"),
    ],
)
def test_what_is_read_of_a_statement(text: str, read: str | None) -> None:
    verdict = Choice().grade(text, lettered("B"))
    assert verdict.answer == read and verdict.passed == (read == "B")
    assert (verdict.status is Status.UNPARSABLE) == (read is None)


def test_the_text_of_two_options_alike_names_neither() -> None:
    task = lettered("A", ["0.15 J", "1 J", "0.15 J."])
    assert not Choice().grade("The answer is 0.15 J", task).passed
    assert Choice().grade("(A) 0.15 J", task).passed
    assert all(Choice().grade(text, task).passed for text in Choice().alike(task))


def test_money_in_formulas_is_one_text_in_every_dress() -> None:
    options = [r"$\$ 2.60$", r"$\$ 3.35$"]
    assert Choice().grade(r"The answer is $\$ 3.35$", lettered("B", options)).passed
    assert Choice().grade(r"(B) $\$ 2.60$", lettered("B", options)).answer == "A, B"


@pytest.mark.parametrize(
    ("answer", "options", "text", "passes"),
    [
        ("valid", ("valid", "invalid"), "So the answer is valid.", True),
        ("valid", ("valid", "invalid"), "So the answer is invalid.", False),
        ("invalid", ("valid", "invalid"), "Invalid", True),
        ("invalid", ("valid", "invalid"), "The argument is invalid", False),  # no mark
        ("valid", ("valid", "invalid"), "The answer is: not valid", False),
        ("Yes", ("Yes", "No"), "The answer is **yes**, it does.", True),
        ("Yes", ("Yes", "No"), "The answer is yes or no", False),
        ("Yes", ("Yes", "No"), "The answer is Yes, no doubt.", True),
        ("Yes", ("Yes", "No"), "The answer is Yes, no.", False),
        ("Yes", ("Yes", "No"), "Therefore, yes.", True),
        ("No", ("Yes", "No"), "Therefore, yes.", False),
        ("False", ("True", "False"), "#### false", True),
        ("False", ("True", "False"), "The answer is not (False)", False),
    ],
)
def test_options_that_are_words(answer: str, options: tuple[str, ...], text: str, passes: bool) -> None:
    assert Choice().grade(text, worded(answer, *options)).passed is passes


@pytest.mark.parametrize(
    ("answer", "text", "passes"),
    [
        ("24", "The answer is 24.", True),
        ("24", "#### 24.0", True),
        ("-8", "Answer: - 8", True),
        ("24", "The answer is 10 + 14 = 24.", True),
        ("24", "The answer is 10 + 15 = 25.", False),
        ("24", "The answer is 23 = 24.", False),
        ("yes", "Therefore, yes.", True),
        ("24", "The answer is 24 pears", False),
        ("24", "24", True),
        ("yes, no, unknown", "The answer is Yes,no,  unknown.", True),
        ("yes, no, unknown", "The answer is yes, unknown, no.", False),
        ("yes, no, unknown", "The answer is yes, no", False),
    ],
)
def test_free_answers_are_the_whole_statement(answer: str, text: str, passes: bool) -> None:
    assert Choice().grade(text, free(answer)).passed is passes


tasks = st.one_of(
    st.builds(lettered, st.sampled_from(LETTERS)),
    st.lists(st.text(min_size=1, max_size=30), min_size=2, max_size=26).map(lambda texts: lettered("B", texts)),
    st.sampled_from(["Yes", "No"]).map(lambda answer: worded(answer, "Yes", "No")),
    st.integers(-(10**6), 10**6).map(lambda number: free(str(number))),
    st.lists(st.sampled_from(["yes", "no", "unknown"]), min_size=2, max_size=4).map(lambda w: free(", ".join(w))),
    st.sampled_from(LETTERS).map(free),
)


@pytest.mark.parametrize("own", ["\\\t0", "\\*,0", "\\\\((0", "= 0"])
def test_an_options_text_is_read_alike_alone_and_behind_its_letter(own: str) -> None:
    for options, passes in (([*"12", own], False), (["1", own], True)):
        task = lettered("B", options)
        assert [Choice().grade(f"{said}{own}", task).passed for said in ("(B) ", "The answer is ")] == [passes] * 2


@given(tasks)
def test_gold_and_its_likes_pass_and_no_near_miss_does(task: Task) -> None:
    verifier = Choice()
    good = [verifier.gold(task), *verifier.alike(task)]
    assert not [text for text in good if not verifier.grade(text, task).passed]
    wrong = verifier.wrong(task)
    assert len(wrong) >= 4
    assert not [text for text in wrong if verifier.grade(text, task).passed]


@given(st.text(max_size=300), tasks)
def test_no_text_breaks_it(text: str, task: Task) -> None:
    assert Choice().grade(text, task).valid and Choice().grade(f"The answer is {text}", task).valid


@pytest.mark.parametrize(
    "piece", ["(", "A ", "answer is ", r"\boxed{", "<answer>", "####\n", "\0", "\ud800", "1", "- "]
)
def test_time_is_bounded_for_any_text(piece: str) -> None:
    for task in (lettered(), worded("Yes", "Yes", "No"), free("7")):
        started = time.process_time()
        assert Choice().grade(piece * (1_000_000 // len(piece)), task).valid
        assert time.process_time() - started < 3.0


@pytest.mark.parametrize("answer", ["H", "(H)", "12 miles"])
def test_an_answer_that_is_no_option_is_the_graders_failure(answer: str) -> None:
    with pytest.raises(ValueError, match="none of its 5 options"):
        Choice().grade("(B)", lettered(answer))


def test_letters_bound_tasks_without_a_list() -> None:
    assert Choice(letters=4).grade("(E)", free("A")).status is Status.UNPARSABLE
    assert Choice(letters=5).grade("(E)", free("E")).passed
    for wrong in (1, 27):
        with pytest.raises(InputError, match=r"verifier\.check\.letters"):
            Choice(letters=wrong)
