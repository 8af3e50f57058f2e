"""Rows of a file become tasks, or one clear line."""

from __future__ import annotations

import gzip
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rftlab.core import InputError, Need
from rftlab.datasets import files
from rftlab.datasets.base import Dataset
from rftlab.datasets.rows import BadRow, Row, mapped
from rftlab.datasets.table import load


def write(path: Path, rows: list[Any]) -> str:
    path.write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows), encoding="utf-8")
    return str(path)


def questions(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"prompt": f"What is {i} + 1?", "answer": i + 1} | more for i in range(count)]


def test_a_row_becomes_a_task_that_knows_its_line(tmp_path: Path) -> None:
    rows = ["", *questions(40, source="own", notes=[1])]
    found = load(write(tmp_path / "a.jsonl", rows), system="Be brief.", template="Q: {prompt}\nA:")
    task = next(t for t in found.train.tasks if t.answer == "8")
    assert task.prompt == (
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Q: What is 7 + 1?\nA:"},
    )
    assert task.meta == {"source": "own", "notes": [1], "row": "a.jsonl:9"}
    assert [t.index for t in found.train.tasks] == list(range(len(found.train)))
    assert found.train.has() == frozenset()


def test_a_list_of_messages_is_taken_as_it_is(tmp_path: Path) -> None:
    messages = [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}]
    rows = [{"prompt": messages, "answer": "1"}, *questions(20)]
    found = load(write(tmp_path / "a.jsonl", rows), system="other", template="<{prompt}>")
    assert any(t.prompt == tuple(messages) for t in [*found.train.tasks, *found.eval.tasks])


def test_answers_keep_their_spelling_and_may_be_numbers(tmp_path: Path) -> None:
    rows = [{"prompt": str(i), "answer": a} for i, a in enumerate(["007", 7, 7.5, " x "])]
    found = load(write(tmp_path / "a.jsonl", rows), eval_path=write(tmp_path / "b.jsonl", questions(1)))
    assert [t.answer for t in found.train.tasks] == ["007", "7", "7.5", " x "]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"prompt": "p"}, "has no 'answer'"),
        ({"prompt": "p", "answer": None}, "has no 'answer'"),
        ({"prompt": "p", "answer": "  "}, "has no 'answer'"),
        ('{"prompt": "p", "answer": NaN}', "has no 'answer'"),
        ({"prompt": "p", "answer": ["1"]}, "has a list for 'answer'"),
        ({"prompt": "p", "answer": True}, "has a bool for 'answer'"),
        ({"answer": "1"}, "has no 'prompt'"),
        ({"prompt": "", "answer": "1"}, "has no 'prompt'"),
        ({"prompt": [], "answer": "1"}, "has no 'prompt'"),
        ({"prompt": [{"role": "user"}], "answer": "1"}, "neither a text nor a list of messages"),
        ({"prompt": 5, "answer": "1"}, "neither a text nor a list of messages"),
        ({"prompt": "\ud800", "answer": "1"}, "surrogate"),
        ("[1, 2]", "is not a JSON object"),
        ('{"prompt": "p", "answ', "is not a JSON object"),
        ("9" * 5000, "is not a JSON object"),
        ("[" * 100_000, "is not a JSON object"),
    ],
)
def test_a_bad_row_is_named_by_its_line(tmp_path: Path, row: Any, said: str) -> None:
    path = write(tmp_path / "a.jsonl", [*questions(2), "", row, *questions(2)])
    with pytest.raises(InputError, match=rf"1 of 5 rows of .*: a\.jsonl:4 .*{said}.*dataset\.bad_rows=skip") as refused:
        load(path)
    assert "\n" not in str(refused.value)


def test_many_bad_rows_are_counted_and_the_first_named(tmp_path: Path) -> None:
    rows = [*questions(3), *[{"prompt": f"p{i}"} for i in range(12)]]
    with pytest.raises(InputError, match=r"12 of 15 rows .*a\.jsonl:4 .*a\.jsonl:8 has no 'answer'.*; and 7 more\."):
        load(write(tmp_path / "a.jsonl", rows))


