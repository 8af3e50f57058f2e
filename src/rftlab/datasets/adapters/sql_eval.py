"""SQL-Eval: questions in one file, the PostgreSQL dumps of their databases and notes on the columns in ``db/``."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from rftlab.core import Task
from rftlab.datasets.rows import BadRow, Row, mapped
from rftlab.verifiers.sql import Sql

TODAY = re.compile(r"\bNOW\(\)|\bCURRENT_(?:DATE|TIMESTAMP)\b|'now'", re.IGNORECASE)
ORDER_ASKED = re.compile(r"\b(?:order|sort|arrange)", re.IGNORECASE)
DIALECT = ((re.compile(r"\bpublic\."), ""), (re.compile(r"::[a-z]+"), ""))
"""All that is translated of a dump: the name of the default schema and casts are dropped. What needs more is left out,
as a wrong translation would be a wrong gold answer."""


def rows(found: Sequence[Row]) -> list[Row]:
    """A row for each question with its database as a script.

    Left out with the reason: databases that hold or questions that ask for dates relative to today, whose answers
    change from day to day; dumps that SQLite does not read; gold queries that do not run or return nothing. ``ordered``
    says whether order counts, by SQL-Eval's rule: in its category or where the question asks for it.
    """
    located = [replace(row, fields={**row.fields, "folder": row.file and row.file.parent / "db"}) for row in found]
    return mapped(located, _question)


def _question(fields: dict[str, Any]) -> Mapping[str, Any]:
    folder: Path | None = fields["folder"]
    if folder is None:
        raise BadRow("is not from a local file, beside which the databases stand")
    question, answer, category = (str(fields.get(key) or "") for key in ("question", "query", "query_category"))
    script, schema = _database(folder / f"{fields.get('db_name')}.sql")
    if TODAY.search(script):
        raise BadRow(f"asks database {fields.get('db_name')!r}, which holds dates relative to today: answers change")
    if TODAY.search(answer):
        raise BadRow("asks for a date relative to today: its answer changes")
    hints = str(fields.get("instructions") or "").strip()
    asked = f"{question.strip()}\n{hints}".strip()
    done = {
        "prompt": f"{asked}\n\nThe database:\n```sql\n{schema}\n```",
        "answer": answer,
        "db_name": fields.get("db_name"),
        "query_category": category,
        "ordered": category == "order_by" or ORDER_ASKED.search(question) is not None,
        "database": script,
    }
    try:
        Sql().accepted(Task("", 0, (), answer, done))
    except ValueError as defect:
        raise BadRow(f"asks database {fields.get('db_name')!r}: {defect}") from None
    return done


@lru_cache(maxsize=64)
def _database(dump: Path) -> tuple[str, str]:
    """The dump in SQLite's dialect, and its tables as text for a prompt, with the notes on columns that there are."""
    try:
        script = dump.read_text(encoding="utf-8")
    except OSError as error:
        raise BadRow(f"asks a database whose dump {dump.name} cannot be read: {error.strerror}") from None
    for pattern, replacement in DIALECT:
        script = pattern.sub(replacement, script)
    notes = dump.with_suffix(".json")
    if not notes.is_file():
        return script, "\n".join(re.findall(r"CREATE TABLE.*?;", script, re.DOTALL))
    tables = json.loads(notes.read_text(encoding="utf-8"))["table_metadata"]
    return script, "\n".join(_table(name, columns) for name, columns in tables.items())


def _table(name: str, columns: Sequence[Mapping[str, str]]) -> str:
    last = len(columns) - 1
    lines = [
        f"  {c['column_name']} {c['data_type']}{',' if i < last else ''} -- {c['column_description']}"
        for i, c in enumerate(columns)
    ]
    return "\n".join([f"CREATE TABLE {name} (", *lines, ");"])
