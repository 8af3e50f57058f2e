"""Queries near a gold query: the slips of one who writes SQL. Whether one of them is wrong, only running it tells."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from rftlab.verifiers.sql_text import clause, tokens

SWAPS = {
    "asc": "DESC",
    "desc": "ASC",
    "min": "MAX",
    "max": "MIN",
    "avg": "SUM",
    "sum": "COUNT",
    "count": "SUM",
    "and": "OR",
    "or": "AND",
    "distinct": "",
    "<": ">",
    ">": "<",
    "<=": "<",
    ">=": ">",
    "=": "<>",
    "union": "UNION ALL",
    "join": "LEFT JOIN",
}


def near_misses(sql: str, columns: Sequence[str]) -> list[str]:
    """Variants of a query; ``columns`` are the names of all columns of the database."""
    found = [*_without_clauses(sql), *_swapped(sql), *_limits(sql), *_other_columns(sql, columns)]
    return [variant for variant in dict.fromkeys(found) if variant != sql]


def _without_clauses(sql: str) -> Iterator[str]:
    for keyword in ("where", "having", "order", "limit"):
        for start, end in clause(sql, keyword, depth=None):
            yield sql[:start] + sql[end:]


def _swapped(sql: str) -> Iterator[str]:
    for token in tokens(sql):
        if token.word in SWAPS:
            yield sql[: token.start] + SWAPS[token.word] + sql[token.end :]
        elif token.word.isdecimal():
            yield sql[: token.start] + str(int(token.word) + 1) + sql[token.end :]
        elif token.word == "select" and not re.match(r"\s+DISTINCT\b", sql[token.end :], re.IGNORECASE):
            yield f"{sql[: token.end]} DISTINCT{sql[token.end :]}"


def _limits(sql: str) -> Iterator[str]:
    for start, end in clause(sql, "limit"):
        if (size := sql[start:end].split()[1]).isdecimal() and int(size) > 1:
            yield f"{sql[:start]}LIMIT {int(size) - 1} {sql[end:]}"


def _other_columns(sql: str, columns: Sequence[str]) -> Iterator[str]:
    known = {name.lower() for name in columns}
    first = next((t for t in tokens(sql) if t.word in known), None)
    if first is not None:
        others = [name for name in columns if name.lower() != first.word]
        yield from (sql[: first.start] + name + sql[first.end :] for name in others)
