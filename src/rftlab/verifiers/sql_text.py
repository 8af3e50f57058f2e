"""SQL as text: the query in a completion, and the parts of a gold query. Gold queries are taken to be well-formed."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass

from rftlab.verifiers.fences import after_thoughts, blocks

_BEGINS = re.compile(r"(?:[\w ]{0,20}: ?)?(SELECT|WITH\s+(?:RECURSIVE\s+)?\w+\s*(?:\(|AS\b))", re.IGNORECASE)
_TOKEN = re.compile(r"'[^']*'|\"[^\"]*\"|`[^`]*`|--[^\n]*|/\*.*?\*/|[A-Za-z_]\w*|[0-9.]+|[<>=!]+|\S", re.DOTALL)
_CLAUSES = ("where", "group", "having", "order", "limit", "union", "intersect", "except", "window")
_DIRECTION = re.compile(r"(?:\s+(?:ASC|DESC))?(?:\s+NULLS\s+(?:FIRST|LAST))?\s*$", re.IGNORECASE)


@dataclass(frozen=True)
class Token:
    """A word, literal or sign and where it stands. ``depth`` counts open parentheses around it."""

    word: str
    """In lower case."""
    start: int
    end: int
    depth: int


def query_in(text: str) -> str | None:
    """The query of a completion: its last fenced block that is SQL or begins like a query; else, from the line that
    begins like one in the last paragraph with such a line, up to a line that ends in a semicolon. None = there is none.
    """
    text = after_thoughts(text)
    for language, content in reversed(blocks(text)):
        if language in ("sql", "sqlite") or _BEGINS.match(content.strip()):
            return content.strip() or None
    for paragraph in reversed(re.split(r"\n[ \t]*\n", text)):
        lines = paragraph.splitlines()
        for i, line in enumerate(lines):
            if begin := _BEGINS.match(line):
                lines[i] = line[begin.start(1) :]
                end = next((n for n in range(i, len(lines)) if lines[n].rstrip().endswith(";")), len(lines))
                return "\n".join(lines[i : end + 1]).strip().strip("`")
    return None


def accepted_queries(answer: str) -> list[str]:
    """The queries of a gold answer in SQL-Eval's notation: separated by ``;``, ``{a, b}`` in the column list stands for
    a, for b and for both, and ``{}`` elsewhere for what was chosen."""
    ends = [t for t in tokens(answer) if t.word == ";" and t.depth == 0]
    pieces = [
        answer[a:b] for a, b in itertools.pairwise([0, *(p for t in ends for p in (t.start, t.end)), len(answer)])
    ]
    return [query for piece in pieces if piece.strip(" \n\t;") for query in _expanded(piece.strip())]


def _expanded(sql: str) -> Iterator[str]:
    signs = [t for t in tokens(sql) if t.word in "{}"]
    pair = next(((a.start, b.start) for a, b in itertools.pairwise(signs) if sql[a.end : b.start].strip()), None)
    if pair is None:
        yield sql
        return
    opened, closed = pair
    options = [column.strip() for column in sql[opened + 1 : closed].split(",")]
    for size in range(1, len(options) + 1):
        for chosen in itertools.combinations(options, size):
            columns = ", ".join(chosen)
            yield from _expanded((sql[:opened] + columns + sql[closed + 1 :]).replace("{}", columns))


def tokens(sql: str) -> list[Token]:
    """The tokens of a text, comments left out."""
    found, depth = [], 0
    for match in _TOKEN.finditer(sql):
        word = match.group().lower()
        if word.startswith(("--", "/*")):
            continue
        depth -= word == ")"
        found.append(Token(word, match.start(), match.end(), depth))
        depth += word == "("
    return found


def clause(sql: str, keyword: str, depth: int | None = 0) -> Iterator[tuple[int, int]]:
    """Start and end of every clause that ``keyword`` begins, at a depth (None = any)."""
    found = tokens(sql)
    for i, token in enumerate(found):
        if token.word != keyword or depth not in (None, token.depth):
            continue
        rest = found[i + 1 :]
        ends = (t.start for t in rest if t.depth < token.depth or (t.depth == token.depth and t.word in _CLAUSES))
        yield token.start, next(ends, len(sql))


def order_terms(sql: str) -> list[str]:
    """What a query orders by at its top level, directions left out; [] = it does not order."""
    for start, end in clause(sql, "order"):
        body = re.sub(r"^order\s+by", "", sql[start:end], flags=re.IGNORECASE)
        commas = [t.start for t in tokens(body) if t.word == "," and t.depth == 0]
        cuts = [-1, *commas, len(body)]
        return [_DIRECTION.sub("", body[a + 1 : b]).strip() for a, b in itertools.pairwise(cuts)]
    return []


def with_columns(sql: str, columns: list[str]) -> str:
    """The query with further columns at the end of its top-level column list; itself if it has no such list."""
    top = [t for t in tokens(sql) if t.depth == 0]
    if any(t.word in ("union", "intersect", "except") for t in top):
        return sql
    start = next((t.start for t in top if t.word == "from"), None)
    return sql if start is None else f"{sql[:start]}, {', '.join(columns)} {sql[start:]}"
