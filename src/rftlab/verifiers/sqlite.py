"""Queries that a model wrote, run on a SQLite database that they cannot change, leave or exhaust."""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

HEAP_MIB = 256
"""What SQLite may allocate in a process, databases in memory included: bounds sorters and materialised queries."""
COPIED_MIB = 16
"""Of a larger database no variants are made."""
STEPS = 10_000
"""Instructions of SQLite's virtual machine between two looks at the clock."""

ALLOWED = {sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE}
LIMIT_ERRORS = {"SQLITE_INTERRUPT", "SQLITE_TOOBIG", "SQLITE_FULL"}


class QueryError(ValueError):
    """The query cannot be run: garbled, about tables that are not there, more than one, or no mere query."""


class QueryLimit(RuntimeError):
    """The query exceeded its limits."""


@dataclass(frozen=True)
class Limits:
    """What one query may use."""

    seconds: float = 2.0
    rows: int = 10_000
    value_bytes: int = 1_000_000
    """Of one value or row: ``zeroblob``, ``replace`` and ``group_concat`` end here."""
    result_bytes: int = 10_000_000


@dataclass(frozen=True)
class Result:
    """What a query has returned."""

    names: tuple[str, ...]
    """Of the columns."""
    rows: list[tuple[Any, ...]]
    tables: frozenset[str]
    """Tables of the database that it reads, in lower case."""


class Database:
    """A database that is only ever read: from a script, in memory, or from a file, opened immutable.

    SQLite looks at the clock between instructions: one slow function, like ``printf`` of a billion characters, is for
    the caller's own deadline to stop.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._read: set[str] = set()
        pages, size = (connection.execute(f"PRAGMA page_{what}").fetchone()[0] for what in ("count", "size"))
        self._bytes = pages * size
        names = connection.execute("SELECT lower(name) FROM sqlite_master WHERE type IN ('table', 'view')")
        self.tables = frozenset(name for (name,) in names)
        columns = [
            c
            for table in sorted(self.tables)
            for c in connection.execute("SELECT name FROM pragma_table_info(?)", [table])
        ]
        self.columns = tuple(dict.fromkeys(name for (name,) in columns))
        for setting in (
            "query_only=ON",
            "temp_store=MEMORY",
            "trusted_schema=OFF",
            f"hard_heap_limit={HEAP_MIB << 20}",
        ):
            connection.execute(f"PRAGMA {setting}").fetchall()
        connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        connection.setlimit(sqlite3.SQLITE_LIMIT_SQL_LENGTH, 100_000)
        connection.set_authorizer(self._allow)

    @cached_property
    def variants(self) -> list[Database]:
        """Databases of the same tables without their odd rows, without their even rows, without any row."""
        if self._bytes > COPIED_MIB << 20:
            return []
        return [self._without(rows) for rows in ("rowid % 2 = 1", "rowid % 2 = 0", "true")]

    def _without(self, rows: str) -> Database:
        copy = _connected(":memory:")
        self._connection.backup(copy)
        for (table,) in copy.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            with contextlib.suppress(sqlite3.Error):  # a table without row numbers or of SQLite's own keeps its rows
                copy.execute(f'DELETE FROM "{table}" WHERE {rows}')
        return Database(copy)

    def run(self, sql: str, limits: Limits) -> Result:
        """The rows of one SELECT; ``QueryError`` or ``QueryLimit``."""
        until = time.monotonic() + limits.seconds
        self._read.clear()
        self._connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, limits.value_bytes)
        self._connection.set_progress_handler(lambda: time.monotonic() > until, STEPS)
        try:
            cursor = self._connection.execute(sql)
            rows = _fetched(cursor, limits, until)
        except MemoryError:
            raise QueryLimit(f"more than {HEAP_MIB} MiB of memory") from None
        except sqlite3.Error as error:
            if getattr(error, "sqlite_errorname", "") in LIMIT_ERRORS:
                raise QueryLimit(str(error)) from None
            raise QueryError(str(error)[:300]) from None
        except (sqlite3.Warning, ValueError, OverflowError) as error:  # two statements, NUL, half a surrogate pair
            raise QueryError(str(error)[:300]) from None
        if cursor.description is None:
            raise QueryError("no query")
        names = tuple(column[0] for column in cursor.description)
        return Result(names, rows, frozenset(self._read & self.tables))

    def _allow(self, action: int, first: str | None, second: str | None, *_: str | None) -> int:
        if action == sqlite3.SQLITE_READ and first:
            self._read.add(first.lower())
        forbidden = action not in ALLOWED or (action == sqlite3.SQLITE_FUNCTION and second == "load_extension")
        return sqlite3.SQLITE_DENY if forbidden else sqlite3.SQLITE_OK


def database(fields: Mapping[str, Any]) -> Database:
    """The database of a task: ``database``, a script that makes it, else ``database_file``, the path of one.

    Opened once in a process. ``ValueError`` where it cannot be.
    """
    if fields.get("database"):
        return _from_script(str(fields["database"]))
    if fields.get("database_file"):
        return _from_file(str(fields["database_file"]))
    raise ValueError("the task has no 'database' (an SQL script) and no 'database_file' (a path)")


@lru_cache(maxsize=64)
def _from_script(script: str) -> Database:
    connection = _connected(":memory:")
    try:
        connection.executescript(script)
    except sqlite3.Error as error:
        raise ValueError(f"its database does not load into SQLite: {error}") from None
    return Database(connection)


@lru_cache(maxsize=64)
def _from_file(path: str) -> Database:
    try:
        return Database(_connected(f"{Path(path).resolve().as_uri()}?mode=ro&immutable=1"))
    except sqlite3.Error as error:
        raise ValueError(f"its database {path!r} cannot be opened: {error}") from None


def _connected(name: str) -> sqlite3.Connection:
    # No statement is kept: what a query reads is told only while it is prepared.
    return sqlite3.connect(name, isolation_level=None, cached_statements=0, uri=True, check_same_thread=False)


def _fetched(cursor: sqlite3.Cursor, limits: Limits, until: float) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = []
    size = 0
    for row in cursor:
        rows.append(row)
        size += sum(len(value) if isinstance(value, str | bytes) else 8 for value in row)
        if len(rows) > limits.rows or size > limits.result_bytes or time.monotonic() > until:
            cursor.close()
            raise QueryLimit(f"more than {limits.rows:,} rows, {limits.result_bytes:,} bytes or {limits.seconds:g} s")
    return rows
