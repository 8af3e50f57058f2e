"""BFCL: questions with their functions in some files, the accepted calls in others, joined by id."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from rftlab.datasets.rows import BadRow, Row, mapped

TYPES = {"dict": "object", "float": "number", "tuple": "array"}
"""BFCL's names of types -> JSON Schema's."""


def rows(found: Sequence[Row]) -> list[Row]:
    """A row for each question: its text and its functions as the prompt, the accepted calls as JSON for the answer.

    ``functions`` are the schemas in JSON Schema's words, ``kind`` is the id without its number (``simple_python``).
    """
    answers = {row.fields["id"]: row.fields["ground_truth"] for row in found if "ground_truth" in row.fields}

    def joined(fields: dict[str, Any]) -> Mapping[str, Any] | None:
        if "ground_truth" in fields:
            return None
        functions = [_json_schema(function) for function in fields.get("function") or ()]
        if fields.get("id") not in answers:
            raise BadRow(f"has no possible answer for its id {fields.get('id')!r}")
        shown = "\n".join(json.dumps(function) for function in functions)
        return {
            "id": fields["id"],
            "prompt": f"{_request(fields)}\n\nThese functions can be called:\n{shown}",
            "answer": json.dumps(answers[fields["id"]]),
            "functions": functions,
            "kind": fields["id"].rpartition("_")[0],
        }

    return mapped(found, joined)


def _request(fields: Mapping[str, Any]) -> str:
    match fields.get("question"):
        case [[{"role": "user", "content": str(request)}]]:
            return request
    raise BadRow("has a 'question' that is not one message of a user")


def _json_schema(node: Any) -> Any:
    """A function or a part of its schema with JSON Schema's type names; ``any`` is no restriction."""
    if isinstance(node, list):
        return [_json_schema(each) for each in node]
    if not isinstance(node, dict):
        return node
    kept = {k: v for k, v in node.items() if not (k == "type" and v == "any")}
    return {k: TYPES.get(v, v) if k == "type" and isinstance(v, str) else _json_schema(v) for k, v in kept.items()}