def test_a_missing_empty_or_foreign_file_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "latin.jsonl").write_bytes(b'{"prompt": "\xe9", "answer": "1"}\n')
    for path, said in [
        (None, r"dataset\.path=FILE"),
        (str(tmp_path / "none.jsonl"), r"none\.jsonl.*dataset\.path"),
        (str(tmp_path / "folder"), r"holds no file of \.jsonl"),
        (write(tmp_path / "empty.jsonl", ["", " "]), "no row"),
        (str(tmp_path / "latin.jsonl"), "save it as UTF-8"),
    ]:
        with pytest.raises(InputError, match=said):
            load(path)


def test_identical_rows_are_dropped_and_counted(tmp_path: Path) -> None:
    rows = questions(30)
    once = load(write(tmp_path / "a.jsonl", rows))
    twice = load(write(tmp_path / "b.jsonl", rows + rows[:7]))
    assert twice.train.fingerprint == once.train.fingerprint and twice.eval.fingerprint == once.eval.fingerprint
    assert (once.counts["identical training rows dropped"], twice.counts["identical training rows dropped"]) == (0, 7)
    assert twice.counts["training rows read"] == 37


def test_one_id_with_two_contents_is_an_error_and_with_one_content_is_not(tmp_path: Path) -> None:
    rows = [row | {"key": i} for i, row in enumerate(questions(20))]
    assert (
        load(write(tmp_path / "a.jsonl", [*rows, rows[3]]), id_key="key").counts["identical training rows dropped"] == 1
    )
    other = {"prompt": "What else?", "answer": "1", "key": 3}
    with pytest.raises(InputError, match=r"id '3' .* at a\.jsonl:4 and a\.jsonl:21.*dataset\.id_key"):
        load(write(tmp_path / "a.jsonl", [*rows, other]), id_key="key")
    with pytest.raises(InputError, match=r"a\.jsonl:1 has no 'nokey'"):
        load(write(tmp_path / "a.jsonl", rows), id_key="nokey")


def test_the_split_is_disjoint_and_stable_when_rows_are_shuffled_or_added(tmp_path: Path) -> None:
    rows = questions(2000)
    first = load(write(tmp_path / "a.jsonl", rows), eval_fraction=0.2)
    random.Random(0).shuffle(rows)
    again = load(write(tmp_path / "b.jsonl", rows + questions(2100)[2000:]), eval_fraction=0.2)
    held_out, later = ({t.id for t in found.eval.tasks} for found in (first, again))
    assert held_out <= later and not held_out & {t.id for t in again.train.tasks}
    assert 330 <= len(held_out) <= 470 and len(first.train) + len(first.eval) == 2000


@given(st.integers(2, 12), st.floats(0.001, 0.5))
def test_a_small_file_still_has_something_to_evaluate_on(tmp_path_factory: Any, count: int, share: float) -> None:
    path = write(tmp_path_factory.mktemp("rows") / "a.jsonl", questions(count))
    try:
        found = load(path, eval_fraction=share)
    except InputError as refused:  # all of a handful may fall on one side
        assert "no training task left" in str(refused)
    else:
        assert len(found.eval) >= 1 and len(found.train) >= 1


@pytest.mark.parametrize("share", [0, -0.1, 1.5, float("nan")])
def test_an_impossible_share_is_refused(tmp_path: Path, share: float) -> None:
    with pytest.raises(InputError, match=r"dataset\.eval_fraction"):
        load(write(tmp_path / "a.jsonl", questions(20)), eval_fraction=share)


def test_training_rows_with_an_evaluation_prompt_are_dropped_and_counted(tmp_path: Path) -> None:
    train = write(tmp_path / "a.jsonl", questions(20))
    held_out = write(tmp_path / "b.jsonl", [{"prompt": "What is 4 + 1?", "answer": "five"}, *questions(3)])
    found = load(train, eval_path=held_out)
    assert (len(found.train), len(found.eval)) == (16, 4)
    assert found.counts["training rows dropped for standing in the evaluation set"] == 4
    assert not {t.prompt[0]["content"] for t in found.train.tasks} & {t.prompt[0]["content"] for t in found.eval.tasks}
    with pytest.raises(InputError, match=r"no training task left .*dataset\.eval_path"):
        load(train, eval_path=train)


