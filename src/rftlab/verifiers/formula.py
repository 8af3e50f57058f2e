r"""Do two formulas have the same value? Numbers are compared here, everything else by math-verify (sympy).

math-verify answers without structure or limits, so four things stand around it. It sees one formula at a time, never
a list, a tuple or an interval. What it would misread is not shown to it: ``10001_2`` (it drops the base), ``R`` beside
``r`` (it writes both in lower case), ``1, 2, \ldots, n`` (it drops the dots). Its unit remover, which takes the ``s``
of ``2s`` for seconds, is off. And what it finds equal is evaluated once more, because it takes small differences for
rounding: 1/2004! and 1/2006! are equal to it. It may run for ever; whoever calls must be able to end it.
"""

from __future__ import annotations

import logging
import math
import re
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any

from rftlab.verifiers.latex import is_unit, without_unit
from rftlab.verifiers.number import parse_number

LENGTH = 600
"""Characters of a formula; a longer one is compared as text only."""
ROUNDING = Fraction(1, 2_000_000)
"""A decimal may be rounded after the sixth place (of the number, or of a number below 1 after its zeros)."""

_SCIENTIFIC = re.compile(r"(?:([-+]?[0-9.,]+) ?(?:\\times|\\cdot|[*x]) ?)?10 ?\^ ?(?:\{ ?([-+]?[0-9]+) ?\}|([0-9]))")
_MIXED = re.compile(r"(-?)([0-9]{1,20}) ?(?:\\frac\{([0-9]{1,20})\}\{([0-9]{1,20})\}| ([0-9]{1,20})/([0-9]{1,20}))")
_INNER = re.compile(r"(?<=\{) +| +(?=\})")
_SIGN = re.compile(r"^([-+]) (?=[0-9.\\])")
_WORDS = re.compile(r"(?P<number>.*[0-9)}])\s*(?P<unit>[A-Za-z]{2,20}[A-Za-z0-9 ./^]{0,60})")
_UNTOLD = re.compile(r"[0-9]_|_\{?[0-9]+\}?_|\\[lcd]?dots|\.\.\.|[0-9] [0-9]|\\text|\\overline|:")
_COMMAND = re.compile(r"\\[a-zA-Z]+|_\{[^{}]*\}|_.")
_TEXT = re.compile(r"[^\\^_=<>+*/0-9{}]*[A-Za-z]{3}[^\\^_=<>+*/{}]*")
_INDEX = re.compile(r"_(?:\{[^{}]*\}|.)|\([^()]*\)|\^\{\\prime\}")
_ARITHMETIC = re.compile(r"(?:[-+*/^!0-9.,(){} ]|\\(?:frac|cdot|times|div)(?![a-zA-Z]))*")
_BASE = re.compile(r"[0-9]_")


@dataclass(frozen=True)
class Value:
    """A plain number as written."""

    exact: Fraction
    percent: bool
    decimal: bool
    """Written with a point or an exponent, so perhaps rounded."""


@dataclass(frozen=True)
class Slack:
    """By how much a number may be off: the larger of an absolute and a relative bound."""

    absolute: Fraction = Fraction(0)
    relative: Fraction = Fraction(0)

    def around(self, gold: Fraction) -> Fraction:
        return max(self.absolute, self.relative * abs(gold))


@lru_cache(maxsize=4096)  # the rollouts of a task tend to end in few different answers
def equal(gold: str, said: str, slack: Slack = Slack()) -> bool:
    """Whether the formula ``said`` stands for ``gold``; both are leaves of ``latex.read``."""
    gold, said = without_unit(gold), without_unit(said)
    head, assigned, value = gold.partition("=")
    same_name = assigned and _is_name(head) and _plain(head) == _plain(said.partition("=")[0])
    if "=" in said and (not assigned or same_name):
        return _ends_in(value.strip() if assigned else gold, said, slack)
    gold, said = _sides(gold, said)
    if _plain(gold) == _plain(said):
        return bool(_plain(gold))
    left, right = number(gold), number(said)
    if left is not None and right is None and (words := _WORDS.fullmatch(said)) and is_unit(words["unit"]):
        right = number(words["number"])
    if left is not None and right is not None:
        return close(left, right, slack)
    if is_text(gold) or not (_told(gold) and _told(said)):
        return False
    return (left is None or _irrational(said, left, slack)) and symbolic(gold, said, slack)


