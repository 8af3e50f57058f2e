"""Which part of a completion is the program, and what its tests are, in every layout."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from rftlab.verifiers.program import names_wanted, program_in, same_output, streams_of, unit_tests

STARTER = "from typing import List\n\ndef f(x: List[int]):\n    '''Twice.'''\n"


@pytest.mark.parametrize(
    ("text", "program"),
    [
        ("```python\na\n```", "a"),
        ("```\na\n```", "a"),
        ("~~~py\na\n~~~\nwhich", "a"),
        ("```python\r\na\r\nb\r\n```", "a\nb"),
        ("one\n```python\na\n```\ntwo\n```python\nb\n```", "b"),
        ("```python\na\n```\nprints\n```\n4\n```", "a"),
        ("```python\na\n```\nrun it:\n```bash\nls\n```", "a"),
        ("```\na\n```\n```text\nb\n```", "a"),
        ("  ```python\n  a\n  ```", "  a"),
        ("```python\na", "a"),
        ("~~~python\nx = '''\n```\n'''\n~~~", "x = '''\n```\n'''"),
        ("```python\n```", None),
        ("```python\n \n```", None),
        ("```bash\nls\n```", None),
        ("a = 1", None),
        ("", None),
        ("```", None),
    ],
)
def test_the_last_block_marked_python_or_else_unmarked(text: str, program: str | None) -> None:
    assert program_in(text) == program


def test_a_starter_is_continued_by_a_block_or_by_the_bare_text() -> None:
    body = "    return [2 * i for i in x]"
    for text in (f"```python\n{body}\n```", body, f"```\ndef f(x: List[int]):\n{body}\n```"):
        names: dict[str, object] = {}
        exec(program_in(text, STARTER) or "", names)
        assert names["f"]([1, 2]) == [2, 4]  # type: ignore[operator]
    for text in ("", "\n", "The answer is 4.", "return x", "    no code here"):
        assert program_in(text, STARTER) is None, text
    future = "```python\nfrom __future__ import annotations\ndef f(x): return x\n```"
    assert (program_in(future, STARTER) or "").startswith("from __future__")


@pytest.mark.parametrize("head", ["def f(x):", "async def f(x):", "class f:", "f = 1", "f: int = 1"])
def test_a_block_that_only_uses_the_program_is_not_the_program(head: str) -> None:
    program = f"import math\n{head}"
    use = "```python\nx = f(2)\nassert f == 2\nprint(f=1)\n```"
    text = f"```python\ndef f(): old\n```\n```python\n{program}\n```\nUse:\n{use}"
    assert program_in(text, names=["f", "g"]) == program
    assert program_in(text, names=["h"]) == program_in(text) == use[10:-4]
    body = "    return 2"
    assert program_in(f"```python\n{program}\n```\n```python\n{body}\n```", STARTER, ["f"]) == f"{STARTER}\n{body}"


@pytest.mark.parametrize(
    ("meta", "names"),
    [
        ({"test": "def check(c):\n    assert c(1)", "entry_point": "f"}, {"f", "Solution"}),
        ({"test_list": ["assert set(f(1)) == {2}"], "code": "def g(): pass\ndef f(x): pass"}, {"f"}),
        ({"test_list": ["assert set(f(1)) == {2}"]}, {"set", "f"}),
        ({"test_list": ["assert f(1)"], "code": "f = lambda x: x"}, {"f"}),
        ({"inputs": [[1]], "outputs": [1], "fn_name": "f"}, {"f", "Solution"}),
        ({"inputs": ["1"], "outputs": ["1"]}, set()),
    ],
)
def test_the_names_that_tests_call(meta: dict[str, Any], names: set[str]) -> None:
    assert names_wanted(meta) == names


@pytest.mark.parametrize("piece", ["```", "```python\n", "~~~\n", "(", "\0", "\ud800", "    x\n", "`", "\r", "\\"])
def test_no_text_breaks_it_and_time_is_linear(piece: str) -> None:
    started = time.process_time()
    program_in(piece * (200_000 // len(piece)))
    program_in("    " + piece * (20_000 // len(piece)), STARTER)
    assert time.process_time() - started < 3.0


def test_unit_tests_of_the_known_layouts() -> None:
    humaneval = unit_tests({"test": "def check(c):\n    assert c(1)", "entry_point": "f", "starter": STARTER})
    assert humaneval and humaneval.source.endswith("check(f)") and humaneval.remote == ("f",)
    mbpp = unit_tests(
        {"test_list": ["assert sum(1) == 1"], "code": "def sum(x): return x", "test_imports": ["import re"]}
    )
    assert mbpp and mbpp.remote == ("sum",) and "import re" in mbpp.setup
    apps = {"fn_name": "f", "inputs": [[1, 2], "3\n[4]"], "outputs": [3, "[7]"]}
    for meta in (apps, {"input_output": json.dumps(apps)}):
        found = unit_tests(meta)
        assert found and found.values == {"cases": [[[1, 2], [3]], [[3, [4]], [[7], 7]]]}
    assert unit_tests({"inputs": ["1"], "outputs": ["2"]}) is None


def test_input_and_output_of_the_known_layouts() -> None:
    assert streams_of({"inputs": ["1 2", ["a", "b"]], "outputs": ["3", ["c", 4]]}) == [("1 2", "3"), ("a\nb", "c\n4")]
    for meta in ({}, {"inputs": [], "outputs": []}, {"inputs": ["1"], "outputs": []}):
        with pytest.raises(ValueError, match="no tests"):
            streams_of(meta)


@pytest.mark.parametrize(
    ("said", "wanted", "tolerance", "same"),
    [
        ("1 2\n", "1  2", None, True),
        ("1 \n2\n\n", "1\n2", None, True),
        ("1 2", "1\n2", None, False),
        ("1", "1.0", None, False),
        ("1", "1.0", 0.0, True),
        ("0.3333333", "0.33333334", 1e-6, True),
        ("1000001", "1000000", 1e-5, True),
        ("1.1", "1", 0.05, False),
        ("nan", "1", 0.5, False),
        ("a", "b", 1.0, False),
        ("", "1", 1.0, False),
        ("1\n\n2", "1\n2", None, False),
    ],
)
def test_outputs_are_compared_line_by_line_and_word_by_word(
    said: str, wanted: str, tolerance: float | None, same: bool
) -> None:
    assert same_output(said, wanted, tolerance) is same
