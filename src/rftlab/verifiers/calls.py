"""Function calls in completions: the spellings that models use, read as data and never run."""

from __future__ import annotations

import ast
import contextlib
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rftlab.verifiers import json_text
from rftlab.verifiers.fences import after_thoughts, blocks

MAX_CHARS = 20_000
"""A longer text is not read as Python: its parser is no match for a text that was made to be hard."""

MAX_BITS = 8192
"""Of an integer: hexadecimal ones escape the interpreter's own limit of 4,300 digits."""

CONSTANTS = {"true": True, "false": False, "null": None}


class NoCalls(ValueError):
    """The text holds no calls."""


@dataclass(frozen=True)
class Call:
    """A function's name and its arguments by name, JSON values."""

    name: str
    arguments: dict[str, Any]


def read_calls(text: str) -> list[Call]:
    """The calls of a completion, in order; ``NoCalls`` where there are none or they are garbled.

    In what follows ``</think>``: all ``<tool_call>`` tags (Hermes, Qwen), each with JSON in it; else the last fenced
    block or the whole text, if it is nothing but calls; else the last paragraph with calls in it: all of its JSON calls
    and all of its lines that are Python calls, for a call beside the right one is one too many. What an earlier block
    or paragraph says is taken back by a later one.

    Calls are JSON, ``{"name": ..., "arguments": {...}}``, one after another or in lists (also ``parameters``, arguments
    as JSON text, and OpenAI's ``{"type": "function", "function": {...}}``), or Python, ``f(a=1)`` or ``[f(a=1),
    g(b='x')]``, arguments by name and constants only.
    """
    text = after_thoughts(text)
    tagged = [piece.partition("</tool_call>")[0] for piece in text.split("<tool_call>")[1:]]
    if tagged:
        return [call for piece in tagged for call in _from_json(_parsed(piece))]
    for candidate in [*(content for _, content in blocks(text)[-1:]), text]:
        for read in (_from_values, _from_python):
            try:
                return read(candidate)
            except NoCalls:
                continue
    text = text[-MAX_CHARS:]
    for part in [*reversed(text.split("\n\n")), text]:  # the text: JSON with empty lines in it
        if calls := _among_words(part):
            return calls
    raise NoCalls("no calls")


def in_python(calls: list[Call]) -> str:
    """``[f(a=1), g(b='x')]``"""
    return "[" + ", ".join(f"{c.name}({', '.join(f'{k}={v!r}' for k, v in c.arguments.items())})" for c in calls) + "]"


def _from_values(text: str) -> list[Call]:
    try:
        return [call for value in json_text.values(text) for call in _from_json(value)]
    except json_text.NoJson as error:
        raise NoCalls(str(error)) from None


def _among_words(text: str) -> list[Call]:
    """The JSON calls of a text and those of its lines that are Python; [] = none."""
    found: list[Call] = []
    with contextlib.suppress(json_text.NoJson):
        for value in json_text.bracketed(text):
            with contextlib.suppress(NoCalls):
                found += _from_json(value)
    for line in text.split("\n"):
        if line.rstrip()[-1:] in (")", "]"):
            with contextlib.suppress(NoCalls):
                found += _from_python(line)
    return found


def _parsed(text: str) -> Any:
    try:
        return json_text.parse(text)
    except json_text.NoJson as error:
        raise NoCalls(str(error)) from None


def _from_json(value: Any) -> list[Call]:
    return [_call(each) for each in (value if isinstance(value, list) else [value])]


def _call(value: Any) -> Call:
    if isinstance(value, dict) and isinstance(value.get("function"), dict):
        value = value["function"]
    if not isinstance(value, dict) or not isinstance(value.get("name"), str):
        raise NoCalls("an object without a name")
    arguments = value.get("arguments", value.get("parameters", {}))
    if isinstance(arguments, str):
        arguments = _parsed(arguments)
    if not isinstance(arguments, dict):
        raise NoCalls("arguments that are no object")
    return Call(value["name"], arguments)


def _from_python(text: str) -> list[Call]:
    if len(text) > MAX_CHARS:
        raise NoCalls("too long to be read as Python")
    try:
        with warnings.catch_warnings(action="ignore"):  # of odd escapes: said to nobody
            statements = ast.parse(text.strip()).body
        calls = [call for statement in statements for call in _python_calls(statement)]
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:  # MemoryError: the parser's own stack
        raise NoCalls(f"{type(error).__name__}: {error}"[:200]) from None
    if not calls:
        raise NoCalls("no calls")
    return calls


def _python_calls(statement: ast.stmt) -> Iterator[Call]:
    if not isinstance(statement, ast.Expr):
        raise NoCalls("a statement that is no call")
    value = statement.value
    for node in value.elts if isinstance(value, ast.List | ast.Tuple) else [value]:
        if not isinstance(node, ast.Call) or node.args or not all(k.arg for k in node.keywords):
            raise NoCalls("no call with arguments by name")
        yield Call(ast.unparse(node.func), {str(k.arg): _constant(k.value) for k in node.keywords})


def _constant(node: ast.expr) -> Any:
    match node:
        case ast.Constant(value=int() as value) if value.bit_length() > MAX_BITS:
            raise NoCalls("an integer too large to be written in digits")
        case ast.Constant(value=str() | bool() | int() | float() | None as value):
            return value
        case ast.Name(id=name) if name in CONSTANTS:  # JSON's spelling
            return CONSTANTS[name]
        case ast.UnaryOp(op=ast.USub(), operand=ast.Constant(value=int() | float() as value)):
            return -value
        case ast.List() | ast.Tuple():
            return [_constant(each) for each in node.elts]
        case ast.Dict() if all(isinstance(k, ast.Constant) and isinstance(k.value, str) for k in node.keys):
            return {k.value: _constant(v) for k, v in zip(node.keys, node.values, strict=True)}  # type: ignore[union-attr]
    raise NoCalls("an argument that is no constant")
