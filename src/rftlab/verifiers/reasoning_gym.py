"""Answers to items of the package ``reasoning_gym``, scored by the family that made them."""

from __future__ import annotations

import importlib
import re
from typing import Any

from rftlab.core import InputError, Status, Task, Verdict
from rftlab.verifiers.base import Verifier
from rftlab.verifiers.fences import after_thoughts
from rftlab.verifiers.number import parse_number

_SAID = re.compile(r"(?i)\banswer is:?")
SHOWN = 500
"""Characters of an answer that a verdict shows."""


class ReasoningGym(Verifier):
    """Passes an answer that the item's own family scores with at least ``pass_at``.

    After the thoughts (``</think>``), the answer is what stands in the last ``<answer>...</answer>``, else after the
    last ``####``, else after the last "answer is" (without a final full stop), else the whole text. The item is built
    anew from ``task.meta``. What the family cannot read scores 0; only if it cannot read its own answer either, the
    grader has failed.

    Args:
        pass_at: the score that passes, in (0, 1]. 1 = right; less lets partial credit pass.
        partial: give the family's partial credit as the score. Some families give 0.01 to 0.25 to any text at all,
            which moves advantages; false = the score is 1 where the answer passes, else 0.
    """

    runs_candidate = True  # sympy works on an answer of some families: 9**9**9 is its author's doing

    def __init__(self, pass_at: float = 1.0, partial: bool = True) -> None:
        if not 0 < pass_at <= 1:
            raise InputError(
                f"a passing score of {pass_at:g}: wanted more than 0 and at most 1, verifier.check.pass_at=1"
            )
        self.pass_at, self.partial = pass_at, partial

    def __setstate__(self, state: dict[str, Any]) -> None:
        """In a worker: imports the package before the worker is ready, so that no completion pays for it."""
        self.__dict__.update(state)
        importlib.import_module("reasoning_gym")

    def grade(self, text: str, task: Task) -> Verdict:
        said = stated(text)
        if not said:
            return Verdict(0.0, False, Status.UNPARSABLE)
        try:
            score = self._score(said, task)
        except MemoryError:
            raise
        except Exception:
            if task.answer.strip():
                self._score(task.answer, task)
            return Verdict(0.0, False, Status.UNPARSABLE, said[:SHOWN])
        passed = score >= self.pass_at
        return Verdict(score if self.partial else float(passed), passed, answer=said[:SHOWN])

    def gold(self, task: Task) -> str:
        if not task.answer.strip():
            raise ValueError(f"family {task.meta['family']} stores no answer: it can be scored but not shown")
        return f"<answer>{task.answer}</answer>"

    def wrong(self, task: Task) -> list[str]:
        """No answer, no sense, and, for numbers, another one far off (families know tolerances)."""
        value = parse_number(task.answer)
        off = [f"<answer>{2 * value + 3}</answer>"] if value is not None and value != -3 else []
        return ["", "<answer></answer>", "<answer>?</answer>", "The answer is", "?", *off]

    def alike(self, task: Task) -> list[str]:
        gold = task.answer
        if not gold.strip():
            return []
        dressed = [f"So be it.\n<answer>\n{gold}\n</answer>\n", f"<answer>x</answer> No: <answer>{gold}</answer>"]
        plain = stated(gold) == gold and not gold.endswith(".")
        return [*dressed, gold, f"The answer is {gold}", f"#### {gold}\n"] if plain else dressed

    def _score(self, said: str, task: Task) -> float:
        from rftlab.datasets import gym_items

        meta = task.meta
        return gym_items.score(meta["family"], meta["parameters"], meta["seed"], meta["index"], said)


def stated(text: str) -> str:
    """The answer that a completion states after its thoughts."""
    text = after_thoughts(text)
    before, tag, _ = text.rpartition("</answer>")
    if tag and "<answer>" in before:
        return before.rpartition("<answer>")[2].strip()
    _, mark, after = text.rpartition("####")
    if mark:
        return after.strip()
    end = max((found.end() for found in _SAID.finditer(text)), default=None)
    return text.strip() if end is None else text[end:].strip().removesuffix(".")
