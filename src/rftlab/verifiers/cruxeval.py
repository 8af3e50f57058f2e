"""The completion must say what a given call returns, or with what a given function returns a given value."""

from __future__ import annotations

import ast
from typing import Any

from rftlab.core import Status, Task, Verdict
from rftlab.sandbox.grading import UnitTests
from rftlab.verifiers.base import Verifier
from rftlab.verifiers.code import STATUS, Code
from rftlab.verifiers.fences import after_thoughts

MAX_LENGTH = 20_000
"""Characters of an answer."""
OPEN, CLOSE = "[ANSWER]", "[/ANSWER]"
ANSWER_CALL = "_answer_of_the_completion"
BROKEN = (SyntaxError, ValueError, TypeError, MemoryError, RecursionError)


class CruxEval(Verifier):
    """Compares what the completion says with what the program does. ``task.meta["mode"]`` chooses:

    output (default): the value of ``f(input)``, a Python literal, compared with ``==`` except that ``True`` is not 1;
    nothing is run.
    input: the arguments, Python literals with commas between them (or ``f(...)``), with which ``f`` returns the output:
    any that do. The program is run with them, in a sandbox. Where the task's own input is no literal, it alone may be
    given as it stands.

    The answer stands between the last [ANSWER] and [/ANSWER] after the thoughts (``</think>``), and may be written
    ``f(...) == value`` or ``assert f(...) == value``.

    Args:
        seconds: CPU time of one run of the program, and twice that by the clock.
        memory_gib: address space of each of its processes.
        isolation: as in ``rftlab.verifiers.code.Code``.
    """

    runs_candidate = True

    def __init__(self, seconds: float = 5.0, memory_gib: float = 1.0, isolation: str = "auto") -> None:
        self._code = Code(seconds, memory_gib, isolation)

    def limits(self, deadline: float, memory_gib: float | None) -> tuple[float, float | None]:
        return self._code.limits(deadline, memory_gib)

    def grade(self, text: str, task: Task) -> Verdict:
        said = answer_in(text)
        if not said:
            return Verdict(0.0, False, Status.UNPARSABLE)
        wanted = ast.literal_eval(str(task.meta["output"]))
        if task.meta.get("mode") == "input":
            return self._grade_input(said, task)
        try:
            passed = same(ast.literal_eval(right_side(said)), wanted)
        except BROKEN:
            return Verdict(0.0, False, Status.UNPARSABLE)
        return Verdict(float(passed), passed, answer=said)

    def _grade_input(self, said: str, task: Task) -> Verdict:
        try:
            call = call_of(said)
        except BROKEN:
            return Verdict(0.0, False, Status.UNPARSABLE)
        if not _literal(call) and ast.dump(call) != ast.dump(call_of(str(task.meta["input"]))):
            return Verdict(0.0, False, Status.UNPARSABLE)
        program = f"{task.meta['code']}\n\ndef {ANSWER_CALL}():\n    return {ast.unparse(call)}\n"
        tests = UnitTests(f"assert {ANSWER_CALL}() == {task.meta['output']}")
        outcome = self._code.sandbox.run_tests(program, tests)
        passed = outcome.kind == "passed"
        return Verdict(float(passed), passed, STATUS[outcome.kind], said)

    def gold(self, task: Task) -> str:
        return framed(f"f({task.meta['input']})" if task.meta.get("mode") == "input" else str(task.meta["output"]))

    def wrong(self, task: Task) -> list[str]:
        """For outputs: other values, no value. For inputs, where another may be right: calls that tamper instead of
        answering, and what is no call."""
        never = ["", framed(""), f"{OPEN}{'(' * 5000}", framed("f(")]
        if task.meta.get("mode") == "input":
            tamper = [
                "__import__('os')._exit(0)",
                f"globals().update(f=lambda *_: {task.meta['output']})",
                f"(lambda: {task.meta['output']})()",
                f"f(1) == {task.meta['output']} or True",
            ]
            return [*never, *map(framed, tamper)]
        gold = ast.literal_eval(str(task.meta["output"]))
        return [*never, *(framed(repr(value)) for value in _others(gold)), framed("f(1)"), framed("open")]

    def alike(self, task: Task) -> list[str]:
        """The answer as a call, as an assertion, in a code block, after another answer."""
        call, said = f"f({task.meta['input']})", str(task.meta["output"])
        if task.meta.get("mode") == "input":
            bare = [framed(str(task.meta["input"]))] if task.meta["input"] else []
            return [*bare, framed(f"assert {call} == {said}"), framed(f"```python\n{call}\n```")]
        return [
            framed(f"{call} == {said}"),
            framed(f"assert {call} == {said}"),
            framed(f"`{said}`"),
            f"{framed('0')} No: {OPEN}{said}",
        ]


