r"""Written mathematics as a tree: lists, tuples, intervals, sets, matrices, and formulas at the leaves.

The structure is read here and not by a computer algebra system, because there ``(1, 2)`` is an interval or a point by
turns, and a set may stand for a list. Nothing is evaluated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

_SIZES = [
    "hundred",
    "thousand",
    "million",
    "billion",
    "trillion",
    "lakh",
    "crore",
    "bn",
    "mn",
    "tn",
    "dozen",
    "percent",
    "am",
]
_OPERATIONS = [
    "pm",
    "squared",
    "cubed",
    "divided",
    "multiplied",
    "times",
    "minus",
    "plus",
    "over",
    "mod",
    "choose",
    "factorial",
    "versus",
]
NO_UNITS = frozenset([*_SIZES, *_OPERATIONS])
"""Words that change what stands before them."""
DEPTH = 12
"""Brackets within brackets; what is nested deeper stays as it is written."""

LIST, PLUS_MINUS = "list", "\\pm"

# Each spelling, and the one that is kept. Patterns are bounded or unambiguous.
_SPELLINGS = [
    (re.compile(pattern), kept)
    for pattern, kept in (
        (r"\\(?:left|right|[bB]igg?[lr]?)(?![a-zA-Z])\.?", ""),
        (r"(?<!\\)\\[()\[\]]", " "),
        (r"\\(?:displaystyle|textstyle|limits)(?![a-zA-Z])", ""),
        (r"(?<=[0-9])(?:\\,|\\!|\{,\}|~|\\ )(?=[0-9]{3}(?![0-9]))", ""),
        (r"(?<=[0-9]),\\! (?=[0-9]{3})", ","),
        (r"\\!|\\\$|\$|\{\}", ""),
        (r"\{,\}", ","),
        (r"(?<!\\)\\[,;:> ]|~|\\q?quad(?![a-zA-Z])|[\s\u00a0\u2009\u202f]+", " "),
        (r"\\[dtc]frac(?![a-zA-Z])", r"\\frac"),
        (r"\\(?:mbox|text(?:bf|it|rm|normal|sf)|mathrm|mathbf|operatorname|rm)(?=\s*\{)", r"\\text"),
        (r"\\text\s*\{\s*([eid])\s*\}", r"\1"),
        (r"\{\s*\\(?:rm|text) +([^{}]{0,200})\}", r"\\text{\1}"),
        (r"\\text\s*\{\s*(,?\s*(?:and|or)\s*,?)\s*\}|,?(?<![a-zA-Z\\])(?:and|or)(?![a-zA-Z])", ","),
        (r"\\leqslant|\\leqq?(?![a-zA-Z])|<=|≤", r"\\le "),
        (r"\\geqslant|\\geqq?(?![a-zA-Z])|>=|≥", r"\\ge "),
        (r"\\lt(?![a-zA-Z])", "<"),
        (r"\\gt(?![a-zA-Z])", ">"),
        (r"\\neq(?![a-zA-Z])|≠", r"\\ne "),
        (r"[\u2212\u2013]", "-"),
        (r"×", r"\\times "),
        (r"·", r"\\cdot "),
        (r"π", r"\\pi "),
        (r"∞|\\text\{inf(?:init)?y?\}", r"\\infty "),
        (r"√", r"\\sqrt"),
        (r"∪", r"\\cup "),
        (r"\+?\\infty", r"\\infty"),
        (r"±", r"\\pm "),
        (r"\\approx(?![a-zA-Z])|≈|:=", "="),
        (r"(?:\\text\s*\{)?(?<![a-zA-Z])\s*([aApP])\.?[mM]\.?(?![a-zA-Z])\s*\}?$", r" \1m"),
        (r"\*\*", "^"),
        (r"\\%|(?:\\text\s*\{)?(?<![a-zA-Z])\s*percent(?![a-zA-Z])\s*\}?", "%"),
        (r"\^\s*(?:\{\s*\\circ\s*\}|\\circ)|\\degree(?![a-zA-Z])|°", ""),
        (r"\\(?:langle|lgroup)", "("),
        (r"\\(?:rangle|rgroup)", ")"),
        (r"\\(?:lbrace)", r"\\{"),
        (r"\\(?:rbrace)", r"\\}"),
        (r"\\(?:lbrack)", "["),
        (r"\\(?:rbrack)", "]"),
        (r"\\(frac|sqrt|binom) (?=[{\[])", r"\\\1"),
        (r"(\\(?:frac|binom)\{[^{}]{0,200}\}) (?=\{)", r"\1"),
        (r"\^ ?\(([^()]{0,200})\)", r"^{\1}"),
        (r"\\frac\s*([0-9a-zA-Z])\s*([0-9a-zA-Z])", r"\\frac{\1}{\2}"),
        (r"\\frac\s*([0-9a-zA-Z])\s*\{", r"\\frac{\1}{"),
        (r"\\frac\s*(\{[^{}]{0,200}\})\s*([0-9a-zA-Z])", r"\\frac\1{\2}"),
        (r"\\frac\s*(\\[a-zA-Z]{1,20})\s*([0-9a-zA-Z])", r"\\frac{\1}{\2}"),
        (r"\\sqrt\s*([0-9a-zA-Z])", r"\\sqrt{\1}"),
        (r"\\sqrt\s*\(([^()]{0,200})\)", r"\\sqrt{\1}"),
        (r"'", r"^{\\prime}"),
    )
]
_BOX = re.compile(r"^\s*\\(?:boxed|fbox|text)\s*\{(.*)\}\s*$", re.DOTALL)
_MATRIX = re.compile(
    r"\\begin\{(?P<name>[a-zA-Z]{0,9}matrix|array)\}(?:\{[lcr|]{0,20}\})?"
    r"(?P<body>.*)\\end\{(?P=name)\}"
)
_MEMBER = re.compile(r"[A-Za-z]\s*\\in(?![a-zA-Z])")
_UNIT = re.compile(
    r"(?<=[0-9a-zA-Z)}\]%!])\s*\\text\s?\{\s*([^{}\s][^{}]{0,60})\}"
    r"(?:\s|\^\{?-?[0-9]\}?|/|\\cdot|\\text\s?\{[^{}]{0,60}\})*$"
)
_RATIO = re.compile(r"[-+0-9./ ]+(?::[-+0-9./ ]+)+")
_THOUSANDS = re.compile(r"(?:[A-Za-z]\s*=\s*)?[-+]?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]+)?(?![0-9,])")


@dataclass(frozen=True)
class Group:
    """Several answers or the parts of one. ``kind``: ``list`` (any order), the pair of brackets of a tuple or an
    interval, e.g. ``(]``, ``:`` for a ratio, ``matrix 2`` for a matrix of two columns, row by row."""

    kind: str
    parts: tuple[Node, ...]

    @property
    def ordered(self) -> bool:
        return self.kind != LIST


Node = str | Group


@lru_cache(maxsize=4096)
def read(text: str, thousands: bool = True) -> Node:
    """The tree of an answer. Never fails: what has no structure is one leaf.

    ``60,120`` is one number, or two where ``thousands`` is false.
    """
    text = canonical(text)
    return text if thousands and _THOUSANDS.match(text) else _node(text, 0)


def without_unit(formula: str) -> str:
    r"""A formula without the unit behind it: ``2400 \text{ cm}^2`` is ``2400``. A million is no unit, nor is p.m."""
    unit = _UNIT.search(formula)
    if unit is None or not is_unit(unit[1]):
        return formula
    kept = formula[: unit.start()].strip()
    return kept if kept.count("{") == kept.count("}") and not kept.endswith(("_", "^")) else formula


def is_unit(words: str) -> bool:
    """Whether words behind a number leave its value alone: "5 times" is 5, "5 times 2" and "5 squared" are not."""
    first, *more = words.lower().split()
    return first not in NO_UNITS or (first == "times" and not more)


def canonical(text: str) -> str:
    """One spelling for what LaTeX can spell in several ways."""
    for pattern, kept in _SPELLINGS:
        text = pattern.sub(kept, text)
    return text.strip().rstrip(".,;").strip()


def write(node: Node) -> str:
    """The LaTeX of a tree."""
    if isinstance(node, str):
        return node
    inner = [write(part) for part in node.parts]
    if node.kind.startswith("matrix"):
        columns = int(node.kind.removeprefix("matrix "))
        rows = r" \\ ".join(" & ".join(inner[i : i + columns]) for i in range(0, len(inner), columns))
        return rf"\begin{{pmatrix}} {rows} \end{{pmatrix}}"
    if node.kind == ":":
        return ":".join(inner)
    return ", ".join(inner) if node.kind == LIST else f"{node.kind[0]}{', '.join(inner)}{node.kind[1]}"


def _node(text: str, depth: int) -> Node:
    text = text.strip()
    while (wrapped := _BOX.match(text)) and _closes_at_end(text, text.index("{")):
        text = wrapped[1].strip()
    if depth >= DEPTH:
        return text
    for separator in ("\\cup", ",", ";"):
        parts = _split(text, separator)
        if len(parts) > 1:
            return _list([_node(part, depth + 1) for part in parts if part.strip()])
    if member := _MEMBER.match(text):
        text = text[member.end() :].strip()
    if matrix := _MATRIX.fullmatch(text):
        return _matrix(matrix["body"], depth)
    if text.startswith("\\{") and text.endswith("\\}") and _closes_at_end(text, 1):
        return _list([_node(part, depth + 1) for part in _split(text[2:-2], ",") if part.strip()])
    if text[:1] in ("(", "[") and text[-1:] in (")", "]") and _closes_at_end(text, 0):
        return _bracketed(text, depth)
    if text.count(PLUS_MINUS) == 1:
        signs = (text.replace(PLUS_MINUS, sign, 1).lstrip("+ ") for sign in "+-")
        return _list([_node(part, depth + 1) for part in signs])
    if _RATIO.fullmatch(without_unit(text)):
        return Group(":", tuple(part.strip() for part in without_unit(text).split(":")))
    return text


def _list(parts: list[Node]) -> Node:
    """A list without lists in it; one part is that part."""
    flat: list[Node] = []
    for part in parts:
        flat += part.parts if isinstance(part, Group) and part.kind == LIST else (part,)
    return flat[0] if len(flat) == 1 else Group(LIST, tuple(flat))


def _bracketed(text: str, depth: int) -> Node:
    parts = [_node(part, depth + 1) for part in _split(text[1:-1], ",")]
    if len(parts) == 1 and text[0] == "(" and text[-1] == ")":
        return parts[0]
    return Group(text[0] + text[-1], tuple(parts)) if len(parts) > 1 else text


def _matrix(body: str, depth: int) -> Node:
    rows = [_split(row, "&") for row in _split(body.strip().removesuffix("\\\\"), "\\\\")]
    parts = tuple(_node(cell, depth + 1) for row in rows for cell in row)
    return Group(f"matrix {len(rows[0])}", parts)


def _closes_at_end(text: str, start: int) -> bool:
    """Whether the bracket at ``start`` is closed by the last character."""
    depth = 0
    for i in range(start, len(text)):
        depth += (text[i] in "([{") - (text[i] in ")]}")
        if depth == 0:
            return i == len(text) - 1
    return False


def _split(text: str, separator: str) -> list[str]:
    """``text`` at the separators that stand in no bracket."""
    parts, depth, begin, i = [], 0, 0, 0
    while i < len(text):
        depth += (text[i] in "([{") - (text[i] in ")]}")
        if depth == 0 and text.startswith(separator, i):
            parts.append(text[begin:i])
            begin = i = i + len(separator)
        else:
            i += 1
    return [*parts, text[begin:]]
