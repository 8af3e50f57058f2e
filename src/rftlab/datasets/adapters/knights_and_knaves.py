"""Knights and knaves as Logic-RL publishes them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rftlab.datasets.rows import BadRow, Row, mapped

KEPT = ("quiz", "names", "statements", "solution_text_format")


def rows(found: Sequence[Row]) -> list[Row]:
    """Rows with the puzzle, who is what, and the number of people. The ready-made prompts are left out: they hold the
    chat template of one model."""
    return mapped(found, _puzzle)


def _puzzle(fields: dict[str, Any]) -> Mapping[str, Any]:
    names, solution = fields.get("names"), fields.get("solution")
    if names is None or solution is None or len(names) != len(solution):
        raise BadRow("has no 'solution' for each of its 'names'")
    return {key: fields.get(key) for key in KEPT} | {"people": len(names)}
