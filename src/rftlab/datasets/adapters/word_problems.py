"""Word problems with a number as the answer: SVAMP, MAWPS; and AMC, whose answers are floats too."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from rftlab.datasets.rows import Row, mapped

ROUNDING = 0.005
"""By how much an answer that is no whole number may be off: two places of 0.6666666667 are enough."""


def svamp(found: Sequence[Row]) -> list[Row]:
    """``Body`` and ``Question`` as one text; one of the operations is misspelt upstream."""

    def change(fields: dict[str, Any]) -> Mapping[str, Any]:
        body = str(fields.get("Body", "")).strip()
        comma = "" if body.endswith((".", "?", "!", ",")) else ","
        operation = str(fields.get("Type")).replace("Divison", "Division")
        prompt = f"{body}{comma} {fields.get('Question')}"
        return fields | {"prompt": prompt, "answer": _whole(fields.get("Answer")), "operation": operation}

    return mapped(found, change)


def mawps(found: Sequence[Row]) -> list[Row]:
    """The name of the file as the category."""

    def change(fields: dict[str, Any]) -> Mapping[str, Any]:
        answer = _whole(fields.get("target"))
        return fields | {"answer": answer} | ({"tolerance": ROUNDING} if isinstance(answer, float) else {})

    parts = [replace(r, fields={**r.fields, "part": r.file.name.partition(".")[0]}) if r.file else r for r in found]
    return mapped(parts, change)


def amc(found: Sequence[Row]) -> list[Row]:
    """27.0 is 27."""
    return mapped(found, lambda fields: fields | {"answer": _whole(fields.get("answer"))})


def _whole(number: Any) -> Any:
    """A float without a fraction as an integer; anything else as it is."""
    return int(number) if isinstance(number, float) and number.is_integer() else number
