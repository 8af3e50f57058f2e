"""JSON in completions: strict reading that no text can break."""

from __future__ import annotations

import json
import re
from typing import Any, NoReturn

from rftlab.verifiers.fences import after_thoughts, blocks

MAX_CHARS = 20_000
"""Of a longer text only so many characters at its end are searched: a search tries every bracket."""

_BRACKET = re.compile(r"[{\[]")
_BETWEEN = re.compile(r"[\s,]*")


class NoJson(ValueError):
    """The text holds no JSON."""


def parse(text: str) -> Any:
    """The value of a text that is JSON and nothing else; ``NoJson`` otherwise.

    NaN and Infinity are no JSON. Nesting deeper than the interpreter goes and integers of over 4,300 digits are none
    here.
    """
    try:
        return json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise NoJson(str(error)[:200]) from None


def values(text: str) -> list[Any]:
    """The values of a text that is JSON values with white space or commas between them, at least one; ``NoJson``
    otherwise."""
    decoder, found, at = json.JSONDecoder(parse_constant=_refuse), [], 0
    text = text.strip()
    try:
        while at < len(text):
            value, at = decoder.raw_decode(text, at)
            found.append(value)
            at = _BETWEEN.match(text, at).end()  # type: ignore[union-attr]
    except (ValueError, RecursionError) as error:
        raise NoJson(str(error)[:200]) from None
    if not found:
        raise NoJson("nothing")
    return found


def last(text: str) -> Any:
    """The last JSON of a completion: its last fenced block, else the whole text, else its last object or list.

    What stands before ``</think>`` is not read. ``NoJson`` where there is none.
    """
    text = after_thoughts(text)
    for candidate in [*(content for _, content in blocks(text)[-1:]), text]:
        try:
            return parse(candidate)
        except NoJson:
            continue
    return bracketed(text)[-1]


def shown(value: Any, limit: int = 500) -> str:
    """A value as JSON, cut to ``limit`` characters, for a verdict."""
    try:
        return json.dumps(value)[:limit]
    except RecursionError:  # nested as deep as can be read is too deep to be written
        return f"{type(value).__name__}, nested too deep to be shown"


def bracketed(text: str) -> list[Any]:
    """All objects and lists of a text that stand in no other, in order, at least one; ``NoJson`` otherwise. Of a long
    text its end is searched."""
    text = text[-MAX_CHARS:]
    decoder = json.JSONDecoder(parse_constant=_refuse)
    found: list[Any] = []
    bracket = _BRACKET.search(text)
    while bracket:
        end = bracket.end()
        try:
            value, end = decoder.raw_decode(text, bracket.start())
            found.append(value)
        except ValueError:
            pass
        except RecursionError:  # the brackets behind it are as deep: trying each would take a second
            raise NoJson("nested too deep") from None
        bracket = _BRACKET.search(text, end)
    if not found:
        raise NoJson("no object and no list")
    return found


def _refuse(constant: str) -> NoReturn:
    raise NoJson(f"{constant} is no JSON")
