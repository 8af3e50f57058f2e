"""Sweeps and the folders of their experiments: names that are numbers, several names, names that can name no folder."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from rftlab import runs

COMMON = ("engine=sim", "tracking=none", "budget=smoke", "eval.limit=8", "panel.tasks=0", "hydra.launcher.n_jobs=2")


def sweep(place: Path, *args: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "rftlab", "train", "-m", *COMMON, *args]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=240)
    return done.returncode, done.stdout, done.stderr


def test_a_name_or_a_folder_may_be_a_number(tmp_path: Path) -> None:
    code, out, err = sweep(tmp_path, "name=2026", "outputs_dir=5", "seed=0,1")
    assert code == 0 and "2 cells: 2 done" in out, err
    assert len(runs.find(tmp_path / "5" / "2026")) == 2


@pytest.mark.parametrize("name", ["my exp", "../x"])
def test_a_name_that_can_name_no_folder_is_one_line_and_makes_none(tmp_path: Path, name: str) -> None:
    code, out, err = sweep(tmp_path, f"name='{name}'", "seed=0,1")
    assert (code, out, err.count("\n")) == (2, "", 1) and f"name={name}: wanted letters, digits" in err
    assert not list(tmp_path.iterdir())


def test_in_a_sweep_over_names_one_that_is_none_costs_only_itself(tmp_path: Path) -> None:
    code, out, err = sweep(tmp_path, "outputs_dir=out", "name=a,../x,'my exp',b")
    assert code == 1 and "4 cells: 2 done, 2 failed" in out and err.count(": wanted letters, digits") == 2
    assert {run.group for run in runs.find(tmp_path / "out")} == {"a/tiny_ladder", "b/tiny_ladder"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"a", "b", "lab"}
    assert [path.name for path in (tmp_path / "out" / "lab").iterdir()] == ["multirun.yaml"], "the sweep's record"
