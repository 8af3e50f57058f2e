"""What returns the same rows passes; what writes, escapes, hangs or guesses does not. The database here is our own."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rftlab.core import InputError, Status, Task
from rftlab.verifiers.pool import VerifierPool
from rftlab.verifiers.sql import Sql, comparable
from rftlab.verifiers.sql_text import accepted_queries, order_terms, query_in

SHOP = """
CREATE TABLE item (id bigint, name text, price real, shelf bigint);
INSERT INTO item VALUES (1, 'ink', 1.5, 1), (2, 'pen', 2, 1), (3, 'pad', 2, 2), (4, 'cup; x', 0.3, 2),
  (5, 'ink', 9, NULL);
CREATE TABLE shelf (id bigint, room text);
INSERT INTO shelf VALUES (1, 'north'), (2, 'south'), (3, 'south');
"""
CHECK = Sql(seconds=60.0, max_rows=1000)
HASTY = Sql(seconds=0.5, max_rows=1000)
"""For what is to exceed its limits."""


def task(answer: str, **meta: Any) -> Task:
    return Task("t", 0, (), answer, {"database": SHOP} | meta)


def passes(query: str, gold: str, **meta: Any) -> bool:
    verdict = CHECK.grade(f"```sql\n{query}\n```", task(gold, **meta))
    assert verdict.valid and verdict.score == float(verdict.passed)
    return verdict.passed


@pytest.mark.parametrize(
    ("gold", "right", "wrong"),
    [
        (
            "SELECT name, price FROM item WHERE shelf = 1",
            [
                "SELECT name, price FROM item WHERE shelf = 1 ORDER BY id DESC;",
                "select price as p, name as n from item where shelf in (select id from shelf where room = 'north')",
                "WITH a AS (SELECT * FROM item) SELECT name, price FROM a JOIN shelf s ON s.id = shelf WHERE s.id = 1",
                "SELECT name, price + 0.0 FROM item WHERE shelf = 1 -- as a float",
            ],
            [
                "SELECT name, price FROM item",
                "SELECT name FROM item WHERE shelf = 1",
                "SELECT name, price, id FROM item WHERE shelf = 1",
                "SELECT name, id FROM item WHERE shelf = 1",
                "SELECT name, CAST(price AS TEXT) FROM item WHERE shelf = 1",
                "SELECT name, price FROM item WHERE shelf = 1 LIMIT 1",
                "SELECT name, price FROM items WHERE shelf = 1",
                "SELECT 'ink', 1.5 UNION ALL SELECT 'pen', 2",
                "WITH item AS (SELECT 'ink' AS a, 1.5 AS b UNION SELECT 'pen', 2) SELECT a, b FROM item",
            ],
        ),
        ("SELECT name FROM item", ["SELECT name FROM item ORDER BY name"], ["SELECT DISTINCT name FROM item"]),
        ("SELECT DISTINCT name FROM item", ["SELECT name FROM item GROUP BY 1"], ["SELECT name FROM item"]),
        (
            "SELECT name FROM item ORDER BY price DESC",
            ["SELECT name FROM item ORDER BY price DESC, id DESC", "SELECT name FROM item ORDER BY price DESC, id"],
            ["SELECT name FROM item ORDER BY price", "SELECT name FROM item", "SELECT name FROM item ORDER BY name"],
        ),
        (
            "SELECT room, COUNT(*) AS n FROM shelf GROUP BY room ORDER BY n DESC, LOWER(room)",
            ["SELECT COUNT(id), room FROM shelf GROUP BY room ORDER BY 1 DESC"],
            ["SELECT room, COUNT(*) AS n FROM shelf GROUP BY room ORDER BY n"],
        ),
        (
            "SELECT {name, id}, price FROM item WHERE price > 1 GROUP BY {}, price; SELECT MAX(price) FROM item",
            [
                "SELECT DISTINCT id, price FROM item WHERE price > 1",
                "SELECT DISTINCT name, price FROM item WHERE price > 1",
                "SELECT name, id, price FROM item WHERE price > 1",
                "SELECT price FROM item ORDER BY price DESC LIMIT 1",
            ],
            ["SELECT price FROM item WHERE price > 1", "SELECT name, id FROM item WHERE price > 1"],
        ),
        (
            "SELECT SUM(price) / 3 FROM item",
            ["SELECT TOTAL(price) / 3 FROM item"],
            ["SELECT 4.93333 FROM item LIMIT 1", "SELECT 14.8 / 3 FROM shelf LIMIT 1"],
        ),
        (
            "SELECT COUNT(*) FROM item",
            ["SELECT SUM(1) FROM item", "SELECT n FROM (SELECT COUNT(*) AS n FROM item GROUP BY 1 = 1)"],
            ["SELECT 5 FROM item LIMIT 1", "SELECT 5 WHERE EXISTS (SELECT 1 FROM item)"],
        ),
        (
            "SELECT room FROM shelf WHERE id < 3",
            ["SELECT room FROM shelf WHERE id IN (1, 2)"],
            [
                "SELECT room FROM shelf ORDER BY id LIMIT 2",
                "SELECT 'north' UNION ALL SELECT 'south' WHERE EXISTS (SELECT 1 FROM shelf)",
            ],
        ),
        ("SELECT name FROM item WHERE name LIKE '%; x'", ["SELECT name FROM item WHERE id = 4"], ["SELECT 'cup; x'"]),
    ],
)
def test_results_decide_and_not_the_words(gold: str, right: list[str], wrong: list[str]) -> None:
    assert [query for query in right if not passes(query, gold)] == []
    assert [query for query in wrong if passes(query, gold)] == []


def test_order_can_be_switched_off_by_the_row() -> None:
    gold, other = "SELECT name FROM item ORDER BY price DESC", "SELECT name FROM item"
    assert not passes(other, gold) and passes(other, gold, ordered=False)


@pytest.mark.parametrize(
    "query",
    [
        "DELETE FROM item",
        "DROP TABLE item",
        "UPDATE item SET price = 0 RETURNING name",
        "INSERT INTO item SELECT * FROM item RETURNING name",
        "CREATE TABLE x AS SELECT * FROM item",
        "PRAGMA query_only = OFF",
        "SELECT * FROM pragma_table_info('item')",
        "ATTACH DATABASE 'x.db' AS x",
        "VACUUM INTO 'x.db'",
        "SELECT load_extension('x') FROM item",
        "SELECT writefile('x', name) FROM item",
        "SELECT name FROM item; SELECT name FROM item",
        "SELECT name FROM item; DELETE FROM item",
        "BEGIN",
        "SELECT name FROM item WHERE name = 'a\0b'",
        "SELECT name FROM item WHERE name = '\ud800'",
        "SELECT CAST(x'ff' AS TEXT) FROM item",
        "-- nothing",
    ],
)
def test_what_is_no_mere_query_is_refused_and_changes_nothing(query: str, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.chdir(tmp_path)
    assert not passes(query, "SELECT name FROM item")
    assert passes("SELECT name FROM item", "SELECT name FROM item") and not list(tmp_path.iterdir())


NUMBERS = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n)"


@pytest.mark.parametrize(
    "query",
    [
        f"{NUMBERS} SELECT COUNT(*) FROM n, item",
        f"{NUMBERS} SELECT x FROM n, item",
        f"{NUMBERS} SELECT x, zeroblob(900000) FROM n, item ORDER BY 1 DESC",
        f"{NUMBERS} SELECT group_concat(x) FROM n, item",
        "SELECT COUNT(*) FROM " + ", ".join(f"item {name}" for name in "abcdefghijkl"),
        "SELECT a.id FROM item a, item b, item c, item d, item e",
        "SELECT hex(zeroblob(999999)) FROM item",
        "SELECT zeroblob(1000000000) FROM item",
        "SELECT randomblob(999000) FROM item a, item b",
    ],
)
def test_a_query_beyond_its_limits_is_a_failed_trial_in_bounded_time(query: str) -> None:
    started = time.process_time()
    verdict = HASTY.grade(f"```sql\n{query}\n```", task("SELECT name FROM item"))
    assert verdict.status is Status.TIMEOUT and verdict.score == 0.0 and verdict.valid
    assert time.process_time() - started < 5.0


def test_what_the_clock_inside_cannot_stop_the_pool_does() -> None:
    slow = "SELECT printf('%.*c', 2000000000, 'x') FROM item"
    items = [(f"```sql\n{query}\n```", task("SELECT name FROM item")) for query in (slow, "SELECT name FROM item")]
    with VerifierPool(CHECK, workers=1, deadline=3.0, memory_gib=2.0) as pool:
        stopped, fine = pool.grade(items)
    assert stopped.status is Status.TIMEOUT and stopped.valid and fine.passed


@pytest.mark.parametrize(
    ("text", "query"),
    [
        ("```sql\nSELECT 1\n```\nor better\n```sql\nSELECT 2\n```", "SELECT 2"),
        ("```sql\nSELECT 1\n```\nwhich gives\n```\n| 1 |\n```", "SELECT 1"),
        ("```\nWITH a AS (SELECT 1)\nSELECT * FROM a\n```", "WITH a AS (SELECT 1)\nSELECT * FROM a"),
        ("With this in mind:\n\nQuery: SELECT a\nFROM t\n  WHERE x;\nIt works.", "SELECT a\nFROM t\n  WHERE x;"),
        ("SELECT a FROM t\n\nUNION is not needed.", "SELECT a FROM t"),
        ("<think>SELECT 1</think>\nselect 2", "select 2"),
        ("```sql\n```", None),
        ("I do not know.", None),
        ("", None),
    ],
)
def test_what_is_read(text: str, query: str | None) -> None:
    assert query_in(text) == query
    if query is None:
        assert CHECK.grade(text, task("SELECT name FROM item")).status is Status.UNPARSABLE


def test_gold_queries_are_split_and_expanded_outside_of_literals() -> None:
    assert accepted_queries("SELECT 'a;{b, c}' ; SELECT 2;") == ["SELECT 'a;{b, c}'", "SELECT 2"]
    assert accepted_queries("SELECT {a, b} FROM t GROUP BY {};") == [
        "SELECT a FROM t GROUP BY a",
        "SELECT b FROM t GROUP BY b",
        "SELECT a, b FROM t GROUP BY a, b",
    ]
    assert order_terms("SELECT a FROM (SELECT b FROM t ORDER BY b)") == []
    assert order_terms("SELECT a FROM t ORDER BY f(a, 1) DESC NULLS LAST, b.c asc LIMIT 3") == ["f(a, 1)", "b.c"]


@given(st.floats(allow_nan=False), st.integers(-9, 9))
def test_numbers_agree_in_their_first_digits_and_integers_wholly(value: float, step: int) -> None:
    def same(a: Any, b: Any) -> bool:
        return comparable([(a,)], 9) == comparable([(b,)], 9)

    assert same(value, value) and same(10**12 + step, float(10**12 + step))
    assert same(0.1 + 0.2 - 0.3, 0) and same(1 / 3, 0.1 / 0.3) and not same(1 / 3, 0.3333333)
    assert same(10**15, 10**15 + step) == (step == 0)


@pytest.mark.parametrize(
    ("answer", "meta"),
    [
        ("SELECT nothing FROM item", {}),
        ("SELECT name FROM item WHERE id > 9", {}),
        ("SELECT MAX(id) FROM item WHERE id > 9", {}),
        (" ; ", {}),
        ("SELECT 1 FROM t", {"database": "CREATE TABLE t (x date DEFAULT now());"}),
        ("SELECT 1 FROM t", {"database": "", "database_file": "no/such.sqlite"}),
        ("SELECT 1 FROM t", {"database": None}),
    ],
)
def test_a_gold_answer_or_database_that_gives_no_rows_is_the_graders_failure(answer: str, meta: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        CHECK.grade("SELECT 1", task(answer, **meta))


@pytest.mark.parametrize("piece", ["SELECT ", "(", "/*", "'", "\n\n", "SELECT\n", "```sql\n", "with a as (", "\0"])
def test_no_long_text_breaks_it_or_takes_long(piece: str) -> None:
    started = time.process_time()
    assert CHECK.grade(piece * (200_000 // len(piece)), task("SELECT name FROM item")).valid
    assert time.process_time() - started < 2.0


@given(st.text(max_size=100) | st.text("SELECT *,FROMitem;()'\n`", max_size=60))
def test_no_text_breaks_it(text: str) -> None:
    assert CHECK.grade("```sql\n" + text, task("SELECT name FROM item")).valid


def test_a_database_file_is_opened_to_be_read_only(tmp_path: Path) -> None:
    path = tmp_path / "a shop?.sqlite"
    with sqlite3.connect(path) as connection:
        connection.executescript(SHOP)
    connection.close()
    before = path.read_bytes()
    asked = Task("t", 0, (), "SELECT name FROM item", {"database_file": str(path)})
    assert CHECK.grade("SELECT name FROM item", asked).passed
    assert not CHECK.grade("DELETE FROM item", asked).passed
    assert path.read_bytes() == before and [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "options", [{"seconds": 0.0}, {"seconds": -1.0}, {"max_rows": 0}, {"digits": 0}, {"digits": 16}]
)
def test_impossible_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=rf"verifier\.check\.{next(iter(options))}="):
        Sql(**options)


def test_slips_are_offered_only_where_they_change_the_result() -> None:
    asked = task("SELECT name FROM item WHERE price < 100 AND shelf = 1; SELECT id FROM item WHERE shelf = 1")
    wrong = CHECK.wrong(asked)
    assert len(wrong) > 12 and "```sql\nSELECT name FROM item\n```" in [text.replace(" \n", "\n") for text in wrong]
    assert any("shelf <> 1" in text for text in wrong) and not any("price < 101" in text for text in wrong)
    assert not [text for text in wrong if CHECK.grade(text, asked).passed]
    assert all(CHECK.grade(text, asked).passed for text in [CHECK.gold(asked), *CHECK.alike(asked)])
