"""The last box of a text."""

from __future__ import annotations

import re
from collections import deque

_BOX = re.compile(r"\\(?:boxed|fbox)\s{0,9}(\{|[0-9A-Za-z])")


def last_box(text: str) -> str | None:
    r"""What the last ``\boxed{}`` or ``\fbox{}`` holds; None if there is none."""
    box = last(_BOX, text)
    if box is None:
        return None
    return box[1] if box[1] != "{" else until_closed(text[box.end() :])


def until_closed(text: str) -> str:
    """``text`` up to the brace that closes the one before it; its first line where none does."""
    depth = 1
    for brace in re.finditer(r"[{}]", text):
        if brace.start() and text[brace.start() - 1] == "\\":
            continue
        depth += 1 if brace.group() == "{" else -1
        if depth == 0:
            return text[: brace.start()]
    return text.partition("\n")[0]


def last(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """The last of the matches that do not overlap."""
    found = deque(pattern.finditer(text), maxlen=1)
    return found[0] if found else None