def test_limit_keeps_the_first_training_tasks_and_every_evaluation_task(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", questions(50))
    whole, short = load(path), load(path, limit=5)
    assert [t.id for t in short.train.tasks] == [t.id for t in whole.train.tasks][:5]
    assert short.eval.fingerprint == whole.eval.fingerprint
    with pytest.raises(InputError, match=r"dataset\.limit=0"):
        load(path, limit=0)


def test_references_keep_what_is_unknown_as_nan_and_what_they_cost(tmp_path: Path) -> None:
    rates: list[Any] = [0.5, None, "gone", float("nan"), 1]
    rows = [row | {"r": rate} for row, rate in zip(questions(5), rates, strict=True)]
    del rows[2]["r"]
    train, held_out = write(tmp_path / "a.jsonl", rows), write(tmp_path / "b.jsonl", [{"prompt": "?", "answer": "!"}])
    found = load(train, eval_path=held_out, references={"weak": "r"}, reference_samples={"weak": 8})
    np.testing.assert_array_equal(found.train.references["weak"], [0.5, np.nan, np.nan, np.nan, 1.0])
    assert np.isnan(found.eval.references["weak"]).all(), "an evaluation file need not have them"
    assert found.train.reference_rollouts == {"weak": 16} and "r" not in found.train.tasks[0].meta
    less = load(train, eval_path=held_out, references={"weak": "r"}, reference_samples={"weak": 8}, limit=3)
    assert less.train.reference_rollouts == {"weak": 8}
    assert found.train.take([1, 4]).reference_rollouts == {"weak": 8}
    assert Need.REFERENCES in found.train.has()


@pytest.mark.parametrize(
    ("rate", "options", "said"),
    [
        (1.5, {}, r"wanted pass rates in \[0, 1\]"),
        ("high", {}, "a\\.jsonl:1 has 'high' for 'r', wanted a finite number"),
        (0.5, {"references": {"weak": "rate"}}, r"no training row .* 'rate', named by dataset\.references\.weak"),
        (0.5, {"reference_samples": {"strong": 8}}, r"dataset\.reference_samples names \['strong'\]"),
        (0.5, {"reference_samples": {"weak": 0}}, r"dataset\.reference_samples\.weak=0: wanted the rollouts"),
        (0.5, {"reference_samples": {"weak": 1.5}}, r"reference_samples\.weak=1\.5: wanted the rollouts"),
    ],
)
def test_a_wrong_reference_is_refused(tmp_path: Path, rate: Any, options: dict[str, Any], said: str) -> None:
    path = write(tmp_path / "a.jsonl", questions(30, r=rate))
    with pytest.raises(InputError, match=said):
        load(path, **({"references": {"weak": "r"}} | options))


def test_categories_are_numbered_alike_in_both_pools_and_levels_are_numbers(tmp_path: Path) -> None:
    rows = [row | {"kind": "cab"[i % 3], "level": i} for i, row in enumerate(questions(60))]
    found = load(write(tmp_path / "a.jsonl", rows), category_key="kind", level_key="level", eval_fraction=0.3)
    for pool in (found.train, found.eval):
        assert pool.categories == ("a", "b", "c") and pool.category is not None and pool.level is not None
        for task, category, level in zip(pool.tasks, pool.category, pool.level, strict=True):
            assert pool.categories[category] == task.meta["kind"] and level == task.meta["level"]
    for options in ({"category_key": "nokind"}, {"level_key": "nolevel"}):
        with pytest.raises(InputError, match=r"60 of 60 rows .*a\.jsonl:1 has no 'no"):
            load(write(tmp_path / "a.jsonl", rows), **options)


def test_a_template_without_a_place_for_the_prompt_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"dataset\.template"):
        load(write(tmp_path / "a.jsonl", questions(5)), template="Q: {question}")


def rows_of(found: Dataset) -> list[str]:
    pools = found.pools().values()
    return sorted(task.meta["row"] for pool in pools for task in pool.tasks)


