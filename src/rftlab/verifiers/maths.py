"""The completion must end in the right mathematical answer."""

from __future__ import annotations

import re
from collections.abc import Mapping
from fractions import Fraction
from importlib.util import find_spec
from typing import Any

from rftlab.core import InputError, Status, Task, Verdict
from rftlab.verifiers import misses
from rftlab.verifiers.base import Verifier
from rftlab.verifiers.echo import asked, echoes, without_asked
from rftlab.verifiers.final import final_answer
from rftlab.verifiers.formula import Slack, equal, symbolic
from rftlab.verifiers.latex import LIST, Group, Node, read, write

LENGTH = 3000
"""Characters of an answer; what is longer is none."""
SHOWN = 200
"""Characters of an answer that a verdict keeps."""
_OR = re.compile(r"\\text\s?\{\s*OR\s*\}")
_ESCAPED = re.compile(r"\\[{}]")
RELATIONS = ("<", ">", "\\le", "\\ge")


class Maths(Verifier):
    r"""Passes a completion whose final answer means what the gold answer means.

    Where a completion states its answer: ``final.final_answer``. Structure is compared first (``latex.read``):
    several answers in any order and none too many, tuples and matrices in order, intervals with their brackets. Then
    formulas one by one (``formula.equal``): as text, as exact numbers, by math-verify. A unit or a left side "x ="
    may be there or not; a decimal must be right to six places, unless a tolerance says otherwise.

    An answer is worked out. Where the gold answer is a plain number, ``2 + 3``, ``2^{10}`` and ``5!`` fail; fractions,
    decimals, mixed numbers and scientific notation are numbers. A formula of the question, handed back unchanged,
    fails unless the gold answer is spelt like it (``echo``). A question's formula that is changed a little and is
    still to be worked out passes where the gold answer is no plain number: the form of an answer is not compared. The
    left side of an equation is dropped if it is a name, or a formula that the question asks for (``a+b = 12``).

    It is counted as running the candidate: ``9^{9^{9^9}}`` would keep the computer algebra busy for ever, and a
    policy must not be able to take its failures out of the count that way. So the pool's deadline makes it a failed
    trial. A gold answer of that kind shows up in ``rftlab validate``; the same text is accepted without evaluating it.

    Args:
        tolerance: largest absolute difference of numbers that still passes; ``task.meta["tolerance"]`` comes first.
        relative: the same as a share of the gold number.
    """

    runs_candidate = True

    def __init__(self, tolerance: float = 0.0, relative: float = 0.0) -> None:
        for name, value in (("tolerance", tolerance), ("relative", relative)):
            if not 0 <= value < float("inf"):
                raise InputError(f"a {name} of {value}: wanted a number >= 0, verifier.check.{name}=0")
        if find_spec("math_verify") is None:
            raise InputError("verifier=math needs math-verify, which is missing: pip install math-verify")
        self.tolerance, self.relative = Fraction(str(tolerance)), Fraction(str(relative))

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        """A worker loads the computer algebra before it says that it is ready: no candidate pays for that second."""
        self.__dict__.update(state)
        symbolic("x+1", "1+x")

    def grade(self, text: str, task: Task) -> Verdict:
        if not task.answer.strip():
            raise ValueError("the gold answer is empty")
        if (braces := _ESCAPED.sub("", task.answer)).count("{") != braces.count("}"):
            raise ValueError(f"the gold answer {task.answer[:80]!r} has a brace that is never closed, or one too many")
        said = final_answer(text)
        if said is None or len(said) > LENGTH:
            return Verdict(0.0, False, Status.UNPARSABLE)
        slack, meant = self._slack(task), without_asked(said, task)
        passed = any(same(gold, read(meant, thousands=isinstance(gold, str)), slack) for gold in alternatives(task))
        passed = passed and not echoes(said, _spellings(task), task)
        return Verdict(float(passed), passed, answer=said[:SHOWN])

    def gold(self, task: Task) -> str:
        return rf"\boxed{{{task.answer}}}"

    def wrong(self, task: Task) -> list[str]:
        """Another value, sign, digit, order, bracket; a part too few or too many; the answer in a box but the last."""
        near = misses.maths(alternatives(task)[-1], self._slack(task))
        listed = [rf"\boxed{{{task.answer}}} or rather \boxed{{{other}}}" for other in near[:1]]
        near += [other for other in asked(task)[-1:] if echoes(other, _spellings(task), task)]
        return [*(rf"So it is \boxed{{{other}}}." for other in near), *listed, r"\boxed{}", "I do not know", ""]

    def alike(self, task: Task) -> list[str]:
        """The same answer in other frames, spellings and orders."""
        answer = task.answer.strip()
        frames = ["\\[\\boxed{ %s }\\]", "\\boxed{\\text{nothing}} no: \\boxed{%s}."]
        if not set("\n$") & set(answer):
            frames += ["#### %s", "Step 1.\nThe final answer is $%s$."]
        spelt = misses.spellings(alternatives(task)[-1])
        return [frame.replace("%s", answer) for frame in frames] + [rf"\boxed{{{other}}}" for other in spelt]

    def _slack(self, task: Task) -> Slack:
        own = task.meta.get("tolerance")
        return Slack(self.tolerance if own is None else Fraction(str(own)), self.relative)


def alternatives(task: Task) -> list[Node]:
    r"""The gold answers, any of which will do: some authors write ``0.09 \text{ OR } \frac{9}{100}``."""
    return [read(text) for text in _spellings(task)]


def _spellings(task: Task) -> list[str]:
    each = _OR.split(task.answer)
    return [task.answer, *each] if len(each) > 1 else each


def same(gold: Node, said: Node, slack: Slack) -> bool:
    """Whether two answers mean the same, part by part."""
    if isinstance(gold, str) and isinstance(said, str):
        return equal(gold, said, slack)
    if isinstance(gold, str) or isinstance(said, str):
        return _relation(gold, said)
    if len(gold.parts) != len(said.parts):
        return False
    if gold.kind == said.kind == LIST:
        return _any_order(gold.parts, said.parts, slack)
    return _brackets_fit(gold, said) and all(
        same(one, other, slack) for one, other in zip(gold.parts, said.parts, strict=True)
    )


def _any_order(gold: tuple[Node, ...], said: tuple[Node, ...], slack: Slack) -> bool:
    """Whether every part of one is a part of the other, each used once."""
    left = list(said)
    for part in gold:
        match = next((i for i, other in enumerate(left) if same(part, other, slack)), None)
        if match is None:
            return False
        del left[match]
    return True


def _brackets_fit(gold: Group, said: Group) -> bool:
    """Equal; or of three parts and more, where brackets say nothing; or left out, (1, 2) and 1, 2."""
    kinds = {gold.kind, said.kind}
    if len(kinds) == 1:
        return True
    if len(gold.parts) > 2:
        return kinds <= {"()", "[]", LIST}
    return kinds == {"()", LIST}


def _relation(gold: Node, said: Node) -> bool:
    """Whether one is an inequality and the other the interval that solves it, which math-verify can tell."""
    texts = sorted((write(gold), write(said)), key=lambda text: not any(sign in text for sign in RELATIONS))
    if not any(sign in texts[0] for sign in RELATIONS) or len(texts[0] + texts[1]) > SHOWN:
        return False
    return symbolic(*texts)
