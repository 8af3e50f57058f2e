"""Mathematics as its sets publish it: MATH and MATH-500, AIME, OlympiadBench, Minerva's university courses."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from rftlab.datasets.rows import BadRow, Row, mapped
from rftlab.verifiers.boxes import last_box

ROUNDING = 0.01
"""By how much of itself a rounded answer of Minerva's courses may be off: constants and intermediate steps vary."""


def math(found: Sequence[Row]) -> list[Row]:
    """``level`` 1-5 and ``subject`` under these names; without an ``answer``, the last box of the solution."""

    def change(fields: dict[str, Any]) -> Mapping[str, Any]:
        level = re.fullmatch(r"(?:Level )?([1-5])(?:\.0)?", str(fields.get("level", fields.get("difficulty"))))
        if level is None:
            raise BadRow(f"has the level {fields.get('level', fields.get('difficulty'))!r}, wanted 1 to 5")
        answer = fields["answer"] if "answer" in fields else last_box(str(fields.get("solution")))
        return fields | {"answer": answer, "level": int(level[1]), "subject": fields.get("subject", fields.get("type"))}

    return mapped(found, change)


def aime(found: Sequence[Row]) -> list[Row]:
    """Several solutions in one text become ``worked``: not each of them ends in the answer."""
    return mapped(found, _worked)


def olympiadbench(found: Sequence[Row]) -> list[Row]:
    """``final_answer``, a list of one text that may hold several answers, ``error`` as the tolerance of that task, and
    the unit as part of the question."""

    def change(fields: dict[str, Any]) -> Mapping[str, Any]:
        answers = fields.get("final_answer")
        if not isinstance(answers, list) or not all(isinstance(each, str) for each in answers):
            raise BadRow("has no list of texts under 'final_answer'")
        unit, context = fields.get("unit"), fields.get("context")
        lines = [context, fields.get("question"), f"Give the answer in this unit: {unit}" if unit else None]
        tolerance = {"tolerance": float(fields["error"])} if fields.get("error") else {}
        prompt = "\n".join(line for line in lines if line)
        return _worked(fields) | {"prompt": prompt, "answer": ", ".join(answers)} | tolerance

    return mapped(found, change)


def minerva(found: Sequence[Row]) -> list[Row]:
    """The box in the solution is the answer; one with a decimal point or an exponent is rounded and has a tolerance."""

    def change(fields: dict[str, Any]) -> Mapping[str, Any]:
        answer = last_box(str(fields.get("solution")))
        if answer is None:
            raise BadRow("has no \\boxed{} in its solution")
        rounded = re.fullmatch(r"[-+]?[0-9]*(?:\.[0-9]+)?(?:e[-+]?[0-9]+)?", answer) and re.search(r"[.e]", answer)
        return fields | {"answer": answer} | ({"tolerance": ROUNDING * abs(float(answer))} if rounded else {})

    return mapped(found, change)


def _worked(fields: dict[str, Any]) -> dict[str, Any]:
    return {("worked" if key == "solution" else key): value for key, value in fields.items()}
