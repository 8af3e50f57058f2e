"""The completion must say of every person whether they are a knight or a knave."""

from __future__ import annotations

import re

from rftlab.core import Status, Task, Verdict
from rftlab.verifiers.base import Verifier
from rftlab.verifiers.fences import after_thoughts

KINDS = ("knight", "knave")
WINDOW = 80
"""Characters before a kind in which its person must stand: keeps reading linear in the text."""

_KIND = re.compile(r"\b(knights?|knaves?)\b", re.IGNORECASE)
# What stands between the last name and the kind: "Zoey is a", "Zoey: ", "**Zoey:** ", "**Zoey** - **", "| Zoey | ".
_PERSON = re.compile(
    r"(?<![\w'’-])([^\W\d_][\w'’-]*)[*_`\"]*"
    r"(?:\s+is\s+(?:an?\s+)?|\s*(?::|=|\||->|→|[-–—]\s)[*_`\"]*\s*(?:an?\s+)?)[*_`\"]*\Z"
)


class KnightsAndKnaves(Verifier):
    """Passes a completion that gives every person the kind that the answer gives.

    Read is what the last ``<answer>`` tag holds, else the last run of lines that speak of knights and knaves. There,
    every mention of a kind must belong to one person ("Zoey is a knight", "Zoey: knave"), so hedges ("a knight or a
    knave"), negations ("is not a knave") and groups ("both are knights") are no answer. Nobody may be missing, unknown
    or be given both kinds; saying the same twice is allowed. As puzzles have one solution, assignments are compared
    and statements are not evaluated.
    """

    trusted = True

    def grade(self, text: str, task: Task) -> Verdict:
        gold = self._gold(task)
        region = answer_region(text)
        said = assignment(region) if region else None
        if said is None:
            return Verdict(0.0, False, Status.UNPARSABLE)
        passed = said == gold
        return Verdict(float(passed), passed, answer=dressed(said))

    def gold(self, task: Task) -> str:
        return f"<answer>\n{dressed(self._gold(task))}\n</answer>"

    def alike(self, task: Task) -> list[str]:
        """A sentence, a numbered list, the list after wrong thoughts, a table in bold, another order in capitals."""
        gold = self._gold(task)
        sentence = ", ".join(f"{name} is a {kind}" for name, kind in gold.items())
        numbered = "\n".join(f"({i}) {name} is a {kind}" for i, (name, kind) in enumerate(gold.items(), 1))
        bold = "\n".join(f"| **{name}** | **{kind.title()}** |" for name, kind in gold.items())
        other_order = "\n".join(f"{name.upper()} - {kind.upper()}" for name, kind in reversed(gold.items()))
        return [
            f"So {sentence}.",
            f"Conclusion:\n\n{numbered}",
            f"<think>{_flipped(gold, *gold)}</think><answer>{numbered}</answer>",
            f"<answer>{bold}</answer>",
            f"<answer>{other_order}</answer>",
        ]

    def wrong(self, task: Task) -> list[str]:
        """Each single flip, all flipped, one missing, one too many, one given both kinds, hedges, nothing."""
        gold = self._gold(task)
        first, kind = next(iter(gold.items()))
        full = dressed(gold)
        texts = [_flipped(gold, name) for name in gold]
        texts += [
            _flipped(gold, *gold),
            dressed({n: k for n, k in gold.items() if n != first}),
            f"{full}\nNobody: {kind}",
        ]
        texts += [f"{full}\n{first}: {_other(kind)}", "\n".join(f"{n} is a knight or a knave" for n in gold)]
        texts += ["\n".join(f"{n} is not a {k}" for n, k in gold.items()), "", ", ".join(gold)]
        return [f"<answer>{text}</answer>" for text in texts] + ["", f"<answer>{full}</answer><answer></answer>"]

    def _gold(self, task: Task) -> dict[str, str]:
        found = assignment(task.answer)
        if not found:
            raise ValueError(f"the gold answer {task.answer[:80]!r} does not say who is a knight and who is a knave")
        return found


def answer_region(text: str) -> str:
    """What the last ``<answer>`` after the thoughts holds, else the last run of lines (none empty) that name a kind."""
    text = after_thoughts(text)
    _, tag, inside = text.rpartition("<answer>")
    if tag:
        return inside.partition("</answer>")[0]
    run: list[str] = []
    for line in reversed(text.splitlines()):
        if _KIND.search(line):
            run.append(line)
        elif run:
            break
    return "\n".join(reversed(run))


def assignment(text: str) -> dict[str, str] | None:
    """Capitalised person -> kind; None where a mention of a kind belongs to nobody or a person has both."""
    found: dict[str, str] = {}
    for mention in _KIND.finditer(text):
        before = text[max(0, mention.start() - WINDOW) : mention.start()]
        person = _PERSON.search(before)
        if person is None or mention.group().lower() not in KINDS:
            return None
        if found.setdefault(person[1].capitalize(), mention.group().lower()) != mention.group().lower():
            return None
    return found or None


def dressed(kinds: dict[str, str]) -> str:
    """One person a line."""
    return "\n".join(f"{name}: {kind}" for name, kind in kinds.items())


def _flipped(kinds: dict[str, str], *names: str) -> str:
    return dressed({name: _other(kind) if name in names else kind for name, kind in kinds.items()})


def _other(kind: str) -> str:
    return KINDS[1 - KINDS.index(kind)]
