r"""A formula of the question that is handed back as its answer.

Computer algebra finds the ``99^2+99+1`` of "What is $99^2+99+1$?" equal to 9901, so a policy that boxes the last
formula of each question would be paid. Here spelling counts: what stands in the question is no answer to it, unless the
gold answer is spelt the same. Names and finished numbers are not looked at: they may well be right.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from math import gcd

from rftlab.core import Task
from rftlab.verifiers.final import formulas
from rftlab.verifiers.latex import canonical

_WORK = re.compile(r"[-+*/^!|=<>]|\\(?!pi(?![a-z])|infty|text|le(?:ft)?(?![a-z])|right)[a-z]{2,}")
_NUMBER = re.compile(
    r"-?(?:[0-9.,]*%?|\\frac\{(?P<top>[0-9]{1,300})\}\{(?P<bottom>[0-9]{1,300})\}|[0-9]{1,300}/[0-9]{1,300})"
)


def echoes(said: str, gold: Iterable[str], task: Task) -> bool:
    """Whether ``said`` stands in the question as a formula, or a side of one, and is none of the ``gold`` spellings."""
    spelt = spelling(said)
    own = {spelling(each) for each in gold}
    if spelt in own or spelt.rpartition("=")[2] in own:
        return False
    return _unfinished(spelt) and spelt in _parts(_question(task))


def asked(task: Task) -> list[str]:
    """The formulas of the question that leave something to work out, in order."""
    return [each for each in _formulas(_question(task)) if _unfinished(spelling(each))]


def without_asked(said: str, task: Task) -> str:
    """``a+b = 12`` as 12 where the question speaks of ``$a+b$`` and the gold answer is no equation; else as it is."""
    left, _, right = said.partition("=")
    if said.count("=") != 1 or "=" in task.answer:
        return said
    return right if spelling(left) in set(map(spelling, _formulas(_question(task)))) else said


def spelling(formula: str) -> str:
    """A formula without white space, brackets' sizes and other things that LaTeX spells in several ways."""
    return re.sub(r"\s", "", canonical(formula))


def _unfinished(spelt: str) -> bool:
    """Whether a spelling is more than a name or a number; a fraction that can be reduced is."""
    number = _NUMBER.fullmatch(spelt)
    if number is None:
        return _WORK.search(spelt) is not None
    return bool(number["top"]) and gcd(int(number["top"]), int(number["bottom"])) > 1


def _question(task: Task) -> str:
    return "\n".join(str(message["content"]) for message in task.prompt)


@lru_cache(maxsize=1024)  # of each task once for all of its rollouts
def _formulas(question: str) -> tuple[str, ...]:
    return tuple(question[slice(*span)] for span in formulas(question))


@lru_cache(maxsize=1024)
def _parts(question: str) -> frozenset[str]:
    """Spellings of the formulas and of their sides."""
    whole = list(map(spelling, _formulas(question)))
    return frozenset([*whole, *(side for each in whole for side in each.split("="))])
