"""Answers beside a gold answer: near ones that are wrong, other spellings that are right. For ``rftlab validate``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from fractions import Fraction

from rftlab.verifiers import formula, numerals
from rftlab.verifiers.formula import Slack, is_text
from rftlab.verifiers.latex import LIST, Group, Node, without_unit, write

_SQRT = re.compile(r"\\sqrt\{(?![01]\})([^{}]*)\}")
_RELATION = re.compile(r"\\le(?![a-zA-Z])|\\ge(?![a-zA-Z])|<|>")
_FLIPPED = {"<": ">", ">": "<", "\\le": "\\ge", "\\ge": "\\le"}
_OPENER = {"(": "[", "[": "(", ")": "]", "]": ")"}


def maths(gold: Node, slack: Slack) -> list[str]:
    """Near misses of a mathematical answer as LaTeX."""
    found = _leaf_misses(gold, slack) if isinstance(gold, str) else map(write, _group_misses(gold, slack))
    return list(dict.fromkeys(found))


def spellings(gold: Node) -> list[str]:
    """Other spellings of a mathematical answer as LaTeX."""
    if isinstance(gold, str):
        return list(dict.fromkeys(_leaf_spellings(gold)))
    inner = [write(part) for part in gold.parts]
    first = Group(gold.kind, (_respelt(gold.parts[0]), *gold.parts[1:]))
    if gold.kind == ":":
        return [" : ".join(inner)]
    found = [write(gold).replace(", ", ","), write(first).replace("\\frac", "\\dfrac")]
    if gold.kind == LIST:
        found += [", ".join(reversed(inner)), rf"\{{{', '.join(inner)}\}}"]
        found += [r" \text{ and } ".join(inner)] if len(inner) == 2 else []
    elif gold.kind.startswith("matrix"):
        found += [write(gold).replace("pmatrix", "bmatrix")]
    else:
        found += [rf"\left{gold.kind[0]} {' , '.join(inner)} \right{gold.kind[1]}"]
    return found


def _leaf_misses(gold: str, slack: Slack) -> Iterator[str]:
    core = without_unit(gold)
    if (value := formula.number(core)) is not None:
        for other in numerals.near(value.exact):
            if not formula.close(value, formula.Value(other, False, False), slack):
                yield _numeral(other)
    elif is_text(core):
        yield chr(ord(core) + 1) if len(core) == 1 and core.lower() != "z" else f"not {core}"
        yield core + core
    elif _RELATION.search(core):
        yield _RELATION.sub(lambda sign: _FLIPPED[sign.group()], core)
        yield f"{core}+1"
    elif "\\infty" not in core:
        yield from _changed(core)
        if _SQRT.search(core):
            yield _SQRT.sub(r"{(\1)}", core, count=1)
        yield r"\text{cannot be told}"


def _changed(formula_text: str) -> Iterator[str]:
    """One more, and the other sign; of an equation, its right side."""
    left, mark, right = formula_text.rpartition("=")
    yield f"{left}{mark}{right}+1"
    value = formula.number(right)
    if value is None or value.exact:
        yield f"{left}{mark}-({right})"


def _group_misses(gold: Group, slack: Slack) -> Iterator[Node]:
    parts = gold.parts
    for i, part in enumerate(parts[:2]):
        other = _leaf_misses(part, slack) if isinstance(part, str) else _group_misses(part, slack)
        if (first := next(iter(other), None)) is not None:
            yield Group(gold.kind, (*parts[:i], first, *parts[i + 1 :]))
    if gold.kind == LIST:
        yield Group(LIST, parts[:-1]) if len(parts) > 2 else parts[0]
        yield Group(LIST, (*parts, "987654"))
        return
    if _order_matters(parts):
        yield Group(gold.kind, parts[::-1])
    if len(parts) == 2 and gold.kind[0] in _OPENER:
        yield Group(_OPENER[gold.kind[0]] + gold.kind[1], parts)
        yield Group(gold.kind[0] + _OPENER[gold.kind[1]], parts)


def _order_matters(parts: tuple[Node, ...]) -> bool:
    """Whether the parts read backwards are different for sure: a pair of different numbers stands at the ends."""
    first, last = (formula.number(part) if isinstance(part, str) else None for part in (parts[0], parts[-1]))
    return first is not None and last is not None and first.exact != last.exact


def _leaf_spellings(gold: str) -> Iterator[str]:
    core = without_unit(gold)
    value = formula.number(core)
    if value is not None:
        yield from _number_spellings(core, value)
    elif is_text(core):
        yield rf"\text{{{core}}}"
        yield rf"\textbf{{{core.lower()}}}"
    else:
        yield core.replace("\\frac", "\\dfrac")
        yield core.replace("(", "\\left(").replace(")", "\\right)")
        yield rf"\displaystyle {core} ."
        if not re.search(r"[=<>:_,]|[a-z]\.|\\[lg]e|\\ne|\\div|\\infty|\\text|\\in|\\[a-z]*dots", core):
            yield rf"z = {core}"
            yield rf"{core} \text{{ units}}"
            yield rf"\frac{{2({core})}}{{2}}"


def _number_spellings(core: str, value: formula.Value) -> Iterator[str]:
    if value.percent:
        yield core.replace("%", "\\%")
        yield core.replace("%", "")
        return
    for numeral in numerals.spellings(value.exact) if len(core) < 40 else ():
        yield numeral
        yield f"x = {numeral}"
    yield rf"{core} \text{{ units}}"
    if value.exact.denominator != 1 and abs(value.exact) < 1 and (percent := numerals.decimal(100 * abs(value.exact))):
        yield ("-" if value.exact < 0 else "") + rf"{percent}\%"


def _respelt(part: Node) -> Node:
    """The first other spelling of a number; anything else as it is."""
    value = formula.number(part) if isinstance(part, str) else None
    return part if value is None or value.percent else numerals.spellings(value.exact)[1]


def _numeral(value: Fraction) -> str:
    sign, size = ("-" if value < 0 else ""), abs(value)
    return f"{value}" if size.denominator == 1 else rf"{sign}\frac{{{size.numerator}}}{{{size.denominator}}}"