@lru_cache(maxsize=4096)
def number(text: str) -> Value | None:
    r"""The value of a formula that is one number: 1,234; 3/4; \frac{3}{4}; 2\frac{1}{2}; 4.5 \times 10^{33}; 5%."""
    text = _SIGN.sub(r"\1", _INNER.sub("", text.strip()))
    percent = text.endswith("%")
    text = re.sub(r"(?<=[0-9])\.(?![0-9])", "", text.removesuffix("%").rstrip())
    if mixed := _MIXED.fullmatch(text):
        whole, top, bottom = (int(part) for part in mixed.groups()[1:] if part)
        size = whole + Fraction(top, bottom) if 0 < top < bottom else None
        return None if size is None else Value(-size if mixed[1] else size, percent, False)
    if scientific := _SCIENTIFIC.fullmatch(text):
        text = f"{scientific[1] or 1}e{scientific[2] or scientific[3]}"
    value = parse_number(text)
    return None if value is None else Value(value, percent, "." in text or "e" in text.lower())


def close(gold: Value, said: Value, slack: Slack = Slack()) -> bool:
    """Whether a number may stand for another: exactly, rounded after six places, or within ``slack``.

    50% is 0.5; it is also 50, since a question for a percentage may be answered by either, but 0.5% is never 0.5.
    """
    if gold.percent == said.percent:
        pairs = [(gold.exact, said.exact)]
    elif gold.percent:
        pairs = [(gold.exact, said.exact), (gold.exact / 100, said.exact)]
    else:
        pairs = [(gold.exact, said.exact / 100)] + [(gold.exact, said.exact)] * (abs(gold.exact) >= 1)
    for wanted, found in pairs:
        rounding = ROUNDING * min(1, abs(wanted)) if gold.decimal or said.decimal else 0
        if abs(wanted - found) <= max(slack.around(wanted), rounding):
            return True
    return False


def symbolic(gold: str, said: str, slack: Slack = Slack()) -> bool:
    """Whether math-verify finds two formulas equal and their values agree. May run for ever."""
    from math_verify import verify

    left, right = parsed(gold), parsed(said)
    if left is None or right is None:
        return False
    if slack != Slack() and (values := _values(left, right)):
        return abs(values[0] - values[1]) <= slack.around(values[0])
    if getattr(left, "is_symbol", False) or getattr(right, "is_symbol", False):
        return left == right or _same(left, right)
    # The order matters: math-verify follows the form of its first argument.
    return verify(left, right, timeout_seconds=None) and not _differ(left, right)


@lru_cache(maxsize=4096)  # a gold answer is parsed once for all of its rollouts
def parsed(text: str) -> Any:
    """The sympy object of a formula; None if it cannot be read."""
    from latex2sympy2_extended.latex2sympy2 import NormalizationConfig
    from math_verify import LatexExtractionConfig, parse

    logging.getLogger("math_verify").setLevel(logging.ERROR)  # it warns that nobody limits its time; the pool does
    spelling = NormalizationConfig(basic_latex=True, units=False, malformed_operators=False, nits=False, boxed="none")
    config = LatexExtractionConfig(boxed_match_priority=-1, normalization_config=spelling)
    found = parse(f"${text}$", [config], fallback_mode="no_fallback", parsing_timeout=None)
    return found[0] if found else None


def is_text(formula: str) -> bool:
    """Whether a formula is words: compared letter by letter, never multiplied out."""
    return _TEXT.fullmatch(formula) is not None or (len(formula) == 1 and formula.isupper())


