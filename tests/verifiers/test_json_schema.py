"""Valid JSON passes, whatever stands around it; a schema's own faults are the grader's."""

from __future__ import annotations

import json
import socket
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rftlab.config import build_dataset, compose
from rftlab.core import Status, Task
from rftlab.validate import validate
from rftlab.verifiers.json_schema import JsonSchema, same
from rftlab.verifiers.pool import VerifierPool

CHECK = JsonSchema()
PERSON = {
    "type": "object",
    "properties": {
        "name": {"type": "string", "pattern": "^[A-Z]"},
        "age": {"type": "integer", "minimum": 0},
        "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "uniqueItems": True},
    },
    "required": ["name", "age"],
    "additionalProperties": False,
}
ADA = {"name": "Ada", "age": 36, "tags": ["a"]}


def task(answer: Any, schema: Any = None) -> Task:
    return Task("t", 0, (), json.dumps(answer), {} if schema is None else {"schema": schema})


@pytest.mark.parametrize(
    "text",
    [
        json.dumps(ADA),
        f"Sure:\n```json\n{json.dumps(ADA, indent=4)}\n```\nDone.",
        f"It is {json.dumps(ADA)}, as you can see.",
        f'First {{"name": 1}}, then {json.dumps(ADA)}',
        '{"age": 36.0, "tags": ["a"], "name": "\\u0041da"}',
        f"<think>```json\n{{}}\n```</think>{json.dumps(ADA)}",
    ],
)
def test_the_last_json_of_a_completion_counts(text: str) -> None:
    for schema in (PERSON, json.dumps(PERSON)):
        assert CHECK.grade(text, task(ADA, schema)).passed
    assert CHECK.grade(text, task(PERSON)).passed


@pytest.mark.parametrize(
    ("said", "valid"),
    [
        ({"name": "Bob", "age": 1}, True),
        ({"name": "bob", "age": 1}, False),
        ({"name": "Bob", "age": -1}, False),
        ({"name": "Bob", "age": True}, False),
        ({"name": "Bob", "age": "1"}, False),
        ({"name": "Bob"}, False),
        ({"name": "Bob", "age": 1, "zz": 1}, False),
        ({"name": "Bob", "age": 1, "tags": ["a", "a"]}, False),
        ([], False),
    ],
)
def test_without_an_instance_whatever_is_valid_passes_and_with_one_only_its_equal(said: Any, valid: bool) -> None:
    assert CHECK.grade(json.dumps(said), task(PERSON)).passed is valid
    assert JsonSchema(equal=False).grade(json.dumps(said), task(ADA, PERSON)).passed is valid
    assert not CHECK.grade(json.dumps(said), task(ADA, PERSON)).passed


@pytest.mark.parametrize("text", ["", "no", "```json\n```", "{'a': 1}", '{"a": NaN}', '{"a": 1', "9" * 5000])
def test_text_without_json_is_unparsable(text: str) -> None:
    assert CHECK.grade(text, task(True)).status is Status.UNPARSABLE


@given(st.text(max_size=200) | st.text('[]{}":,1 \n`', max_size=60))
def test_no_text_breaks_it(text: str) -> None:
    assert CHECK.grade(text, task(ADA, PERSON)).valid


@pytest.mark.parametrize("piece", ["[", '{"a":', "[1,", "```\n", "\0", "\ud800", "9", '"', "[]"])
def test_no_long_text_breaks_it_or_takes_long(piece: str) -> None:
    tree = {"$defs": {"t": {"type": "array", "items": {"$ref": "#/$defs/t"}}}, "$ref": "#/$defs/t"}
    started = time.process_time()
    for size in (500, 900, 200_000):
        assert CHECK.grade(piece * (size // len(piece)), task(tree)).valid
    assert CHECK.grade("[" * 900 + "]" * 900, task(tree)).valid
    assert time.process_time() - started < 5.0


@pytest.mark.parametrize("number", ["1" * 400, "1" * 4000, "1e999", "-1e999", "1e308", "5e-324"])
@pytest.mark.parametrize(
    "keyword", [{"multipleOf": 0.03}, {"multipleOf": 7}, {"maximum": 0.5}, {"type": "integer"}, {"enum": [0.1, 3]}]
)
def test_no_number_breaks_a_keyword(keyword: dict[str, Any], number: str) -> None:
    assert CHECK.grade(f'{{"n": {number}}}', task({"properties": {"n": keyword}})).valid


@pytest.mark.parametrize(
    ("answer", "meta"),
    [
        ('{"type": "objekt"}', {}),
        ("5", {}),
        ("not JSON", {"schema": PERSON}),
        ("{}", {"schema": "not JSON"}),
        ("{}", {"schema": {"$ref": "#/$defs/none"}}),
    ],
)
def test_a_schema_that_is_none_is_the_graders_failure(answer: str, meta: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        CHECK.grade("{}", Task("t", 0, (), answer, meta))


def test_a_remote_reference_is_never_fetched() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0.2)
        schema = {"$ref": f"http://127.0.0.1:{server.getsockname()[1]}/schema.json"}
        with pytest.raises(ValueError, match="not in it"):
            CHECK.grade("{}", task({}, schema))
        with pytest.raises(TimeoutError):
            server.accept()


def test_a_pattern_that_never_ends_is_a_failed_trial_not_a_fault() -> None:
    slow = task({"type": "string", "pattern": "^(a+)+$"})
    with VerifierPool(CHECK, workers=1, deadline=3.0) as pool:
        verdicts = pool.grade([('"aaa"', slow), ('"' + "a" * 60 + '!"', slow), ('"b"', slow)])
    assert [v.status for v in verdicts] == [Status.OK, Status.TIMEOUT, Status.OK]
    assert [v.passed for v in verdicts] == [True, False, False] and all(v.valid for v in verdicts)


values = st.recursive(
    st.none() | st.booleans() | st.integers(-99, 99) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(values)
def test_gold_and_alike_pass_and_no_near_miss_does(value: Any) -> None:
    for asked in (task(value, True), task(value, {"const": value}), task({"const": value, "examples": [value]})):
        assert all(CHECK.grade(text, asked).passed for text in [CHECK.gold(asked), *CHECK.alike(asked)])
        wrong = CHECK.wrong(asked)
        assert len(wrong) >= 5 and not [text for text in wrong if CHECK.grade(text, asked).passed]


@given(values)
def test_equality_is_that_of_json_schema(value: Any) -> None:
    assert same(value, json.loads(json.dumps(value)))
    assert not same(1, True) and not same(0, False) and same(1, 1.0) and not same([1], [True]) and not same("1", 1)


def test_a_file_of_tasks_with_schemas_is_validated(tmp_path: Path) -> None:
    rows = [{"prompt": f"Describe {n}.", "answer": json.dumps(ADA | {"age": n}), "schema": PERSON} for n in range(20)]
    (tmp_path / "tasks.jsonl").write_text("\n".join(map(json.dumps, rows)))
    overrides = ["dataset=file", f"dataset.path={tmp_path / 'tasks.jsonl'}", "verifier=json_schema"]
    found = build_dataset(compose(overrides, verb="validate"))
    with VerifierPool(CHECK, workers=1) as pool:
        report = validate(found, pool)
    assert report.ok, report.lines()
