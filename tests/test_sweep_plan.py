"""What is left to do of a sweep at work, as ``rftlab runs`` shows it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rftlab import cli, runs
from rftlab.runs import RunState
from rftlab.runs_table import totals, view
from rftlab.sweep_plan import Plan, Waiting, waiting

SIM = ("engine=sim", "tracking=none", "budget=smoke", "eval.limit=8", "panel.tasks=0", "outputs_dir=out")


def test_jobs_wait_until_they_were_looked_at_and_the_file_goes_with_the_sweep(tmp_path: Path) -> None:
    with Plan(tmp_path / "first", ["seed=0", "seed=1", "seed=2"], 2) as plan:
        plan.looked_at(0)
        plan.took(10.0)
        plan.looked_at(1)
        for folder in (tmp_path, tmp_path / "first"):
            (found,) = waiting(folder)
            assert (found.jobs, found.places, found.mean) == (["seed=2"], 2, 10.0)
        assert view(tmp_path, [], [found])[:3] == ["first, not begun", "  job     state", "  seed=2  waiting"]
        plan.looked_at(2)
        assert waiting(tmp_path) == []
    assert not list((tmp_path / "first").iterdir())


def test_the_time_to_go_is_that_of_what_waits_and_what_runs_over_the_places() -> None:
    def run(eta: float | None, folder: str = "out/first") -> RunState:
        return RunState(Path(folder) / "tiny_ladder" / "uniform-1" / "seed0", "running", eta=eta)

    sweep = Waiting(Path("out/first"), ["a", "b", "c"], 2, 100.0)
    assert sweep.seconds_left([run(30.0), run(None), run(1000.0, "out/other")]) == (300 + 30 + 50) / 2
    assert sweep.seconds_left([run(900.0)]) == 900.0, "the last one to end ends the sweep"
    assert Waiting(Path("out/first"), ["a"], 2, None).seconds_left([run(30.0)]) is None
    assert totals([run(30.0)], [sweep]).startswith("4 cells: 3 waiting, 1 running; about 2")


def test_a_plan_that_nobody_holds_counts_for_nothing_and_is_swept_away(tmp_path: Path) -> None:
    left = tmp_path / ".sweep-host-1.jsonl"
    left.write_text('{"jobs": ["seed=0"], "places": 1}\n')
    assert waiting(tmp_path) == []
    with Plan(tmp_path, ["seed=1"], 1):
        assert not left.exists() and waiting(tmp_path)[0].jobs == ["seed=1"]


def test_what_does_not_fit_the_terminal_is_counted(tmp_path: Path) -> None:
    sweep = Waiting(tmp_path / "first", [f"seed={i}" for i in range(9)], 1, None)
    lines = view(tmp_path, [], [sweep], rows=4)
    assert sum("waiting" in line for line in lines) == 5 and "and 5 more" in lines and "9 cells: 9 waiting" in lines


def test_a_sweep_at_work_shows_its_jobs_waiting_and_leaves_none_when_it_ends(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    command = ["train", "-m", *SIM, "name=first", "hydra.launcher.n_jobs=1", "budget.steps=3000", "seed=0,1,2"]
    process = subprocess.Popen([sys.executable, "-m", "rftlab", *command], stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 240
        while not any(run.step for run in _found(tmp_path / "out")) and time.monotonic() < deadline:
            time.sleep(0.1)
        assert cli.main(["runs", "out"]) == 0
        out = capsys.readouterr().out
        assert len(re.findall(r"^  seed=[12] +waiting$", out, re.M)) == 2
        assert "3 cells: 2 waiting, 1 running" in out
    finally:
        process.send_signal(signal.SIGTERM)
        assert process.wait(240) == 143
    assert not list((tmp_path / "out" / "first").glob(".sweep-*"))
    assert cli.main(["runs", "out"]) == 0 and "1 cell: 1 stopped" in capsys.readouterr().out


def _found(folder: Path) -> list[RunState]:
    with contextlib.suppress(Exception):
        return runs.find(folder)
    return []


def test_a_sweep_killed_by_9_leaves_nothing_waiting(tmp_path: Path) -> None:
    code = "import sys, time; from pathlib import Path; from rftlab.sweep_plan import Plan\n"
    code += "with Plan(Path(sys.argv[1]), ['seed=0'], 1):\n    print('held', flush=True)\n    time.sleep(600)"
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    assert [sweep.jobs for sweep in waiting(tmp_path)] == [["seed=0"]]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert waiting(tmp_path) == [] and list(tmp_path.glob(".sweep-*"))
