"""The whole completion must be the answer."""

from __future__ import annotations

from rftlab.core import Status, Task, Verdict
from rftlab.verifiers.base import Verifier


class Exact(Verifier):
    """Passes a completion whose text equals the answer.

    Args:
        strip: ignore white space at both ends.
        casefold: ignore upper and lower case.
    """

    trusted = True

    def __init__(self, strip: bool = True, casefold: bool = False) -> None:
        self.strip = strip
        self.casefold = casefold

    def grade(self, text: str, task: Task) -> Verdict:
        said = self._normal(text)
        if not said:
            return Verdict(0.0, False, Status.UNPARSABLE)
        passed = said == self._normal(task.answer)
        return Verdict(float(passed), passed, answer=said)

    def wrong(self, task: Task) -> list[str]:
        gold = task.answer
        near = ["", gold + gold, gold + "x", "x" + gold, gold[:-1], gold[1:], gold[::-1]]
        return [text for text in dict.fromkeys(near) if self._normal(text) != self._normal(gold)]

    def _normal(self, text: str) -> str:
        text = text.strip() if self.strip else text
        return text.casefold() if self.casefold else text
