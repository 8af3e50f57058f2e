"""The right calls pass in every spelling and order; what BFCL's own check refuses does not."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rftlab.config import build_dataset, compose
from rftlab.core import InputError, Status, Task
from rftlab.validate import validate
from rftlab.verifiers.calls import Call, in_python, read_calls
from rftlab.verifiers.pool import VerifierPool
from rftlab.verifiers.tool_call import ToolCall

CHECK = ToolCall()


def task(*calls: dict[str, Any], **types: Any) -> Task:
    """A task whose functions all have arguments of these types."""
    names = {name for call in calls for name in call}
    properties = {name: kind if isinstance(kind, dict) else {"type": kind} for name, kind in types.items()}
    functions = [{"name": n, "parameters": {"type": "object", "properties": properties}} for n in names]
    return Task("t", 0, (), json.dumps(calls), {"functions": functions})


AREA = task({"area.of": {"base": [10], "unit": ["units", ""]}}, base="integer", unit="string")


@pytest.mark.parametrize(
    "text",
    [
        '[{"name": "area.of", "arguments": {"base": 10, "unit": "units"}}]',
        '{"name": "area.of", "arguments": {"base": 10}}',
        '{"name": "area.of", "parameters": {"base": 10}}',
        '{"type": "function", "function": {"name": "area.of", "arguments": "{\\"base\\": 10}"}}',
        '<tool_call>\n{"name": "area.of", "arguments": {"base": 10, "unit": "Units."}}\n</tool_call>',
        "[area.of(base=10, unit='UNITS')]",
        "area.of(base=10)",
        "```python\narea.of(base=10)\n```",
        "Let me see.\n\n[area.of(base=10)]",
        'The call:\n{"name": "area.of",\n "arguments": {"base": 10}}',
        "<think>area.of(base=7)</think>\narea.of(base=10)",
    ],
)
def test_every_spelling_of_a_call_passes(text: str) -> None:
    verdict = CHECK.grade(text, AREA)
    assert verdict.passed and verdict.score == 1.0 and verdict.status is Status.OK


@pytest.mark.parametrize(
    "text",
    [
        "area_of(base=10)",
        "area.of()",
        "area.of(base=11)",
        "area.of(base=-10)",
        "area.of(base='10')",
        "area.of(base=10.0)",
        "area.of(base=True)",
        "area.of(base=10, unit='m')",
        "area.of(base=10, colour='red')",
        "[area.of(base=10), area.of(base=10)]",
        "[]",
        '[{"name": "area.of", "arguments": {"base": 10}}, {"name": "area.of", "arguments": {"base": 10}}]',
        '<tool_call>{"name": "area.of", "arguments": {"base": 10}}</tool_call><tool_call>{"name": "x"}</tool_call>',
        '{"name": "rm", "arguments": {}}\n{"name": "area.of", "arguments": {"base": 10}}',
        'So:\n{"name": "rm"}\nand\n{"name": "area.of", "arguments": {"base": 10}}',
        '[{"name": "rm"}]\n[{"name": "area.of", "arguments": {"base": 10}}]',
        '```json\n{"name": "rm"}\n{"name": "area.of", "arguments": {"base": 10}}\n```',
        '{"name": "area.of", "arguments": {"base": 10}} rm(all=True)\nrm(all=True)',
        "So:\nrm(all=True)\nand\narea.of(base=10)",
    ],
)
def test_a_wrong_call_is_wrong_and_was_read(text: str) -> None:
    verdict = CHECK.grade(text, AREA)
    assert not verdict.passed and verdict.score == 0.0 and verdict.status is Status.OK


@pytest.mark.parametrize(
    "text",
    [
        "",
        "I cannot do that.",
        "area.of(10)",
        "area.of(base=5+5)",
        "area.of(base=ten)",
        "area.of(**{'base': 10})",
        "area.of(base=__import__('os').getpid())",
        "x = area.of(base=10)",
        '{"arguments": {"base": 10}}',
        '{"name": "area.of", "arguments": [10]}',
        '<tool_call>{"name": "area.of", "arguments": {"base": 10}</tool_call>',
        '{"name": "area.of", "arguments": {"base": NaN}}',
    ],
)
def test_what_is_no_call_with_constants_by_name_is_unparsable(text: str) -> None:
    assert CHECK.grade(text, AREA).status is Status.UNPARSABLE


@pytest.mark.parametrize(
    ("wanted", "kind", "right", "wrong"),
    [
        ([1.5, 2], "number", [1.5, 2, 2.0], [1, 2.5, True]),
        ([2], "integer", [2], [2.0, "2", True]),
        ([1], "boolean", [1], [True]),
        ([True], "boolean", [True], [1, "true"]),
        (["New York, NY"], "string", ["New York, NY", "new york ny", "NEW-YORK NY"], ["New York", "NYC", ""]),
        ([[1.0, 2.5]], {"type": "array", "items": {"type": "number"}}, [[1, 2.5]], [[2.5, 1], [1], [1, 2.5, 3], 1]),
        ([["a b", "c"]], {"type": "array", "items": {"type": "string"}}, [["A B", "c"]], [["c", "a b"], ["a b"]]),
        ([[]], "array", [[]], [[1], ""]),
        (
            [{"min": [1, 2], "max": [3], "unit": ["m", ""]}],
            "object",
            [{"min": 2, "max": 3}, {"max": 3, "min": 1, "unit": "M"}],
            [{"min": 3, "max": 3}, {"min": 1}, {"min": 1, "max": 3, "x": 1}, [1, 3]],
        ),
        ([[{"k": ["v", "w"]}]], "array", [[{"k": "W"}]], [[{"k": "x"}], [{}], [{"k": "v"}, {"k": "v"}]]),
        ([[["a"], ["b"]]], "array", [[["A"], ["b"]]], [[["b"], ["a"]]]),
        ([None], "number", [None], [0, "", False]),
    ],
)
def test_values_are_compared_by_type(wanted: list[Any], kind: Any, right: list[Any], wrong: list[Any]) -> None:
    asked = task({"f": {"x": wanted}}, x=kind)
    for said, passes in [*((v, True) for v in right), *((v, False) for v in wrong)]:
        for text in (json.dumps({"name": "f", "arguments": {"x": said}}), in_python([Call("f", {"x": said})])):
            assert CHECK.grade(text, asked).passed is passes, text


def test_an_argument_that_the_schema_requires_must_be_there_even_if_the_answer_would_let_it_go() -> None:
    functions = [{"name": "f", "parameters": {"properties": {"x": {"type": "integer"}}, "required": ["x"]}}]
    asked = Task("t", 0, (), json.dumps([{"f": {"x": [0, ""]}}]), {"functions": functions})
    assert CHECK.grade("f(x=0)", asked).passed and not CHECK.grade("f()", asked).passed
    assert not CHECK.grade("f(x='')", asked).passed
    assert CHECK.grade(CHECK.gold(asked), asked).passed


def test_parallel_calls_pass_in_any_order_each_used_once_and_matched_as_well_as_can_be() -> None:
    play = task({"play": {"who": ["A", "B"]}}, {"play": {"who": ["A"]}}, who="string")
    for text in ("[play(who='A'), play(who='B')]", "[play(who='B'), play(who='A')]", "[play(who='A'), play(who='A')]"):
        assert CHECK.grade(text, play).passed, text
    for between in ("\n", " ", ", ", "\n\n"):
        assert CHECK.grade(
            between.join(f'{{"name": "play", "arguments": {{"who": "{w}"}}}}' for w in "BA"), play
        ).passed
    for text in ("[play(who='B'), play(who='B')]", "[play(who='A')]", "[play(who='A'), play(who='B'), play(who='A')]"):
        assert not CHECK.grade(text, play).passed, text


arguments = st.dictionaries(
    st.sampled_from(["a", "b", "c_1"]),
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers()
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
        max_leaves=6,
    ),
)


@given(st.lists(st.builds(Call, st.sampled_from(["f", "m.g", "_x"]), arguments), min_size=1, max_size=3))
def test_what_is_written_in_python_or_json_is_read_back(calls: list[Call]) -> None:
    assert read_calls(in_python(calls)) == calls
    assert read_calls(json.dumps([{"name": c.name, "arguments": c.arguments} for c in calls])) == calls


@given(st.text(max_size=200) | st.text("[](){}f=1,'\"\\ \n", max_size=60))
def test_no_text_breaks_it(text: str) -> None:
    assert CHECK.grade(text, AREA).valid


@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "(",
        "{",
        "-",
        "f(",
        "f(a=",
        "[f(a=1),",
        '{"name":',
        "<tool_call>",
        "```",
        "lambda:",
        "\0",
        "\ud800",
        "9",
        "not ",
        "f(a=1)\n",
    ],
)
@pytest.mark.parametrize("size", [19_000, 200_000])
def test_no_long_text_breaks_it_or_takes_long(piece: str, size: int) -> None:
    started = time.process_time()
    assert CHECK.grade(piece * (size // len(piece)), AREA).valid
    assert time.process_time() - started < 3.0


@pytest.mark.parametrize("depth", [50, 500, 900, 950, 980, 1000, 5000])
def test_no_depth_and_no_size_of_a_number_breaks_it(depth: int) -> None:
    deep = '{"name": "area.of", "arguments": {"base": ' + "[" * depth + "]" * depth + "}}"
    for text in (deep, f"area.of(base={'[' * depth}{']' * depth})", f"area.of(base=0x{'F' * depth})"):
        verdict = CHECK.grade(text, AREA)
        assert verdict.valid and not verdict.passed


@pytest.mark.parametrize("answer", ["f(x=1)", "[]", '[{"f": {"x": 1}}]', '[{"f": {"x": []}}]', "{}", "5"])
def test_a_gold_answer_in_another_form_is_the_graders_failure(answer: str) -> None:
    with pytest.raises(ValueError, match="gold answer"):
        CHECK.grade("f(x=1)", Task("t", 0, (), answer))


def test_questions_are_joined_with_their_accepted_calls_and_defects_are_named(tmp_path: Path) -> None:
    question = {
        "id": "parallel_0",
        "question": [[{"role": "user", "content": "Add 1 and 2."}]],
        "function": [{"name": "add", "parameters": {"type": "dict", "properties": {"x": {"type": "float"}}}}],
    }
    questions = [question | {"id": f"parallel_{i}"} for i in range(3)] + [
        question | {"id": "parallel_3", "question": []}
    ]
    for i, each in enumerate(questions[:3]):
        each["question"] = [[{"role": "user", "content": f"Add {i}."}]]
    answers = [{"id": f"parallel_{i}", "ground_truth": [{"add": {"x": [1.5]}}]} for i in (0, 1, 3)]
    for name, rows in (("BFCL_v4_parallel.json", questions), ("BFCL_v4_parallel.possible_answer.json", answers)):
        (tmp_path / name).write_text("\n".join(map(json.dumps, rows)))
    with pytest.raises(InputError, match=r"parallel\.json:3 has no possible answer.*parallel\.json:4 has a 'question'"):
        load(tmp_path)
    found = load(tmp_path, bad_rows="skip")
    (first, *_) = [t for pool in found.pools().values() for t in pool.tasks if t.meta["id"] == "parallel_0"]
    assert first.meta["functions"][0]["parameters"]["type"] == "object" and found.eval.categories == ("parallel",)
    assert '"x": {"type": "number"}' in first.prompt[0]["content"] and first.prompt[0]["content"].startswith("Add 0.")
    assert CHECK.grade("add(x=1.5)", first).passed


def test_the_published_tasks_are_graded_as_they_should_be(data: Path) -> None:
    found = load(data / "bfcl")
    assert sum(len(pool) for pool in found.pools().values()) == 800
    assert found.train.categories == ("multiple", "parallel", "simple_python")
    with VerifierPool(CHECK, workers=1) as pool:
        report = validate(found, pool)
    assert report.ok, report.lines()


def load(path: Path, **options: Any) -> Any:
    overrides = [f"dataset.{key}={value}" for key, value in options.items()]
    return build_dataset(compose(["dataset=bfcl", f"dataset.path={path}", *overrides], verb="validate"))