def test_every_format_yields_the_same_tasks(tmp_path: Path) -> None:
    import pandas

    rows = [{"prompt": f"What, is\n{i}?", "answer": str(i), "level": i % 4} for i in range(30)]
    write(tmp_path / "a.jsonl", rows)
    (tmp_path / "a.json").write_text(json.dumps(rows))
    (tmp_path / "b.json").write_text(json.dumps({"canary": "x", "examples": rows}))
    write(tmp_path / "lines.json", rows)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress((tmp_path / "a.jsonl").read_bytes()))
    table = pandas.DataFrame(rows)
    table.to_csv(tmp_path / "a.csv", index=False)
    table.to_csv(tmp_path / "a.tsv", index=False, sep="\t")
    table.to_parquet(tmp_path / "a.parquet")
    files = sorted(tmp_path.iterdir())
    assert len(files) == 8
    found = [load(str(file), level_key="level") for file in files]
    assert len({d.train.fingerprint for d in found}) == 1 and len({d.eval.fingerprint for d in found}) == 1
    for dataset in found:
        np.testing.assert_array_equal(dataset.train.level, found[0].train.level)


def test_a_folder_is_read_in_the_order_of_its_names_and_by_patterns(tmp_path: Path) -> None:
    write(tmp_path / "b.jsonl", questions(4))
    write(tmp_path / "a.jsonl", [{"prompt": f"p{i}", "answer": "1"} for i in range(4)])
    (tmp_path / "README.md").write_text("no rows")
    held_out = write(tmp_path.parent / "held_out.jsonl", [{"prompt": "?", "answer": "!"}])
    whole = load(str(tmp_path), eval_path=held_out)
    assert [t.meta["row"] for t in whole.train.tasks] == [f"{f}.jsonl:{i}" for f in "ab" for i in (1, 2, 3, 4)]
    assert len(load(str(tmp_path), files=["b.*"], eval_path=held_out).train) == 4
    with pytest.raises(InputError, match=r"holds no c\.jsonl.*dataset\.files"):
        load(str(tmp_path), files=["c.jsonl"], eval_path=held_out)
    for pattern in ("/etc/*", "a**.jsonl", ""):
        with pytest.raises(InputError, match=r"dataset\.files=\[.*wanted names or patterns in the folder"):
            load(str(tmp_path), files=[pattern], eval_path=held_out)
    with pytest.raises(InputError, match=r"no file 'nope'.*dataset\.eval_path=FILE"):
        load(str(tmp_path), eval_path="nope")
    before = len(load(str(tmp_path), eval_path=held_out).train)
    (tmp_path / "sub.jsonl").mkdir()
    assert len(load(str(tmp_path), eval_path=held_out).train) == before


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.txt", "x", r"unknown format '\.txt'"),
        ("a.json", '{"a": [{}], "b": [{}]}', r"2 lists.*dataset\.records, one of \['a', 'b'\]"),
        ("a.json", "[1, 2]", "2 of 2 rows .*is not a JSON object"),
        ("a.json", "7", r"holds a int|is not a JSON object"),
        ("a.csv", "prompt,answer\na,b,c\n", "too few or too many columns"),
        ("a.csv", "prompt,answer\na\n", "too few or too many columns"),
        ("a.csv", "prompt,answer,answer\na,1,2\n", "several columns 'answer'"),
        ("a.tsv", "prompt\tx\tprompt\na\t1\t2\n", "several columns 'prompt'"),
        ("a.parquet", "not one", "cannot be read as Parquet"),
        ("a.jsonl.gz", "not one", "cannot be read"),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_one_line(tmp_path: Path, name: str, content: str, said: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(InputError, match=said) as refused:
        load(str(tmp_path / name))
    assert "\n" not in str(refused.value)


def test_a_damaged_byte_of_a_gzipped_file_is_one_line_wherever_it_is(tmp_path: Path) -> None:
    whole = gzip.compress("".join(json.dumps(row) + "\n" for row in questions(20)).encode(), mtime=0)
    path, said = tmp_path / "a.jsonl.gz", set()
    for i in range(len(whole)):
        path.write_bytes(whole[:i] + bytes([whole[i] ^ 0x55]) + whole[i + 1 :])
        try:
            files.read(path)
        except InputError as error:
            said.add(str(error))
    assert any("cannot be read: Error -3 while decompressing" in each for each in said)  # zlib's own
    assert not any("\n" in each for each in said)


def test_bad_rows_can_be_left_out_and_are_listed(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [*questions(9), "{torn", {"prompt": "p"}])
    found = load(path, bad_rows="skip", eval_fraction=0.4)
    assert found.left_out == (
        ("a.jsonl:10", "is not a JSON object"),
        ("a.jsonl:11", "has no 'answer' (dataset.answer_key)"),
    )
    assert found.counts["training rows left out that cannot be a task"] == 2 and len(rows_of(found)) == 9
    with pytest.raises(InputError, match=r"dataset\.bad_rows=ignore: wanted stop or skip"):
        load(path, bad_rows="ignore")


def test_keys_reach_into_nested_fields(tmp_path: Path) -> None:
    rows = [
        {
            "prompt": [{"role": "user", "content": f"q{i}"}],
            "reward_model": {"ground_truth": i},
            "extra": {"rate": i / 40},
        }
        for i in range(20)
    ]
    path = write(tmp_path / "a.jsonl", rows)
    options: dict[str, Any] = {"answer_key": "reward_model.ground_truth", "references": {"weak": "extra.rate"}}
    found = load(path, **options)
    for task, rate in zip(found.train.tasks, found.train.references["weak"], strict=True):
        assert task.prompt[0]["content"] == f"q{task.answer}" and rate == int(task.answer) / 40
    with pytest.raises(InputError, match=r"no 'reward_model\.truth'"):
        load(path, answer_key="reward_model.truth")


def test_filter_keeps_values_lists_and_ranges_and_counts_the_rest(tmp_path: Path) -> None:
    rows = [row | {"kind": "cab"[i % 3], "deep": {"level": str(i)}} for i, row in enumerate(questions(60))]
    path = write(tmp_path / "a.jsonl", rows)
    only = load(path, filter={"kind": ["a", "b"], "deep.level": {"min": 10, "max": 39}})
    kept = rows_of(only)
    assert sorted(kept) == sorted(f"a.jsonl:{i + 1}" for i in range(10, 40) if i % 3)
    assert only.counts["training rows left out by dataset.filter"] == 40
    assert len(rows_of(load(path, filter={"kind": "c"}))) == 20
    for wrong, said in [
        ({"sort": "a"}, r"dataset\.filter\.sort: no training row .* has it; they have"),
        ({"kind": "z"}, "no training row .* passes"),
        ({"kind": {"from": 1}}, r"wanted a value, \[values\] or \{min"),
    ]:
        with pytest.raises(InputError, match=said):
            load(path, filter=wrong)


def test_filter_compares_numbers_as_numbers_however_they_are_written(tmp_path: Path) -> None:
    levels = [3, 3.0, "3", "3.00", 4, "abc", True, None, 2**60 + 1]
    rows = [row | {"lv": lv, "on": i < 2} for i, (row, lv) in enumerate(zip(questions(9), levels, strict=True))]
    path = write(tmp_path / "a.jsonl", rows)
    for wanted in (3, 3.0, "3", [3, 5]):
        assert rows_of(load(path, filter={"lv": wanted})) == [f"a.jsonl:{i}" for i in (1, 2, 3, 4)]
    assert rows_of(load(path, filter={"on": True})) == ["a.jsonl:1", "a.jsonl:2"]
    for wanted in (1, float(2**60)):  # true is no number; nor are two long numbers the same that differ
        with pytest.raises(InputError, match=r"no training row of .* passes"):
            load(path, filter={"lv": wanted})
    with pytest.raises(InputError, match=r"dataset\.filter\.1: no training row"):
        load(path, filter={1: 1})  # type: ignore[dict-item]


def test_bytes_are_no_text_and_a_category_is_a_name(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    path = str(tmp_path / "a.parquet")
    rows = [{"p": "a", "a": b"\xff1", "c": ["x"], "b": b"x", "n": "1"}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
    for keys, said in [
        ({"prompt_key": "p", "answer_key": "a"}, "has a bytes for 'a'"),
        ({"prompt_key": "b", "answer_key": "n"}, "neither a text nor a list"),
        ({"prompt_key": "p", "answer_key": "n", "category_key": "c"}, "has a list for 'c', wanted a name"),
        ({"prompt_key": "p", "answer_key": "n", "category_key": "b"}, "has a bytes for 'b', wanted a name"),
    ]:
        with pytest.raises(InputError, match=said):
            load(path, **keys)  # type: ignore[arg-type]


def test_a_key_that_no_row_has_names_those_that_there_are(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", [{"q": "a", "gold": 1}, {"q": "b", "gold": 2}])
    for bad_rows in ("stop", "skip"):
        with pytest.raises(InputError, match=r"The rows have \['gold', 'q'\]") as refused:
            load(path, bad_rows=bad_rows)
        assert "bad_rows=skip" not in str(refused.value)


def test_all_rows_can_be_for_evaluation_and_then_nothing_can_be_trained_on(tmp_path: Path) -> None:
    found = load(write(tmp_path / "a.jsonl", questions(20)), eval_fraction=1.0, name="bench")
    assert list(found.pools()) == ["eval"] and len(found.eval) == 20
    with pytest.raises(InputError, match=r"dataset 'bench' is for evaluation only.*dataset\.eval_fraction"):
        _ = found.train


def test_a_prompt_that_differs_in_case_or_white_space_only_is_a_leak(tmp_path: Path) -> None:
    train = write(tmp_path / "a.jsonl", [{"prompt": "what IS  1 + 1?\n", "answer": "2"}, *questions(9)[2:]])
    held_out = write(tmp_path / "b.jsonl", [{"prompt": "What is 1+1?", "answer": "2"}])
    found = load(train, eval_path=held_out, template="Q: {prompt}")
    assert found.counts["training rows dropped for standing in the evaluation set"] == 1 and len(found.train) == 7


def doubled(rows: Sequence[Row]) -> list[Row]:
    def change(fields: dict[str, Any]) -> dict[str, Any] | None:
        if fields["answer"] == 3:
            raise BadRow("is three")
        return None if fields["answer"] == 4 else fields | {"answer": 2 * fields["answer"]}

    return mapped(rows, change)


def test_an_adapter_changes_leaves_out_and_refuses_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_adapter.py").write_text(
        "from rftlab.datasets.rows import Row, mapped, BadRow\n" + _source(doubled)
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    path = write(tmp_path / "a.jsonl", questions(10))
    found = load(path, adapt="own_adapter.doubled", bad_rows="skip")
    answers = {int(t.answer) for pool in found.pools().values() for t in pool.tasks}
    assert answers == {2 * (i + 1) for i in range(10)} - {6, 8} and found.left_out == (("a.jsonl:3", "is three"),)
    with pytest.raises(InputError, match=r"dataset\.adapt=own_adapter\.gone is no function"):
        load(path, adapt="own_adapter.gone")


@pytest.mark.parametrize("name", ["os.getcwd", "builtins.len", "builtins.print", "builtins.str", "", "no.such"])
def test_what_is_no_adapter_is_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=rf"dataset\.adapt={name} "):
        load(write(tmp_path / "a.jsonl", questions(3)), adapt=name)


def _source(function: Any) -> str:
    import inspect

    return "from collections.abc import Sequence\nfrom typing import Any\n" + inspect.getsource(function)


@pytest.mark.parametrize("hub", [{}, {"name": "z"}, {"path": ""}, {"path": 5}])
def test_a_hub_without_its_repository_is_one_line(hub: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"dataset\.hub=.*wanted the repository, dataset\.hub=\{path: OWNER/NAME\}"):
        load(hub=hub)


def test_the_hub_library_reads_a_repository_of_parquet_files(tmp_path: Path) -> None:
    """The library takes a folder where it takes a repository's name: the same code without a network."""
    import pandas

    for split, first in [("train", 0), ("test", 100)]:
        rows = [{"prompt": f"p{i}", "answer": str(i)} for i in range(first, first + 12)]
        pandas.DataFrame(rows).to_parquet(tmp_path / f"{split}-00000-of-00001.parquet")
    found = load(hub={"path": str(tmp_path), "split": "train", "eval_split": "test"}, name="own")
    assert (len(found.train), len(found.eval)) == (12, 12) and found.train.tasks[3].meta["row"] == "train:4"
    with pytest.raises(InputError, match=r"dataset\.hub\.splt.*did you mean"):
        load(hub={"path": str(tmp_path), "splt": "train"})
    with pytest.raises(InputError, match=r"did not come from the Hugging Face hub.*dataset\.path"):
        load(hub={"path": str(tmp_path), "split": "validation"})
