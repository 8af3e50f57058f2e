"""The completion must end in the right number."""

from __future__ import annotations

import re
from collections import deque
from fractions import Fraction
from functools import lru_cache

from rftlab.core import InputError, Status, Task, Verdict
from rftlab.verifiers import numerals
from rftlab.verifiers.base import Verifier
from rftlab.verifiers.boxes import last_box
from rftlab.verifiers.fences import after_thoughts

MAX_DIGITS = 300
"""A number with more digits is not read: turning digits into integers is quadratic, and Python refuses 4,300."""

_UNSIGNED = r"(?:(?:[0-9]{1,3}(?:,[0-9]{3})+(?![0-9])|[0-9]+)(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][-+]?[0-9]+)?"
# A sign after a digit, a letter or a closing bracket is an operator: the last number of "5-3" is 3. Every repetition
# is unambiguous, so a search takes time linear in the text whatever the text is.
_NUMBER = re.compile(
    rf"(?P<sign>(?<![0-9A-Za-z)\]}}])[-+])?(?:[$€£¥] ?(?P<inner>[-+])?)?(?P<top>{_UNSIGNED})"
    rf"(?: ?/ ?[$€£¥]?(?P<bottom>{_UNSIGNED}))?"
)
_FRACTION = re.compile(r"(?<![0-9])\\[dt]?frac\{([-+]?[0-9.,]{1,300})\}\{([-+]?[0-9.,]{1,300})\}")
_LEAD = re.compile(r"(?:[^0-9]*(?::|\b(?:is|are)\b))?[\s*_`~($\\\[{]*")
_HEADING = re.compile(r"(?:\.|\)|:)[ \t*_]+[A-Za-z*_\\]")
_GOES_ON = re.compile(
    r"[\s$*{})]*(?:\^|[/+×÷·]|\*\*?\s*[0-9]|-\s*[0-9]|\\(?:times|cdot|div|frac|sqrt)|[,.:]?\s*[0-9]|x\s*[0-9]|(?:or|and|to)\b[^0-9\n]*[0-9])"
)
_LATEX = (("{,}", ","), ("\\,", ""), ("\\!", ""), ("\\$", "$"), ("\\%", "%"), ("\u2212", "-"))


class Number(Verifier):
    """Passes a completion whose final number has the value of the answer.

    Read is what follows the thoughts (``</think>``; nothing, where they are never closed), and in it what the last
    ``<answer>`` holds, if there is one. The final number is in the last line of ``####`` that begins with a number (so
    "#### 2. Conclusion" is a heading), unless a ``\\boxed{}`` stands behind that line; else in the last ``\\boxed{}``;
    else it is the last number of the text. After ``####`` and in a box, a number that goes on (``2^{10}``, ``3 1/2``,
    ``2 \\times 10^3``, ``5 or 6``) is none, and the completion unparsable.

    Thousands commas, signs, currency, a percent sign, decimals, fractions a/b and a trailing full stop are understood;
    values are compared exactly, as fractions, so 0.50 is 1/2. ``50%`` is read as 50. Mixed numbers (2 1/2), decimal
    commas and words are not understood.

    Args:
        tolerance: largest absolute difference that still passes; ``task.meta["tolerance"]`` comes first.
    """

    def __init__(self, tolerance: float = 0.0) -> None:
        if not 0 <= tolerance < float("inf"):
            raise InputError(f"a tolerance of {tolerance}: wanted a number >= 0, verifier.check.tolerance=0")
        self.tolerance = Fraction(str(tolerance))

    def grade(self, text: str, task: Task) -> Verdict:
        gold = self._gold(task)
        found = final_number(text)
        if found is None:
            return Verdict(0.0, False, Status.UNPARSABLE)
        said, value = found
        passed = abs(value - gold) <= self._tolerance(task)
        return Verdict(float(passed), passed, answer=said)

    def gold(self, task: Task) -> str:
        return f"#### {task.answer}"

    def wrong(self, task: Task) -> list[str]:
        """Other numbers (``numerals.near``), one off by just over the tolerance, the answer in a line but the last."""
        gold = self._gold(task)
        tolerance = self._tolerance(task)
        near = [*numerals.near(gold), gold + 2 * tolerance + Fraction(1, 10)]
        different = [value for value in dict.fromkeys(near) if abs(value - gold) > tolerance]
        lines = [f"#### {value}" for value in different]
        return [*lines, f"{self.gold(task)}\nNo: {lines[-1]}", "", "####", "no number here"]

    def alike(self, task: Task) -> list[str]:
        """The same number in other spellings and in other places of the text."""
        spelt = numerals.spellings(self._gold(task))
        frames = [
            "\\boxed{%s}",
            "Of 7 or 8, the answer is %s.",
            "#### %s clips",
            "#### $%s",
            "\\boxed{1} or rather \\boxed{x = %s}",
        ]
        return [f"#### {text}" for text in spelt] + [frame.replace("%s", spelt[-1]) for frame in frames]

    def _tolerance(self, task: Task) -> Fraction:
        own = task.meta.get("tolerance")
        return self.tolerance if own is None else Fraction(str(own))

    def _gold(self, task: Task) -> Fraction:
        value = parse_number(task.answer)
        if value is None:
            raise ValueError(f"the gold answer {task.answer[:80]!r} is not a number")
        return value


