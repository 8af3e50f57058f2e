"""A shaped reward: several verifiers look at one completion. What passes is still decided by the answer alone."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rftlab import targets
from rftlab.core import InputError, Status, Task, Verdict
from rftlab.verifiers.base import Verifier
from rftlab.verifiers.format import Format, within


@dataclass(frozen=True)
class Part:
    """One verifier of a composite."""

    check: Verifier
    weight: float
    within: str | None
    """The part sees only what the last closed tag of this name holds."""

    def grade(self, text: str, task: Task) -> Verdict:
        seen = text if self.within is None else within(text, self.within)
        if seen is None:
            return Verdict(0.0, False, Status.UNPARSABLE)
        verdict = self.check.grade(seen, task)
        if not verdict.valid or not 0.0 <= verdict.score <= 1.0:
            raise ValueError(f"{type(self.check).__name__} said {verdict.status}, score {verdict.score}")
        return verdict


class Composite(Verifier):
    """Scores a completion by the weighted mean of its parts; passes it by the parts named in ``passed``.

    With weights w and scores s of the parts, score = sum(w * s) / sum(w), in [0, 1]. Accuracy, pass rates and whatever
    samplers believe go by ``passed``, advantages by the score: a completion can be paid for its shape and is still
    wrong. Status and parsed answer are those of the deciding parts (the first that is not ok). A part that fails as a
    grader makes the whole a fault. All parts share one deadline and one memory limit.

    Args:
        parts: name -> ``check`` (a node of a verifier), ``weight`` (>= 0) and, where wanted, ``within`` (name of a tag:
            the part sees only what the last ``<tag>…</tag>`` holds). ``name`` and ``pool``, which come along when a
            part is chosen from ``conf/verifier``, are not read.
        passed: the part, or the list of parts that must all pass.
    """

    def __init__(self, parts: Mapping[str, Any], passed: str | Sequence[str] = "answer") -> None:
        if not isinstance(parts, Mapping) or not parts:
            raise InputError("a composite without parts: give verifier.check.parts.answer.check._target_=…")
        self.parts = {name: _part(name, node) for name, node in parts.items()}
        self.passed = (passed,) if isinstance(passed, str) else tuple(passed)
        if not self.passed or not set(self.passed) <= set(self.parts):
            raise InputError(
                f"passed={passed}: wanted one of the parts {', '.join(self.parts)}, as in "
                f"verifier.check.passed={next(iter(self.parts))}"
            )
        self.total = sum(part.weight for part in self.parts.values())
        if not self.total > 0:
            raise InputError(f"every part has weight 0: verifier.check.parts.{self.passed[0]}.weight=1")
        self.trusted = all(part.check.trusted for part in self.parts.values())
        self.runs_candidate = any(part.check.runs_candidate for part in self.parts.values())

    def runs(self, task: Task) -> bool:
        return any(part.check.runs(task) for part in self.parts.values())

    def limits(self, deadline: float, memory_gib: float | None) -> tuple[float, float | None]:
        """The widest that a part asks for."""
        asked = [part.check.limits(deadline, memory_gib) for part in self.parts.values()]
        memory = [gib for _, gib in asked if gib is not None]
        return max(seconds for seconds, _ in asked), max(memory) if len(memory) == len(asked) else None

    def grade(self, text: str, task: Task) -> Verdict:
        said = {name: part.grade(text, task) for name, part in self.parts.items()}
        score = sum(self.parts[name].weight * verdict.score for name, verdict in said.items()) / self.total
        deciding = [said[name] for name in self.passed]
        first = next((v for v in deciding if v.status is not Status.OK), deciding[0])
        return Verdict(min(1.0, score), all(v.passed for v in deciding), first.status, first.answer)

    def gold(self, task: Task) -> str:
        return self._dressed(self.parts[self.passed[0]].check.gold(task))

    def wrong(self, task: Task) -> list[str]:
        """The near misses of every deciding part, in the right shape, and those that lack their tag."""
        deciding = [self.parts[name] for name in self.passed]
        near = [self._dressed(text) for part in deciding for text in part.check.wrong(task)]
        return list(dict.fromkeys(near + [part.check.gold(task) for part in deciding if part.within]))

    def alike(self, task: Task) -> list[str]:
        deciding = self.parts[self.passed[0]].check
        return [self._dressed(text) for text in deciding.alike(task)] if len(self.passed) == 1 else []

    def _dressed(self, text: str) -> str:
        """``text`` as the format part wants it, else in the tags that the deciding parts read."""
        for part in self.parts.values():
            if isinstance(part.check, Format):
                return part.check.dress(text)
        tag = self.parts[self.passed[0]].within
        return f"<{tag}>\n{text}\n</{tag}>" if tag else text


def _part(name: str, node: Any) -> Part:
    key = f"verifier.check.parts.{name}"
    if not isinstance(node, Mapping) or "check" not in node:
        raise InputError(f"{key} has no check: choose one with +verifier@{key}=number")
    if unknown := set(node) - {"check", "weight", "within", "name", "pool"}:
        raise InputError(f"{key}.{sorted(unknown)[0]}: no such key; {key} has check, weight, within")
    weight, tag = node.get("weight", 1.0), node.get("within")
    if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 <= weight < float("inf"):
        raise InputError(f"{key}.weight={weight}: wanted a number >= 0")
    if tag is not None and not isinstance(tag, str):
        raise InputError(f"{key}.within={tag}: wanted the name of a tag, or null")
    return Part(targets.build(f"{key}.check", node["check"], Verifier), float(weight), tag)
