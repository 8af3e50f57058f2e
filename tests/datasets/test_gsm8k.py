"""GSM8K's format; the rows in tests/data are our own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir

import rftlab
from rftlab.core import InputError
from rftlab.datasets.gsm8k import load

DATA = Path(__file__).parents[1] / "data" / "gsm8k_like.jsonl"
CONF = Path(__file__).parents[2] / "conf"


def test_the_answer_is_the_number_after_the_mark_and_the_solution_is_kept() -> None:
    found = load(str(DATA))
    tasks = {t.meta["row"]: t for t in [*found.train.tasks, *found.eval.tasks]}
    assert {row: t.answer for row, t in tasks.items()} == {
        f"gsm8k_like.jsonl:{i}": answer for i, answer in enumerate(["22", "1600", "-5", "28", "62", "1200000"], 1)
    }
    second = tasks["gsm8k_like.jsonl:2"]
    assert second.meta["solution"].endswith("#### 1,600")
    assert second.prompt[0]["content"].startswith("A printer costs") and "####" in second.prompt[0]["content"]


def test_a_folder_brings_its_own_evaluation_set(tmp_path: Path) -> None:
    lines = DATA.read_text().splitlines(keepends=True)
    (tmp_path / "train.jsonl").write_text("".join(lines[:4]))
    with pytest.raises(InputError, match=r"test\.jsonl"):
        load(str(tmp_path))
    (tmp_path / "test.jsonl").write_text("".join(lines[4:]))
    found = load(str(tmp_path), limit=3)
    assert (len(found.train), len(found.eval)) == (3, 2)
    (tmp_path / "other.jsonl").write_text("".join(lines[3:]))
    other = load(str(tmp_path), eval_path=str(tmp_path / "other.jsonl"))
    assert (len(other.train), len(other.eval)) == (3, 3)


def test_a_solution_without_the_mark_is_a_row_without_answer(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text(DATA.read_text() + '{"question": "q", "answer": "so it is 5"}\n')
    with pytest.raises(InputError, match="line 7 has no 'answer'"):
        load(str(path))


def test_without_a_network_one_line_says_what_to_do() -> None:
    code = "from rftlab.datasets.gsm8k import load\ntry: load()\nexcept ValueError as e: print(type(e).__name__, e)"
    env = os.environ | {
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": os.devnull,
        "PYTHONPATH": str(Path(rftlab.__file__).parents[1]),
    }
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    assert line.startswith("InputError openai/gsm8k") and "dataset.path=FOLDER" in line


@pytest.mark.parametrize(
    ("overrides", "verifier"),
    [
        (["dataset=gsm8k"], "number"),
        (["dataset=gsm8k", "verifier=exact"], "exact"),
        (["dataset=jsonl"], "exact"),
        (["dataset=jsonl", "verifier=number"], "number"),
    ],
)
def test_a_dataset_brings_its_verifier_and_the_command_line_still_wins(overrides: list[str], verifier: str) -> None:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        cfg = compose("train", overrides)
    assert cfg.verifier.name == verifier and cfg.dataset.name == overrides[0].partition("=")[2]
