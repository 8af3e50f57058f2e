"""The completion must have a given shape: tags in order, a length between bounds. Says nothing about the answer."""

from __future__ import annotations

import re
from collections.abc import Sequence

from rftlab.core import InputError, Status, Task, Verdict
from rftlab.verifiers.base import Verifier


class Format(Verifier):
    """Passes a completion in which every tag stands exactly once, one closed before the next opens.

    With ``tags=[think, answer]`` that is ``<think>…</think> … <answer>…</answer>``; names are taken literally, upper
    and lower case apart. Text between, before and after the tags is allowed unless ``end`` is set. A completion
    without its tags is unparsable; one of the wrong length is read and fails. Lengths are characters of the whole
    completion: a verifier does not see tokens.

    Args:
        tags: names of the required tags, in order; [] = none.
        end: only white space may follow the last tag.
        min_chars: least characters of the completion, white space at both ends not counted.
        max_chars: most characters; null = any.
    """

    trusted = True

    def __init__(
        self,
        tags: Sequence[str] = ("think", "answer"),
        end: bool = True,
        min_chars: int = 0,
        max_chars: int | None = None,
    ) -> None:
        if isinstance(tags, str) or not all(isinstance(t, str) and re.fullmatch(r"[A-Za-z][\w-]*", t) for t in tags):
            raise InputError(f"tags={tags}: wanted a list of names, as in verifier.check.tags=[think,answer]")
        if len(set(tags)) < len(tags):
            raise InputError(f"tags={list(tags)}: a tag stands exactly once, verifier.check.tags=[think,answer]")
        if min_chars < 0 or (max_chars is not None and max_chars < max(1, min_chars)):
            raise InputError(
                f"min_chars={min_chars} and max_chars={max_chars}: no text has such a length, "
                "verifier.check.max_chars=null"
            )
        if not tags and not min_chars and max_chars is None:
            raise InputError("nothing is asked of the text: give verifier.check.tags=[think,answer]")
        self.tags, self.end, self.min_chars, self.max_chars = tuple(tags), end, min_chars, max_chars

    def grade(self, text: str, task: Task) -> Verdict:
        position = 0
        for tag in self.tags:
            begin, close = text.find(f"<{tag}>", position), text.find(f"</{tag}>", position)
            if not 0 <= begin < close or text.count(f"<{tag}>") != 1 or text.count(f"</{tag}>") != 1:
                return Verdict(0.0, False, Status.UNPARSABLE)
            position = close + len(tag) + 3
        length = len(text.strip())
        fits = self.min_chars <= length and (self.max_chars is None or length <= self.max_chars)
        passed = fits and not (self.end and self.tags and text[position:].strip())
        return Verdict(float(passed), passed, answer=within(text, self.tags[-1]) if self.tags else None)

    def dress(self, text: str) -> str:
        """A completion of the right shape whose last tag holds ``text``; with ``text`` too long for it, too long."""
        *before, last = self.tags or ("",)
        closed = [f"<{tag}>\n…\n</{tag}>\n" for tag in before]
        tail = f"<{last}>\n{text}\n</{last}>" if last else text
        missing = self.min_chars - len("".join([*closed, tail]).strip())
        if missing > 0 and closed:
            closed[0] = closed[0].replace("…", "…" * (missing + 1))
        elif missing > 0:  # in front, where no verifier looks for the answer
            closed = ["…" * missing + "\n"]
        return "".join([*closed, tail])

    def gold(self, task: Task) -> str:
        return self.dress(task.answer)

    def wrong(self, task: Task) -> list[str]:
        """Without, with twice, with swapped or unclosed tags; with something behind them; too short, too long."""
        gold, near = self.gold(task), []
        if self.tags:
            first, last = self.tags[0], self.tags[-1]
            near += ["", "no tags", gold + gold, gold.replace(f"</{last}>", ""), gold.replace(f"<{first}>", "")]
            near += [gold.replace(f"<{first}>", f"</{first}>")]
            near += [Format(self.tags[::-1]).dress(task.answer)] if len(self.tags) > 1 else []
            near += [gold + "\nOr so."] if self.end else []
        if self.min_chars:
            near += [self.dress(task.answer)[: self.min_chars - 1]]
        if self.max_chars is not None:
            near += [gold + "…" * self.max_chars]
        return list(dict.fromkeys(near))


def within(text: str, tag: str) -> str | None:
    """What the last closed ``<tag>…</tag>`` holds, without white space at both ends; None if there is none."""
    before, close, _ = text.rpartition(f"</{tag}>")
    _, begin, inside = before.rpartition(f"<{tag}>")
    return inside.strip() if close and begin else None