def framed(answer: str) -> str:
    return f"{OPEN}{answer}{CLOSE}"


def answer_in(text: str) -> str:
    """What stands between the last [ANSWER] and [/ANSWER] after the thoughts, without the marks of a code block; "" if
    nothing does."""
    _, mark, after = after_thoughts(text).rpartition(OPEN)
    said = after.partition(CLOSE)[0].strip() if mark else ""
    if len(said) > MAX_LENGTH:
        return ""
    if said.startswith("```") and said.endswith("```") and "\n" in said:
        said = said.partition("\n")[2][:-3].strip()
    elif len(said) > 1 and said[0] == said[-1] == "`":
        said = said[1:-1]
    return said


def right_side(said: str) -> str:
    """The value that ``f(...) == value`` states; else ``said`` itself."""
    node = _expression(said)
    if isinstance(node, ast.Compare) and [type(op) for op in node.ops] == [ast.Eq]:
        return ast.unparse(node.comparators[0])
    return said


def call_of(said: str) -> ast.Call:
    """The call of ``f`` that is meant by ``1, 2``, ``f(1, 2)`` or ``f(1, 2) == 3``. ``SyntaxError`` if it is none."""
    try:
        node: Any = _expression(said)
    except SyntaxError:  # keyword arguments
        node = None
    if isinstance(node, ast.Compare):
        node = node.left
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "f":
        return node
    node = _expression(f"f({said})")
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):  # "1) + (2" closes the bracket itself
        raise SyntaxError("no arguments")
    return node


def same(one: Any, other: Any) -> bool:
    """Equality of literals in which True is not 1, at any depth; 1 and 1.0 are equal."""
    return bool(one == other and _marked(one) == _marked(other))


def _marked(value: Any) -> Any:
    """The value with every truth value made unlike any literal."""
    match value:
        case bool():
            return bool, value
        case dict():
            return {_marked(k): _marked(v) for k, v in value.items()}
        case list() | tuple() | set():
            return type(value)(map(_marked, value))
    return value


def _expression(text: str) -> ast.expr:
    return ast.parse(text.removeprefix("assert ").strip(), mode="eval").body


def _literal(call: ast.Call) -> bool:
    try:
        for node in [*call.args, *(keyword.value for keyword in call.keywords)]:
            ast.literal_eval(node)
    except BROKEN:
        return False
    return all(keyword.arg for keyword in call.keywords)


def _others(gold: Any) -> list[Any]:
    """Values near ``gold`` and not equal to it."""
    near: list[Any] = [None, [gold], (gold,), "" if gold != "" else "x"]
    if isinstance(gold, str):
        near += [gold + " ", gold[:-1], gold + "a", gold.swapcase()]
    elif isinstance(gold, bool):
        near += [not gold, int(gold), float(gold)]
    elif isinstance(gold, int | float):
        near += [gold + 1, gold - 1, -gold, str(gold), *([bool(gold)] if gold in (0, 1) else [])]
    elif isinstance(gold, list | tuple):
        near += [gold[:-1], gold[::-1], gold + type(gold)((0,)), tuple(gold) if isinstance(gold, list) else list(gold)]
    elif isinstance(gold, dict):
        near += [{**gold, "another": 0}, dict(list(gold.items())[1:]), list(gold.items())]
    return [value for value in near if not same(value, gold)]
