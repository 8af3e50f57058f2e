"""From the text of a completion to a program, and from a task to its tests."""

from __future__ import annotations

import ast
import builtins
import json
import re
from collections.abc import Collection, Mapping
from typing import Any

from rftlab.sandbox.grading import UnitTests

PYTHON = {"python", "python3", "py"}
_CALLED = re.compile(r"\b([^\W\d]\w*)\(")
_BINDING = re.compile(r"^(?:(?:async +)?def|class) +(\w+)|^(\w+) *(?::[^=\n]*)?=(?!=)", re.MULTILINE)


def program_in(text: str, starter: str = "", names: Collection[str] = ()) -> str | None:
    """The program that ``text`` offers; None if there is none.

    It is the last block between fences (``` or ~~~) that is marked as Python, else the last one without a mark. Where
    ``names`` are wanted, blocks that bind none of them do not count if another does: they show how to use it. A block
    that is never closed goes to the end of the text. With a ``starter`` (the head of a function, as in HumanEval) the
    program is the starter followed by the block, so a block may hold the body alone, or the whole function with the
    starter's imports left out; and a text without any fence counts if it continues the starter:

        starter "def f(x):\\n    '''Twice x.'''\\n" and text "    return 2 * x" -> the two together
        text "Sure:\\n```python\\ndef f(x): return 2 * x\\n```\\nf(2) is\\n```\\n4\\n```" -> the block marked python
        text "```python\\ndef f(x): return 2 * x\\n```\\n```python\\nprint(f(2))\\n```", names {"f"} -> the first block
        text "The answer is 4." -> None
    """
    marked, plain = _blocks(text)
    blocks = marked or plain
    binding = [each for each in blocks if _binds(each, names) or (starter and each[:1].isspace())]
    block = (binding or blocks)[-1] if blocks else None
    if block is None:
        continued = bool(starter) and bool(text.strip()) and text[:1].isspace() and _compiles(f"{starter}\n{text}")
        return f"{starter}\n{text}" if continued else None
    if not block.strip():
        return None
    return block if "from __future__" in block else f"{starter}\n{block}" if starter else block


def _binds(block: str, names: Collection[str]) -> bool:
    """Whether a line without indentation binds one of the names, as a function, a class or a value."""
    bound = (match.group(1) or match.group(2) for match in _BINDING.finditer(block))
    return any(name in names for name in bound)


def _blocks(text: str) -> tuple[list[str], list[str]]:
    """The fenced blocks marked as Python, and those without a mark."""
    marked: list[str] = []
    plain: list[str] = []
    fence, kept, lines = "", None, []
    for line in text.replace("\r\n", "\n").split("\n"):
        word = line.strip()
        if fence:
            if word == fence:
                if kept is not None:
                    kept.append("\n".join(lines))
                fence = ""
            else:
                lines.append(line)
        elif word[:3] in ("```", "~~~"):
            fence, mark = word[:3], word[3:].strip().lower()
            kept, lines = (marked if mark in PYTHON else None if mark else plain), []
    if fence and kept is not None:
        kept.append("\n".join(lines))
    return marked, plain


def _compiles(source: str) -> bool:
    try:
        compile(source, "<completion>", "exec", dont_inherit=True)
    except (SyntaxError, ValueError, MemoryError, RecursionError, OverflowError):
        return False
    return True


def defined_in(source: str) -> list[str]:
    """The functions and classes that a program defines at its top."""
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    return [node.name for node in ast.parse(source).body if isinstance(node, kinds)]


def reference(meta: Mapping[str, Any]) -> str | None:
    """The program that solves the task, where it is known."""
    if "canonical_solution" in meta:
        return f"{meta.get('starter', '')}{meta['canonical_solution']}"
    known = meta.get("code")
    return None if known is None else str(known)


