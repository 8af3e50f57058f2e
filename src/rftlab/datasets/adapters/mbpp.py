"""MBPP as its authors publish it, and its sanitized half."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rftlab.datasets.rows import BadRow, Row, mapped


def rows(found: Sequence[Row]) -> list[Row]:
    """Rows whose question shows the first test: without it nobody knows what the function is to be called."""
    return mapped(found, _question)


def _question(fields: dict[str, Any]) -> Mapping[str, Any]:
    text = fields.get("text") or fields.get("prompt")
    tests, code = fields.get("test_list"), fields.get("code")
    if not isinstance(text, str) or not isinstance(code, str) or not tests:
        raise BadRow("has no 'text', 'code' or 'test_list'")
    tests = [str(test).replace("\r\n", "\n").strip() for test in tests]
    code = code.replace("\r\n", "\n")
    setup = str(fields.get("test_setup_code") or "").replace("\r\n", "\n")
    question = f"{text.strip()}\n\nIt must pass:\n{tests[0]}"
    if setup:
        question += f"\n\nafter:\n{setup}"
    kept = {key: fields[key] for key in ("task_id", "test_imports", "challenge_test_list") if key in fields}
    return kept | {"question": question, "answer": code, "code": code, "test_list": tests, "test_setup_code": setup}
