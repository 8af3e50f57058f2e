"""Records as tables: what is read, what is skipped, and when a copy holds."""

import json
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rftlab import curves


def lines(path: Path, rows: list, tail: str = "") -> None:
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows) + tail)


@pytest.fixture
def run(tmp_path: Path) -> Path:
    rows = [{"step": 0.0, "eval/accuracy": 0.25, "panel/spearman": None, "ledger/rollouts": 0}]
    rows += [{"step": float(i), "group/etr": i / 10, "ledger/rollouts": 64 * i} for i in range(1, 5)]
    lines(tmp_path / "metrics.jsonl", rows)
    return tmp_path


def test_a_row_a_step_with_numbers_and_nan_where_nothing_was_logged(run: Path) -> None:
    for _ in ("parsed", "from the copy"):
        frame = curves.read(run)
        assert frame["step"].tolist() == [0, 1, 2, 3, 4]
        assert frame["step"].dtype == np.int64
        assert frame["ledger/rollouts"].tolist() == [0.0, 64.0, 128.0, 192.0, 256.0]
        assert np.isnan(frame["group/etr"][0])
        assert frame["panel/spearman"].isna().all()
        assert set(frame.dtypes.drop("step")) == {np.dtype("float64")}
        assert frame.attrs["skipped"] == 0


def test_columns_come_in_the_order_asked_and_unknown_ones_are_nan(run: Path) -> None:
    for _ in ("parsed", "from the copy"):
        frame = curves.read(run, ["group/etr", "never/logged", "step"])
        assert list(frame) == ["group/etr", "never/logged", "step"]
        assert frame["never/logged"].isna().all()
        assert frame["step"].tolist() == [0, 1, 2, 3, 4]


def test_broken_lines_are_counted_and_skipped_and_the_rest_is_read(run: Path) -> None:
    good = (run / "metrics.jsonl").read_text().splitlines()
    broken = [good[0], '{"step": 1.0, "group', "\x00\x00\x00", "7", '{"no": "step"}', good[2], good[3]]
    lines(run / "metrics.jsonl", broken, tail='{"step": 4.0, "gro')
    for _ in ("parsed", "from the copy"):
        frame = curves.read(run)
        assert frame["step"].tolist() == [0, 2, 3]
        assert frame.attrs["skipped"] == 5


def test_bytes_that_are_no_text_cost_their_line_only(run: Path) -> None:
    with (run / "metrics.jsonl").open("ab") as file:
        file.write(b'\xff\xfe{"step"\n{"step": 5.0, "group/etr": 0.5}\n')
    frame = curves.read(run)
    assert frame["step"].tolist() == [0, 1, 2, 3, 4, 5]
    assert frame.attrs["skipped"] == 1


def test_text_where_a_number_belongs_is_an_unknown_number(run: Path) -> None:
    lines(run / "metrics.jsonl", [{"step": 1.0, "group/etr": 0.5}, {"step": 2.0, "group/etr": "much"}])
    assert curves.read(run)["group/etr"].tolist() == pytest.approx([0.5, np.nan], nan_ok=True)


def test_a_step_that_was_logged_twice_counts_once(run: Path) -> None:
    lines(run / "metrics.jsonl", [{"step": 2.0, "x": 1}, {"step": 1.0, "x": 2}, {"step": 2.0, "x": 3}])
    assert curves.read(run)[["step", "x"]].to_numpy().tolist() == [[1, 2], [2, 3]]


def test_rows_without_any_step_are_no_rows(run: Path) -> None:
    lines(run / "metrics.jsonl", [{"x": 1}, {"x": 2}])
    assert (len(curves.read(run)), curves.read(run).attrs["skipped"]) == (0, 2)


def test_no_records_are_an_empty_table(tmp_path: Path) -> None:
    for read in (curves.read, curves.groups, curves.evals, curves.panel):
        assert len(read(tmp_path)) == 0
        assert "step" in read(tmp_path)
    (tmp_path / "metrics.jsonl").write_text("")
    assert len(curves.read(tmp_path)) == 0


def test_the_copy_is_used_while_it_holds_and_made_anew_when_the_records_change(run: Path) -> None:
    curves.read(run)
    copy = run / ".metrics.parquet"
    before = copy.stat().st_mtime_ns
    curves.read(run)
    assert copy.stat().st_mtime_ns == before, "a copy that holds is not written again"
    with (run / "metrics.jsonl").open("a") as file:
        file.write('{"step": 5.0, "group/etr": 0.5}\n')
    assert len(curves.read(run)) == 6
    text = (run / "metrics.jsonl").read_text()
    (run / "metrics.jsonl").write_text(text.replace("0.5}", "0.7}"))  # as long as before
    os.utime(run / "metrics.jsonl", ns=(1, 1))
    assert curves.read(run)["group/etr"].iloc[-1] == 0.7


@pytest.mark.parametrize("content", [b"", b"PAR1 no table PAR1", b"\x00" * 400])
def test_a_damaged_copy_is_no_copy(run: Path, content: bytes) -> None:
    want = curves.read(run)
    (run / ".metrics.parquet").write_bytes(content)
    pd.testing.assert_frame_equal(curves.read(run), want)


def test_a_folder_that_cannot_be_written_is_read_all_the_same(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(curves.pq, "write_table", refuse)  # root may write anywhere
    assert len(curves.read(run)) == 5
    assert not list(run.glob(".metrics*"))


def test_groups_keep_their_order_their_words_and_their_truth_values(tmp_path: Path) -> None:
    row = {"step": 1, "task": "aa", "purpose": "train", "wins": 3, "trials": 8, "predicted": None, "admitted": True}
    lines(tmp_path / "groups.jsonl", [row, row | {"task": "bb", "admitted": False}, "{broken"])
    for _ in ("parsed", "from the copy"):
        frame = curves.groups(tmp_path)
        assert frame["task"].tolist() == ["aa", "bb"]
        assert frame["admitted"].tolist() == [True, False]
        assert frame["wins"].tolist() == [3, 3]
        assert frame["predicted"].isna().all()
        assert frame.attrs["skipped"] == 1


def test_evaluations_are_one_table_with_their_steps(tmp_path: Path) -> None:
    (tmp_path / "evals").mkdir()
    for step in (0, 20):
        rows = [{"task": task, "wins": step // 10, "trials": 4, "category": None} for task in ("aa", "bb")]
        lines(tmp_path / "evals" / f"step_{step:06d}.jsonl", rows)
    assert curves.evals(tmp_path)[["step", "task", "wins"]].to_numpy().tolist() == [
        [0, "aa", 0],
        [0, "bb", 0],
        [20, "aa", 2],
        [20, "bb", 2],
    ]
    lines(tmp_path / "evals" / "step_000010.jsonl", [{"task": "aa", "wins": 1}, "{broken"], tail='{"half')
    frame = curves.evals(tmp_path)
    assert frame["step"].tolist() == [0, 0, 10, 20, 20]
    assert frame.attrs["skipped"] == 2
    for step in (10, 20):
        (tmp_path / "evals" / f"step_{step:06d}.jsonl").unlink()
    assert curves.evals(tmp_path)["step"].tolist() == [0, 0], "an evaluation that is gone is gone from the copy"
