"""HumanEval as its authors publish it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rftlab.datasets.rows import BadRow, Row, mapped

WANTED = ("prompt", "entry_point", "canonical_solution", "test")


def rows(found: Sequence[Row]) -> list[Row]:
    """Rows that keep the head of the function under ``starter`` too: a completion may continue it."""
    return mapped(found, _with_starter)


def _with_starter(fields: dict[str, Any]) -> Mapping[str, Any]:
    for key in WANTED:
        if not isinstance(fields.get(key), str):
            raise BadRow(f"has no {key!r}")
    return fields | {"starter": fields["prompt"], "answer": fields["prompt"] + fields["canonical_solution"]}
