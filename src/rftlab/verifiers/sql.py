"""The completion's query must return what an accepted query returns."""

from __future__ import annotations

import itertools
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from rftlab.core import InputError, Status, Task, Verdict
from rftlab.verifiers.base import Verifier
from rftlab.verifiers.sql_misses import near_misses
from rftlab.verifiers.sql_text import accepted_queries, order_terms, query_in, with_columns
from rftlab.verifiers.sqlite import Database, Limits, QueryError, QueryLimit, Result, database

Rows = list[tuple[Any, ...]]

MISSES = 24
"""Near misses of a gold query that are offered at most."""


@dataclass(frozen=True)
class Accepted:
    """A gold query and what it returns, values made comparable."""

    sql: str
    width: int
    rows: Rows
    groups: tuple[int, ...]
    """Row numbers at which a group begins, and the number of rows. The order of groups counts, within one it does not:
    one group without ORDER BY, one for each set of ties with it."""
    differs_on: tuple[Database, ...]
    """Variants of the database on which it returns other rows: a query that returns the same there is wrong."""


class Sql(Verifier):
    """Runs the completion's query on the task's database and passes it if its result is that of an accepted query.

    The query is the last fenced SQL block, else the last paragraph that begins with SELECT or WITH. ``Task.meta`` holds
    the SQLite database: ``database``, a script that makes it (in memory, once in a worker), or ``database_file``, the
    path of one (opened immutable). The answer holds the accepted queries in SQL-Eval's notation (``sql_text``).

    Results are compared as bags of rows: duplicates count, names of columns do not, nor does their order, and their
    number must be right. Numbers agree in ``digits`` significant digits, integers wholly; texts agree exactly. Where an
    accepted query has ORDER BY at its top level, order counts too, except among rows that tie (``ordered: false`` in
    the row switches that off). SQL-Eval's own comparison is wider: it drops duplicate rows and allows further columns.

    A right result may be luck or written down: a query is refused if it reads no table, or if it returns the same when
    every other row or every row is gone although the accepted query does not (up to 16 MiB of database). A gold result
    that is empty or all null is no ground for a verdict (a fault). What else a wrong query may hit stays undetected.

    Nothing but reading is allowed: an authorizer refuses all but SELECT, and time, rows, bytes of a value and of the
    result, and memory are bounded. Exceeding them is a failed trial (timeout). Only SQLite is offered, no server.

    Args:
        seconds: wall clock for the query; keep it below half of verifier.pool.deadline.
        max_rows: rows that a result may have.
        digits: significant digits in which numbers must agree.
    """

    runs_candidate = True

    def __init__(self, seconds: float = 2.0, max_rows: int = 10_000, digits: int = 9) -> None:
        if not seconds > 0:
            raise InputError(f"{seconds:g} seconds for a query: wanted more than 0, verifier.check.seconds=2")
        if max_rows < 1:
            raise InputError(f"max_rows={max_rows}: wanted at least 1, verifier.check.max_rows=10000")
        if not 1 <= digits <= 15:
            raise InputError(f"digits={digits}: wanted 1 to 15, verifier.check.digits=9")
        self.bounds = Limits(seconds=seconds, rows=max_rows)
        self.digits = digits

    def grade(self, text: str, task: Task) -> Verdict:
        accepted = self.accepted(task)
        query = query_in(text)
        if query is None:
            return Verdict(0.0, False, Status.UNPARSABLE)
        try:
            passed = self._right(query, task, accepted)
        except QueryError:
            return Verdict(0.0, False, answer=query[:500])
        except QueryLimit:
            return Verdict(0.0, False, Status.TIMEOUT, query[:500])
        return Verdict(float(passed), passed, answer=query[:500])

    def gold(self, task: Task) -> str:
        return _fenced(self.accepted(task)[0].sql)

    def alike(self, task: Task) -> list[str]:
        """The other accepted queries, the first one without a fence, with a comment, after another, as a subquery."""
        first, *others = self.accepted(task)
        texts = [*(_fenced(each.sql) for each in others), first.sql, f"Query:\n\n{first.sql};\n\nThat is all."]
        texts.append(f"{_fenced('SELECT 1')}\nBetter:\n```\n{first.sql} -- done\n```")
        return texts + ([_fenced(f"SELECT * FROM ({first.sql})")] if len(first.groups) == 2 else [])

    def wrong(self, task: Task) -> list[str]:
        """Slips that change the result (each is run), its values as constants, with and without a table, a column too
        many, what only a transaction could do, nothing."""
        first, base = self.accepted(task)[0], database(task.meta)
        slips = (query for query in near_misses(first.sql, base.columns) if self._differs(query, task))
        misses = list(itertools.islice(slips, MISSES))
        constants = " UNION ALL ".join(f"SELECT {', '.join(map(_literal, row))}" for row in first.rows[:20])
        table = min(base.tables)
        if first.differs_on:
            misses.append(f"SELECT * FROM ({constants}) WHERE (SELECT COUNT(*) FROM {table}) >= 0")
        misses += [constants, f"SELECT *, 'zz' FROM ({first.sql})", f"{first.sql}; {first.sql}"]
        misses += [f"DELETE FROM {table}", f"DROP TABLE {table}", f"PRAGMA table_info({table})", first.sql[:-3] + " ("]
        return [*map(_fenced, misses), "", "```sql\n```", "I would select it."]

    def accepted(self, task: Task) -> tuple[Accepted, ...]:
        """The accepted queries with their results; ``ValueError`` where one does not run or returns nothing."""
        ordered = bool(task.meta.get("ordered", True))
        return _accepted(database(task.meta), task.answer, ordered, self.bounds, self.digits)

    def _differs(self, query: str, task: Task) -> bool:
        """Whether a query runs and is wrong."""
        try:
            return not self._right(query, task, self.accepted(task))
        except (QueryError, QueryLimit):
            return False

    def _right(self, query: str, task: Task, accepted: Sequence[Accepted]) -> bool:
        result = database(task.meta).run(query, self.bounds)
        rows = comparable(result.rows, self.digits)
        right = [each for each in accepted if _agree(rows, len(result.names), each)]
        return bool(result.tables) and any(not self._written_down(query, rows, each) for each in right)

    def _written_down(self, query: str, rows: Rows, gold: Accepted) -> bool:
        """Whether a query returns ``rows`` even of a database of which the gold query does not."""
        until = time.monotonic() + self.bounds.seconds
        for variant in gold.differs_on:
            try:
                said = variant.run(query, replace(self.bounds, seconds=until - time.monotonic()))
            except (QueryError, QueryLimit):  # what fails only here depends on the rows
                continue
            if Counter(comparable(said.rows, self.digits)) == Counter(rows):
                return True
        return False


