"""Where a completion states its answer. Every search takes time linear in the text, whatever the text is."""

from __future__ import annotations

import re
from itertools import pairwise

from rftlab.verifiers.boxes import last, last_box
from rftlab.verifiers.fences import after_thoughts
from rftlab.verifiers.number import final_number

LINE = 2000
"""Characters of a line that are read after "the answer is"."""

_STATED = re.compile(r"(?i)\banswer\b[^\n.$]{0,40}?(?:\bis\b|:|=)[\s:*]{0,20}")
_DELIMITER = re.compile(r"(?<!\\)\$\$|(?<!\\)\$|\\[\[\]()]")
_CLOSES = {"$$": "$$", "$": "$", "\\[": "\\]", "\\(": "\\)"}
_BETWEEN = re.compile(r"\s*(?:,|;|,?\s*and|,?\s*or)\s*")
_BARE = re.compile(r"[-+0-9.(\[{\\]")


def final_answer(text: str) -> str | None:
    r"""The answer of a completion as written; None if it states none.

    What follows the last ``</think>``, and in it what the last ``<answer>`` holds, if they are there. Then the first of
    these that is there, its last occurrence each::

        what \boxed{} holds        "\boxed{1} ... so \boxed{\frac12}"     -> "\frac12"
        the line after ####        "#### 72 clips"                         -> "72 clips"
        what follows "answer is"   "The final answer is $3$ and $-1$."     -> "3 , -1"
                                   "Answer: Tuesday."                      -> "Tuesday"
        a formula                  "Hence $x = 3$ as claimed."             -> "x = 3"
        a number                   "which makes 12, 7 of them red"         -> "7"

    In an ``<answer>`` that has none of the first three, its first sentence is the answer. Thoughts that are never
    closed state none. A box that was opened and never closed is read to the end of its line. An empty box is no
    answer, even if another stands before it: the last one counts.
    """
    text = after_thoughts(text)
    _, tag, tagged = text.rpartition("<answer>")
    if tag:
        text = tagged.partition("</answer>")[0].strip()
    if (box := last_box(text)) is not None:
        return box.strip() or None
    _, mark, after = text.rpartition("####")
    if mark and (line := after[:LINE].lstrip(" \t").partition("\n")[0].strip()):
        return line
    if (stated := last(_STATED, text)) and (said := _statement(text[stated.end() : stated.end() + LINE])):
        return said
    if tag:
        return _statement(text[:LINE]) or None
    spans = formulas(text)
    if spans and (said := _run(text, spans[-1:])):
        return said
    number = final_number(text)
    return number[0] if number else None


def _statement(rest: str) -> str:
    """What "the answer is" is followed by: the formulas of its sentence if it has some, else the sentence."""
    sentence = re.split(r"\.\s|\n|</", rest, maxsplit=1)[0].strip().strip("*").strip()
    spans = formulas(rest if _DELIMITER.match(rest) else sentence)
    if spans and not _BARE.match(_DELIMITER.sub("$", sentence)):
        return _run(rest if _DELIMITER.match(rest) else sentence, spans)
    return _DELIMITER.sub(" ", sentence).strip().rstrip(".*").strip()


def formulas(text: str) -> list[tuple[int, int]]:
    """Start and end of what stands between delimiters of formulas, in order."""
    spans = []
    opened: tuple[str, int] | None = None
    for delimiter in _DELIMITER.finditer(text):
        mark = delimiter.group()
        if opened and mark == _CLOSES[opened[0]]:
            spans.append((opened[1], delimiter.start()))
            opened = None
        elif mark in _CLOSES and (opened is None or mark != "$"):
            opened = (mark, delimiter.end())
    return spans


def _run(text: str, spans: list[tuple[int, int]]) -> str:
    """The first formula and those that a comma, "and" or "or" joins to it."""
    parts = [text[slice(*spans[0])]]
    for (_, end), (start, stop) in pairwise(spans):
        if not _BETWEEN.fullmatch(_DELIMITER.sub(" ", text[end:start])):
            break
        parts.append(text[start:stop])
    return " , ".join(part.strip() for part in parts if part.strip())
