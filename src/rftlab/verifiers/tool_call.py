"""The completion must call the right functions with accepted arguments."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from keyword import iskeyword
from typing import Any

from rftlab.core import Status, Task, Verdict
from rftlab.verifiers import json_text
from rftlab.verifiers.base import Verifier
from rftlab.verifiers.calls import Call, NoCalls, in_python, read_calls

_IGNORED = re.compile(r"[ ,./\-_*^]")

Accepted = Mapping[str, Sequence[Any]]
"""Argument -> its accepted values; "" among them = may be left out."""


class ToolCall(Verifier):
    """Passes a completion whose calls are the expected ones, in any order, each used once.

    The answer is JSON as BFCL writes it: ``[{"f": {"a": [1], "unit": ["m", ""]}}]``, one object a call with the
    accepted values of every argument; "" = the argument may be left out. ``Task.meta["functions"]`` may hold the
    functions' JSON schemas: required arguments must then be there and ``number`` takes a whole number.

    What is accepted follows BFCL's check of syntax trees (ShishirPatil/gorilla, ``ast_checker.py``): no argument that
    is not listed; texts compared without case, spaces and ``, . / - _ * ^``; whole numbers for ``number`` and never the
    other way; true is not 1; lists in order. It differs where that check is narrow by accident: calls are matched as
    well as can be instead of greedily, texts inside nested lists and objects are normalised too, and a whole number
    stands for a ``number`` inside lists. And where it is wide: expressions, variables and arguments by position are no
    answer.
    """

    runs_candidate = True  # nothing is run, but a text that breaks the parser is the candidate's doing

    def grade(self, text: str, task: Task) -> Verdict:
        gold = _expected(task.answer)
        try:
            said = read_calls(text)
        except NoCalls:
            return Verdict(0.0, False, Status.UNPARSABLE)
        schemas = _schemas(task)
        passed = len(said) == len(gold) and _all_matched(
            [[fits(call, *each, schemas.get(each[0], {})) for each in gold] for call in said]
        )
        return Verdict(float(passed), passed, answer=json_text.shown([[c.name, c.arguments] for c in said]))

    def gold(self, task: Task) -> str:
        return _in_json(_chosen(task, 0))

    def alike(self, task: Task) -> list[str]:
        """Python, tags, OpenAI's form, a line for each, another order, the last accepted values, other capitals."""
        calls = _chosen(task, 0)
        texts = [
            "\n".join(f"<tool_call>\n{_in_json([call])[1:-1]}\n</tool_call>" for call in calls),
            json.dumps(
                [
                    {"type": "function", "function": {"name": c.name, "arguments": json.dumps(c.arguments)}}
                    for c in calls
                ]
            ),
            f"I call {len(calls)}:\n\n```json\n{_in_json(calls[::-1])}\n```",
            f"<think>f(a=1)</think>{_in_json(_chosen(task, -1))}",
            _in_json([Call(c.name, _swapped(c.arguments)) for c in calls]),
        ]
        texts += [between.join(_in_json([call])[1:-1] for call in calls) for between in ("\n", ",\n")]
        if not any(iskeyword(name) for call in calls for name in call.arguments):
            texts += [in_python(calls), "\n".join(in_python([call])[1:-1] for call in calls)]
        return texts

    def wrong(self, task: Task) -> list[str]:
        """Another function, a call too few or too many, each argument changed, dropped or made a text, one invented."""
        calls, gold, schemas = _chosen(task, 0), _expected(task.answer), _schemas(task)
        first, rest = calls[0], calls[1:]
        variants = [rest, [*calls, first], [Call(first.name + "_", first.arguments), *rest]]
        variants.append([Call(first.name, first.arguments | {"zz_unknown": 1}), *rest])
        for name, value in first.arguments.items():
            others = {k: v for k, v in first.arguments.items() if k != name}
            variants += [[Call(first.name, others | {name: changed}), *rest] for changed in _changed(value)]
            variants.append([Call(first.name, others), *rest])
        # What is left out by default, or is also accepted of this or another call, is no near miss.
        accepted = [(name, values, schemas.get(name, {})) for name, values in gold]
        misses = [v for v in variants[3:] if not any(fits(v[0], *each) for each in accepted)]
        other = _in_json([Call("delete_everything", {"sure": True})])[1:-1]
        right = _in_json(calls)
        return [
            *(_in_json(calls) for calls in [*variants[:3], *misses]),
            f"{other}\n{right}",
            f"[{other}]\n\n{right}",
            f"First {other} and then {right}.",
            f"delete_everything(sure=True)\n{right}",
            "",
            "[]",
            f"{first.name}(",
            in_python(calls)[:-2],
        ]