@lru_cache(maxsize=512)
def _accepted(base: Database, answer: str, ordered: bool, limits: Limits, digits: int) -> tuple[Accepted, ...]:
    found = []
    for sql in accepted_queries(answer):
        try:
            result = base.run(sql, limits)
        except (QueryError, QueryLimit) as error:
            raise ValueError(f"its gold query does not run: {error}: {sql[:120]!r}") from None
        if not any(value is not None for row in result.rows for value in row):
            raise ValueError(
                f"its gold query returns nothing, so that any query with an empty result passes: {sql[:120]!r}"
            )
        rows = comparable(result.rows, digits)
        groups = _groups(base, sql, result, limits) if ordered and order_terms(sql) else (0, len(rows))
        differs_on = tuple(v for v in base.variants if _bag(v, sql, limits, digits) not in (None, Counter(rows)))
        found.append(Accepted(sql, len(result.names), rows, groups, differs_on))
    if not found:
        raise ValueError(f"the gold answer {answer[:80]!r} holds no query")
    return tuple(found)


def _bag(base: Database, sql: str, limits: Limits, digits: int) -> Counter[tuple[Any, ...]] | None:
    try:
        return Counter(comparable(base.run(sql, limits).rows, digits))
    except (QueryError, QueryLimit):
        return None


def comparable(rows: Rows, digits: int) -> Rows:
    """Rows whose values are equal exactly if they agree: 2 and 2.0, and floats in their first digits."""
    return [tuple(_comparable(value, digits) if isinstance(value, float) else value for value in row) for row in rows]


def _comparable(value: float, digits: int) -> float | int:
    if value in (float("inf"), float("-inf")):
        return value
    if abs(value - round(value)) <= max(abs(value), 1e-3) * 10.0**-digits:  # 1e-12 at the least: 0.1 + 0.2 - 0.3 is 0
        return round(value)
    return float(f"{value:.{digits}g}")


def _groups(base: Database, sql: str, result: Result, limits: Limits) -> tuple[int, ...]:
    """Where rows begin that do not tie with the one before: by what the query orders by, looked up in its result or
    added to its columns. Where that cannot be had, every row counts as placed."""
    names = [name.lower() for name in result.names]
    columns, added = [], []
    for term in order_terms(sql):
        if term.isdecimal():
            columns.append(int(term) - 1)
        elif term.lower().rpartition(".")[2] in names:
            columns.append(names.index(term.lower().rpartition(".")[2]))
        else:
            columns.append(len(names) + len(added))
            added.append(term)
    count = len(result.rows)
    try:
        rows = base.run(with_columns(sql, added), limits).rows if added else result.rows
        keys = [tuple(row[i] for i in columns) for row in rows]
    except (QueryError, QueryLimit, IndexError):
        keys = []
    if len(keys) != count or (added and [row[: len(names)] for row in rows] != result.rows):
        return tuple(range(count + 1))
    return (0, *(i for i in range(1, count) if keys[i] != keys[i - 1]), count)


def _agree(rows: Rows, width: int, gold: Accepted) -> bool:
    """Whether rows are the gold ones, columns in any order."""
    return width == gold.width and len(rows) == len(gold.rows) and _extended(rows, gold, [])


def _extended(rows: Rows, gold: Accepted, chosen: list[int]) -> bool:
    """Whether columns ``chosen`` for the first gold columns can be completed to a choice for all."""
    if len(chosen) == gold.width:
        return True
    for column in range(gold.width):
        if (
            column not in chosen
            and _same_parts(rows, gold, [*chosen, column])
            and _extended(rows, gold, [*chosen, column])
        ):
            return True
    return False


def _same_parts(rows: Rows, gold: Accepted, chosen: list[int]) -> bool:
    """Whether those columns of the rows hold, group by group, what the first gold columns hold."""
    said = [tuple(row[i] for i in chosen) for row in rows]
    wanted = [row[: len(chosen)] for row in gold.rows]
    bounds = zip(gold.groups, gold.groups[1:], strict=False)
    return all(said[a:b] == wanted[a:b] or Counter(said[a:b]) == Counter(wanted[a:b]) for a, b in bounds)


def _literal(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, bytes):
        return f"x'{value.hex()}'"
    return "'" + value.replace("'", "''") + "'" if isinstance(value, str) else repr(value)


def _fenced(sql: str) -> str:
    return f"```sql\n{sql}\n```"