def final_number(text: str) -> tuple[str, Fraction] | None:
    """The final number of a completion, as written and as a value; None if there is none or it is too long."""
    text = said_at_last(text)
    line, end = _marked_line(text)
    box = last_box(text[end:])
    if box is not None and (found := _first(box)):
        return None if _goes_on(found) else _value(found)
    if line is not None:
        return None if _goes_on(line) else _value(line)
    last = deque(_NUMBER.finditer(_plain(text)), maxlen=1)
    return _value(last[0]) if last else None


def said_at_last(text: str) -> str:
    """What follows the thoughts, and in it what the last ``<answer>`` holds."""
    text = after_thoughts(text)
    _, tag, tagged = text.rpartition("<answer>")
    return tagged.partition("</answer>")[0] if tag else text


def _marked_line(text: str) -> tuple[re.Match[str] | None, int]:
    """The number in the last line of ``####`` that begins with one, and where that line ends (0 = no such line)."""
    end = len(text)
    for after in reversed(text.split("####")[1:]):
        line = after.partition("\n")[0]
        found = _first(line)
        if found and _leads(found):
            return found, end - len(after) + len(line)
        end -= len(after) + len("####")
    return None, 0


def _leads(found: re.Match[str]) -> bool:
    """Whether a line begins with this number, or with words that introduce it, and is no heading."""
    line, start, end = found.string, *found.span()
    worked = _goes_on(found) and re.search(r"[A-Za-z]{2}", line[:start])  # "Explanation: 6 * 7"
    return bool(_LEAD.fullmatch(line, 0, start)) and not _HEADING.match(line, end) and not worked


def _goes_on(found: re.Match[str]) -> bool:
    """Whether what follows a number makes it another one, or one of two."""
    return _GOES_ON.match(found.string, found.end()) is not None


@lru_cache(maxsize=4096)  # a gold answer is read once for each of its rollouts
def parse_number(text: str) -> Fraction | None:
    """The value of a text that is one number and nothing else (currency, percent and full stop allowed)."""
    found = _NUMBER.fullmatch(_plain(text).strip().removesuffix(".").removesuffix("%").rstrip())
    read = _value(found) if found else None
    return read[1] if read else None


def _first(text: str) -> re.Match[str] | None:
    """The first number after the last equals sign: "x = 3 + 4 = 7 km^2" gives 7."""
    return _NUMBER.search(_plain(text).rpartition("=")[2].replace("- ", "-"))


def _plain(text: str) -> str:
    """LaTeX spellings of commas, signs and fractions as plain characters."""
    for latex, plain in _LATEX:
        text = text.replace(latex, plain)
    return _FRACTION.sub(r"\1/\2", text)


def _value(found: re.Match[str]) -> tuple[str, Fraction] | None:
    """A match as written and as a value; None if it is too long or divides by zero."""
    top, bottom = _magnitude(found["top"]), _magnitude(found["bottom"] or "1")
    if top is None or not bottom:
        return None
    value = top if bottom == 1 else top / bottom
    negative = [found["sign"], found["inner"]].count("-") == 1
    return found.group().strip(), -value if negative else value


def _magnitude(text: str) -> Fraction | None:
    """The value of an unsigned number; None if it is too long or its exponent too large."""
    digits, _, exponent = text.replace(",", "").lower().partition("e")
    if len(digits) > MAX_DIGITS or len(exponent) > 3:
        return None
    value = Fraction(int(digits)) if digits.isdecimal() else Fraction(digits)
    return value * Fraction(10) ** int(exponent) if exponent else value
