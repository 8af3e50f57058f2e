"""SQL-Eval's files: questions beside their databases; the rows and the database here are our own."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

from rftlab.config import build_dataset, compose
from rftlab.validate import validate
from rftlab.verifiers.pool import VerifierPool
from rftlab.verifiers.sql import Sql

CHECK = Sql()
SHOP = """
CREATE TABLE public.item (id bigint, name text, price real);
INSERT INTO public.item VALUES (1, 'ink'::text, 1.5), (2, 'pen', 3), (3, 'pad', 2);
"""


def folder(path: Path, *questions: dict[str, str]) -> Path:
    """Files as SQL-Eval has them: our shop in PostgreSQL's dialect, and a database that changes from day to day."""
    (path / "db").mkdir()
    (path / "db" / "shop.sql").write_text(SHOP)
    (path / "db" / "diary.sql").write_text("CREATE TABLE day (d date); INSERT INTO day VALUES (CURRENT_DATE);")
    notes = [{"column_name": "id", "data_type": "bigint", "column_description": "Number of the item"}]
    (path / "db" / "shop.json").write_text(json.dumps({"table_metadata": {"item": notes}}))
    keys = ["db_name", "query_category", "query", "question", "instructions"]
    with (path / "questions_gen_sqlite.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, keys)
        writer.writeheader()
        writer.writerows(questions)
    return path


def test_rows_carry_their_database_and_defects_are_named(tmp_path: Path) -> None:
    ask = {"db_name": "shop", "query_category": "ratio", "question": "Which names?", "instructions": "Be exact."}
    path = folder(
        tmp_path,
        ask | {"query": "SELECT name FROM item ORDER BY id"},
        ask | {"query": "SELECT name FROM item ORDER BY id", "question": "Which names, sorted by id?"},
        ask | {"query": "SELECT name FROM item WHERE id = 9"},
        ask | {"query": "SELECT date('now') FROM item"},
        ask | {"query": "SELECT d FROM day", "db_name": "diary"},
        ask | {"query": "SELECT d FROM day", "db_name": "none"},
    )
    found = load(path)
    whys = dict(found.left_out)
    assert [*whys] == [f"questions_gen_sqlite.csv:{n}" for n in (3, 4, 5, 6)]
    for why, wanted in zip(whys.values(), ("returns nothing", "relative to today", "'diary'", "none.sql"), strict=True):
        assert wanted in why
    plain, sorted_ = sorted([*found.train.tasks, *found.eval.tasks], key=lambda t: t.meta["row"])
    assert (plain.meta["ordered"], sorted_.meta["ordered"]) == (False, True)
    (message,) = plain.prompt
    assert "CREATE TABLE item (\n  id bigint -- Number of the item\n);" in message["content"]
    assert message["content"].startswith("Which names?\nBe exact.") and "```sql" in message["content"]
    shuffled = "SELECT name FROM item ORDER BY price"
    assert CHECK.grade(shuffled, plain).passed and not CHECK.grade(shuffled, sorted_).passed


def test_the_published_questions_are_graded_as_they_should_be(data: Path) -> None:
    found = load(data / "sql-eval")
    assert sum(len(pool) for pool in found.pools().values()) == 129 and len(found.left_out) == 81
    assert len(found.eval.categories) == 6
    with VerifierPool(Sql(), workers=1) as pool:
        report = validate(found, pool)
    assert report.ok, report.lines()


def load(path: Path) -> Any:
    return build_dataset(compose(["dataset=sql_eval", f"dataset.path={path}"], verb="validate"))