def fits(call: Call, name: str, accepted: Accepted, schema: Mapping[str, Any]) -> bool:
    """Whether a call is the expected one."""
    required = schema.get("required", ())
    nodes = schema.get("properties", {})
    return (
        call.name == name
        and all(arg in call.arguments for arg in required)
        and all(arg in call.arguments or "" in values for arg, values in accepted.items())
        and all(
            arg in accepted and any(_same(value, each, nodes.get(arg, {})) for each in accepted[arg])
            for arg, value in call.arguments.items()
        )
    )


def _same(value: Any, wanted: Any, schema: Mapping[str, Any]) -> bool:
    """Whether a value is an accepted one; ``schema`` is that of the argument or of the part of it."""
    match value, wanted:
        case (bool(), _) | (_, bool()) | (None, _) | (_, None):
            return value is wanted
        case int() | float(), int() | float():
            whole_wanted = isinstance(wanted, int) and schema.get("type") != "number"
            return value == wanted and (isinstance(value, int) or not whole_wanted)
        case str(), str():
            return _squeezed(value) == _squeezed(wanted) and (wanted != "" or schema.get("type", "string") == "string")
        case list(), list():
            items = schema.get("items", {})
            return len(value) == len(wanted) and all(_same(a, b, items) for a, b in zip(value, wanted, strict=True))
        case dict(), dict():
            parts = {"properties": schema.get("properties", {}), "required": schema.get("required", ())}
            return fits(Call("", value), "", {k: v if isinstance(v, list) else [v] for k, v in wanted.items()}, parts)
    return False


def _squeezed(text: str) -> str:
    return _IGNORED.sub("", text).lower().replace("'", '"')


def _all_matched(fit: list[list[bool]]) -> bool:
    """Whether every row can have a column of its own (Kuhn's augmenting paths)."""
    owner: dict[int, int] = {}

    def place(row: int, tried: set[int]) -> bool:
        for column, possible in enumerate(fit[row]):
            if possible and column not in tried:
                tried.add(column)
                if column not in owner or place(owner[column], tried):
                    owner[column] = row
                    return True
        return False

    return all(place(row, set()) for row in range(len(fit)))


@lru_cache(maxsize=4096)  # a gold answer is read once for each of its rollouts
def _expected(answer: str) -> list[tuple[str, Accepted]]:
    try:
        calls = [item for call in json.loads(answer) for item in call.items()]
        shaped = bool(calls) and all(isinstance(v, list) and v for _, args in calls for v in args.values())
    except (ValueError, AttributeError, TypeError):
        shaped = False
    if not shaped:
        raise ValueError(f"the gold answer {answer[:80]!r} is no JSON list of calls with lists of accepted values")
    return calls


def _schemas(task: Task) -> dict[str, Mapping[str, Any]]:
    return {f["name"]: f.get("parameters") or {} for f in task.meta.get("functions") or ()}


def _chosen(task: Task, which: int) -> list[Call]:
    """The calls with the first (0) or last (-1) accepted value of each argument, left out where "" is that value."""
    schemas = _schemas(task)
    return [
        Call(name, dict(_picked(accepted, which, schemas.get(name, {}).get("required", ()))))
        for name, accepted in _expected(task.answer)
    ]


def _picked(accepted: Accepted, which: int, required: Sequence[str] = ()) -> Iterator[tuple[str, Any]]:
    for name, values in accepted.items():
        given = [value for value in values if value != ""]
        if given and (values[which] != "" or name in required):
            yield name, _plain(given[which], which)


def _plain(value: Any, which: int) -> Any:
    """An accepted value with one choice for each of its parts: objects list the accepted values of their keys."""
    if isinstance(value, dict):
        return dict(_picked({k: v if isinstance(v, list) else [v] for k, v in value.items()}, which))
    return [_plain(each, which) for each in value] if isinstance(value, list) else value


def _changed(value: Any) -> list[Any]:
    """Values that are another one, and the same one as a text."""
    match value:
        case bool():
            return [not value, int(value), str(value)]
        case int() | float():
            return [value + 1, -value or 7, str(value)]
        case str():
            return [value + " zz", "zz", 7]
        case list():
            return [[*value, *(value[-1:] or [7])], value[:-1], value[::-1], str(value)]
        case dict():
            return [value | {"zz_unknown": 1}, dict(list(value.items())[1:]), str(value)]
    return ["zz"]


def _swapped(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _swapped(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_swapped(each) for each in value]
    return value.swapcase() if isinstance(value, str) and value.isascii() else value


def _in_json(calls: list[Call]) -> str:
    return json.dumps([{"name": c.name, "arguments": c.arguments} for c in calls])
