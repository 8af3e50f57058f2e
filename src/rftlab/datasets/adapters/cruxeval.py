"""CRUXEval as its authors publish it, in two directions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rftlab.datasets.rows import BadRow, Row, mapped

WANTED = ("code", "input", "output")


def output_rows(found: Sequence[Row]) -> list[Row]:
    """Rows that ask for the value of a call."""
    return mapped(found, lambda fields: _asked(fields, "output", "assert f({input}) == ?"))


def input_rows(found: Sequence[Row]) -> list[Row]:
    """Rows that ask for the arguments of a call with a given value."""
    return mapped(found, lambda fields: _asked(fields, "input", "assert f(?) == {output}"))


def _asked(fields: dict[str, Any], mode: str, line: str) -> Mapping[str, Any]:
    for key in WANTED:
        if not isinstance(fields.get(key), str):
            raise BadRow(f"has no {key!r}")
    line = line.replace("{input}", fields["input"]).replace("{output}", fields["output"])
    answer = fields["output"] if mode == "output" else f"f({fields['input']})"  # which may be f()
    return fields | {"mode": mode, "question": f"{fields['code'].rstrip()}\n\n{line}", "answer": answer}