def unit_tests(meta: Mapping[str, Any]) -> UnitTests | None:
    """The unit tests of a task, None if it has input and output instead. Layouts: HumanEval (test, entry_point,
    starter), MBPP (test_list, test_setup_code or test_imports), APPS and TACO with ``fn_name``."""
    if "test" in meta and "entry_point" in meta:
        name = str(meta["entry_point"])
        return UnitTests(f"{meta['test']}\ncheck({name})", str(meta.get("starter", "")), (name,))
    if "test_list" in meta:
        setup = [str(meta.get("test_setup_code") or ""), *map(str, meta.get("test_imports") or ())]
        known = reference(meta)
        # A task that asks for a function named sum means its own.
        shadows = tuple(name for name in defined_in(known) if hasattr(builtins, name)) if known else ()
        return UnitTests("\n".join(meta["test_list"]), "\n".join(setup), shadows)
    cases = _cases(meta)
    if name := cases.get("fn_name"):
        pairs = [[_arguments(a), _accepted(b)] for a, b in zip(cases["inputs"], cases["outputs"], strict=True)]
        return UnitTests(CALLS.format(name=name), values={"cases": pairs})
    return None


def names_wanted(meta: Mapping[str, Any]) -> set[str]:
    """What the unit tests call of a program, one of which it must define; empty for input and output."""
    tests = unit_tests(meta)
    if tests is None:
        return set()
    if name := meta.get("entry_point") or _cases(meta).get("fn_name"):
        return {str(name), "Solution"}
    called = set(_CALLED.findall(tests.source))
    known = reference(meta)
    return (called & set(defined_in(known)) if known else set()) or called


CALLS = """
def plain(value):
    return [plain(each) for each in value] if isinstance(value, (list, tuple)) else value

try:
    ask = Solution().{name}
except AttributeError:
    ask = {name}
for args, accepted in cases:
    assert plain(ask(*args)) in accepted
"""


def streams_of(meta: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a program reads and must print, case by case."""
    cases = _cases(meta)
    inputs, outputs = cases.get("inputs"), cases.get("outputs")
    if not inputs or len(inputs) != len(outputs or ()):
        raise ValueError(
            "the task has no tests: wanted test and entry_point, test_list, or inputs and outputs of one length"
        )
    return [(_text(a), _text(b)) for a, b in zip(inputs, outputs, strict=True)]


def _cases(meta: Mapping[str, Any]) -> Mapping[str, Any]:
    """inputs, outputs and fn_name, from the task or from its ``input_output``."""
    found = meta.get("input_output") or meta
    return json.loads(found) if isinstance(found, str) else found


def _arguments(given: Any) -> list[Any]:
    """A list of arguments, or a JSON text with one on each line."""
    return [json.loads(line) for line in given.splitlines() if line.strip()] if isinstance(given, str) else list(given)


def _accepted(given: Any) -> list[Any]:
    """The expected value; APPS wraps some in a list of one."""
    value = _json(given) if isinstance(given, str) else given
    return [value, value[0]] if isinstance(value, list) and len(value) == 1 else [value]


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _text(given: Any) -> str:
    return given if isinstance(given, str) else "\n".join(map(str, given))


def same_output(said: str, wanted: str, tolerance: float | None) -> bool:
    """Equal line by line and word by word, however they are spaced; ``tolerance`` = absolute or relative difference
    that two numbers may have, None = texts must be equal."""
    ours, theirs = _lines(said), _lines(wanted)
    if len(ours) != len(theirs):
        return False
    return all(
        len(a) == len(b) and all(x == y or _close(x, y, tolerance) for x, y in zip(a, b, strict=True))
        for a, b in zip(ours, theirs, strict=True)
    )


def _lines(text: str) -> list[list[str]]:
    lines = [line.split() for line in text.split("\n")]
    while lines and not lines[-1]:
        lines.pop()
    return lines


def _close(said: str, wanted: str, tolerance: float | None) -> bool:
    if tolerance is None or len(said) > 64 or len(wanted) > 64:
        return False
    try:
        a, b = float(said), float(wanted)
    except ValueError:
        return False
    return abs(a - b) <= tolerance * max(1.0, abs(b))
