"""GSM8K's format; the rows in tests/data are our own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import rftlab
from rftlab.config import build_dataset, compose
from rftlab.core import InputError
from rftlab.datasets.base import Dataset

ROWS = Path(__file__).parents[1] / "data" / "gsm8k_like.jsonl"


def load(path: Path, **options: Any) -> Dataset:
    overrides = [f"dataset.{key}={value}" for key, value in options.items()]
    return build_dataset(compose(["dataset=gsm8k", f"dataset.path={path}", *overrides], verb="validate"))


def test_the_answer_is_the_number_after_the_mark_and_the_solution_is_kept() -> None:
    found = load(ROWS)
    tasks = {t.meta["row"]: t for t in [*found.train.tasks, *found.eval.tasks]}
    assert {row: t.answer for row, t in tasks.items()} == {
        f"gsm8k_like.jsonl:{i}": answer for i, answer in enumerate(["22", "1600", "-5", "28", "62", "1200000"], 1)
    }
    second = tasks["gsm8k_like.jsonl:2"]
    assert second.meta["solution"].endswith("#### 1,600")
    assert second.prompt[0]["content"].startswith("A printer costs") and "####" in second.prompt[0]["content"]


def test_a_folder_brings_its_own_evaluation_set(tmp_path: Path) -> None:
    lines = ROWS.read_text().splitlines(keepends=True)
    (tmp_path / "train.jsonl").write_text("".join(lines[:4]))
    with pytest.raises(InputError, match=r"test\.jsonl.*dataset\.eval_files=null"):
        load(tmp_path)
    (tmp_path / "test.jsonl").write_text("".join(lines[4:]))
    found = load(tmp_path, limit=3)
    assert (len(found.train), len(found.eval)) == (3, 2)
    (tmp_path / "other.jsonl").write_text("".join(lines[3:]))
    other = load(tmp_path, eval_path=tmp_path / "other.jsonl")
    assert (len(other.train), len(other.eval)) == (3, 3)


def test_a_solution_without_the_mark_is_a_row_without_answer(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(ROWS.read_text() + '{"question": "q", "answer": "so it is 5"}\n')
    with pytest.raises(InputError, match=r"a\.jsonl:7 has no 'answer'"):
        load(path)
    assert load(path, bad_rows="skip").left_out == (("a.jsonl:7", "has no 'answer' (dataset.answer_key)"),)


def test_without_a_network_one_line_says_what_to_do() -> None:
    env = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": os.devnull,
        "PYTHONPATH": str(Path(rftlab.__file__).parents[1]),
    }
    command = [sys.executable, "-m", "rftlab", "validate", "dataset=gsm8k"]
    done = subprocess.run(command, env=env, capture_output=True, text=True)
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("rftlab:")]
    assert done.returncode == 2 and "openai/gsm8k did not come" in line and "dataset.path=FILE or FOLDER" in line


@pytest.mark.parametrize(
    ("overrides", "verifier"),
    [
        (["dataset=gsm8k"], "number"),
        (["dataset=gsm8k", "verifier=exact"], "exact"),
        (["dataset=file"], "exact"),
        (["dataset=file", "verifier=number"], "number"),
    ],
)
def test_a_dataset_brings_its_verifier_and_the_command_line_still_wins(overrides: list[str], verifier: str) -> None:
    cfg = compose(overrides)
    assert cfg.verifier.name == verifier and cfg.dataset.name == overrides[0].partition("=")[2]


def test_the_published_files_are_read_whole(data: Path) -> None:
    found = load(data / "gsm8k")
    assert (len(found.train), len(found.eval)) == (7473, 1319) and not found.left_out
