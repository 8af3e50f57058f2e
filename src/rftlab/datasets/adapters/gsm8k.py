"""GSM8K as its authors publish it: the answer stands at the end of a worked solution."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rftlab.datasets.rows import Row, mapped


def rows(found: Sequence[Row]) -> list[Row]:
    """Rows with the number after ``####`` as their answer and the worked solution, which ends in it, kept beside."""
    return mapped(found, _with_gold)


def _with_gold(fields: dict[str, Any]) -> Mapping[str, Any]:
    worked = fields.get("answer")
    _, mark, number = worked.rpartition("####") if isinstance(worked, str) else ("", "", "")
    return fields | {"answer": number.strip().replace(",", "") if mark else None, "solution": worked}
