"""The completion must match a regular expression, or what the expression captures must be the answer."""

from __future__ import annotations

import re
from functools import lru_cache

from rftlab.core import InputError, Status, Task, Verdict
from rftlab.verifiers.base import Verifier

SHOWN = 200
"""Characters of an answer that a verdict keeps."""


class Pattern(Verifier):
    r"""Passes a completion by a regular expression (Python's ``re``).

    Without ``pattern`` the answer of the task is the expression: it must match the whole completion, white space around
    it aside, or some part of it with ``anywhere``. With ``pattern``, that is searched for in the completion; the last
    match counts, and its group ``answer``, else its first group, else all of it must be the task's answer, white space
    around it aside.

    It is counted as running the candidate: an expression like ``(a+)+b`` can be kept busy for ever by a text, and a
    policy must not be able to take its failures out of the count that way. The pool's deadline makes it a failed trial.

    Args:
        pattern: e.g. ``Answer: (?P<answer>\w+)``; None = every task's answer is its own expression.
        anywhere: without ``pattern``: whether it is enough that a part matches.
        ignore_case: whether letters may be of either case, in the expression and in the comparison.
        example: a completion that passes, {answer} in it, for ``rftlab validate``; ``task.meta["example"]`` is first.
    """

    runs_candidate = True

    def __init__(
        self,
        pattern: str | None = None,
        anywhere: bool = False,
        ignore_case: bool = False,
        example: str = "{answer}",
    ) -> None:
        if pattern is not None and anywhere:
            raise InputError("a pattern is searched for anywhere in any case: verifier.check.anywhere=false")
        self.pattern, self.anywhere, self.example = pattern, anywhere, example
        self.flags = re.IGNORECASE if ignore_case else 0
        if pattern is not None:
            try:
                compiled(pattern, self.flags)
            except ValueError as error:
                raise InputError(
                    f"verifier.check.pattern={pattern!r} {error}: in a shell, verifier.check.pattern='\"Answer: (.*)\"'"
                ) from None

    def grade(self, text: str, task: Task) -> Verdict:
        if self.pattern is None:
            expression = compiled(task.answer, self.flags)
            whole = expression.search(text) if self.anywhere else expression.fullmatch(text.strip())
            passed, said = whole is not None, whole and whole.group()
            return Verdict(float(passed), passed, answer=said and said[:SHOWN])
        found = None
        for match in compiled(self.pattern, self.flags).finditer(text):
            found = match
        if found is None:
            return Verdict(0.0, False, Status.UNPARSABLE)
        said = captured(found).strip()
        passed = self._key(said) == self._key(task.answer.strip())
        return Verdict(float(passed), passed, answer=said[:SHOWN])

    def gold(self, task: Task) -> str:
        return str(task.meta.get("example") or self.example.replace("{answer}", task.answer))

    def wrong(self, task: Task) -> list[str]:
        """Nothing and, where a pattern captures the answer, another answer in its place."""
        if self.pattern is None:
            return [] if compiled(task.answer, self.flags).fullmatch("") else [""]
        other = self.example.replace("{answer}", f"{task.answer[::-1]}{task.answer}")
        return ["", other]

    def _key(self, text: str) -> str:
        return text.casefold() if self.flags else text


def captured(match: re.Match[str]) -> str:
    """The group ``answer``, else the first group, else the whole match; "" if that took no part in it."""
    which = "answer" if "answer" in match.re.groupindex else min(1, match.re.groups)
    return match.group(which) or ""


@lru_cache(maxsize=4096)
def compiled(expression: str, flags: int) -> re.Pattern[str]:
    """A compiled expression; ``ValueError`` says what is wrong with it."""
    try:
        return re.compile(expression, flags)
    except (re.error, RecursionError, OverflowError) as error:
        raise ValueError(f"is no regular expression ({error})") from None