def _sides(gold: str, said: str) -> tuple[str, str]:
    """Both without the left side of an assignment (x = 5), unless both have one and they differ."""
    left, right = gold.rpartition("="), said.rpartition("=")
    if right[1]:
        return (left[2], right[2]) if _plain(left[0]) == _plain(right[0]) else (gold, said)
    return (left[2].strip(), said) if left[1] and _is_name(left[0]) else (gold, said)


def _ends_in(gold: str, said: str, slack: Slack) -> bool:
    """Whether an equation states ``gold``: "x = 5", "x = 2 + 3 = 5", "2 + 3 = 5", but not "4 = 5" or "3x + 4y = 5".

    A name in front says nothing. Of what stands between, numbers must be the last one unrounded, and where there is no
    name, everything must be equal to it.
    """
    *before, last = (side.strip() for side in said.split("="))
    named = _is_name(before[0])
    for side in before[named:]:
        one, other = number(side), number(last)
        if one is not None and other is not None:
            if not close(other, one, Slack(_last_place(last), slack.relative)):
                return False
        elif not named and not (_told(side) and _told(last) and symbolic(side, last, slack)):
            return False
    return equal(gold, last, slack)


def _is_name(left: str) -> bool:
    return not re.search(r"[-+*/^0-9]|\\frac|\\sqrt", _INDEX.sub("", left))


def _last_place(text: str) -> Fraction:
    """Half a unit of the last place of a decimal."""
    places = re.search(r"\.([0-9]{1,30})", text)
    return Fraction(1, 2 * 10 ** (len(places[1]) if places else 0))


def _irrational(said: str, gold: Value, slack: Slack) -> bool:
    """Whether a formula may stand for a number: a surd for a rounded one. 3 + 4 is still to be worked out."""
    if not (gold.decimal or slack.around(gold.exact)) or _ARITHMETIC.fullmatch(said):
        return False
    return getattr(parsed(said), "is_rational", None) is not True


def _plain(formula: str) -> str:
    """What must be equal letter by letter, for formulas that mean the same at first sight."""
    short = re.sub(r"\\text\s?\{([^{}]*)\}", r"\1", formula)
    short = re.sub(r"(?<![0-9]) | (?![0-9])", "", short)
    short = re.sub(r"([_^])\{(.)\}", r"\1\2", short)
    return short.casefold() if is_text(formula) or _TEXT.fullmatch(short) or ":" in short else short


def _told(formula: str) -> bool:
    """Whether math-verify sees all of it: see the head of this file."""
    letters = set(_COMMAND.sub("", formula))
    both_cases = any(letter.isupper() and letter.lower() in letters for letter in letters)
    return len(formula) <= LENGTH and not both_cases and not _UNTOLD.search(formula)


def _values(left: Any, right: Any) -> tuple[Fraction, Fraction] | None:
    """Both as finite real numbers; None if they are not."""
    try:
        values = [complex(each.doit().evalf(30)) for each in (left, right)]
    except Exception:  # a relation, a set, a formula with letters
        return None
    if any(v.imag or not math.isfinite(v.real) for v in values):  # 2^{5000} is infinite as a float
        return None
    return Fraction(values[0].real), Fraction(values[1].real)


def _same(left: Any, right: Any) -> bool:
    """Whether a letter is equal to an expression: math-verify compares their spelling."""
    from sympy import Expr, simplify

    return isinstance(left, Expr) and isinstance(right, Expr) and simplify(left - right) == 0


def _differ(left: Any, right: Any) -> bool:
    """Whether two expressions have values that differ by more than rounding, letters standing for some numbers."""
    from sympy import Abs, Expr, Float, Max, Rational

    if not (isinstance(left, Expr) and isinstance(right, Expr)):
        return False
    letters = sorted(left.free_symbols | right.free_symbols, key=str)
    some = {letter: Rational(11 + 3 * i, 10 + i) for i, letter in enumerate(letters)}
    rounding = Float("1e-5") if left.has(Float) or right.has(Float) else Float("1e-9")
    try:
        one, other = (each.subs(some).doit().evalf(30) for each in (left, right))
        return bool(Abs(one - other) > rounding * Max(Abs(one), Abs(other)))
    except Exception:  # a function without a definition has no value
        return False
