"""What is left to do of a sweep at work, as ``rftlab runs`` shows it."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

from rftlab import cli, runs
from rftlab.runs import RunState
from rftlab.runs_table import totals, view
from rftlab.sweep_cells import Cell
from rftlab.sweep_plan import NAME, AtWork, Plan, at_work

SIM = ("engine=sim", "tracking=none", "budget=smoke", "eval.limit=8", "panel.tasks=0", "outputs_dir=out")


def cell(number: int, folder: Path | str = "out/first", verb: str = "train") -> Cell:
    folder = Path(folder)
    place = folder / f"eval-{number}" if verb == "eval" else folder / "tiny_ladder" / "uniform-1" / f"seed{number}"
    cfg = OmegaConf.create({"outputs_dir": str(folder.parent), "name": folder.name})
    return Cell(number, [f"seed={number}"], f"seed={number}", cfg, verb, place)


def stand(cell: Cell, state: str, eta: float | None = None) -> RunState:
    assert cell.run is not None
    return RunState(cell.run, state, eta=eta)


def test_jobs_wait_until_they_are_begun_and_the_file_goes_with_the_sweep(tmp_path: Path) -> None:
    first = tmp_path / "first"
    first.mkdir()
    cells = [cell(i, first) for i in range(4)]
    with Plan(2) as plan:
        plan.note(cells[0], "running")
        plan.note(cells[1], "waiting")
        plan.note(cells[2], "waiting")
        plan.note(cells[0], "ended", 10.0)
        plan.note(cells[1], "running")
        found = [stand(cells[0], "done"), stand(cells[1], "running")]
        for folder in (tmp_path, first):
            assert at_work(folder, found) == [AtWork(first, [("seed=2", "waiting")], 0, 2, 10.0)]
        lines = view(tmp_path, [], at_work(tmp_path, found))
        assert lines[:3] == ["first, without a run", "  job     state", "  seed=2  waiting"]
        plan.note(cells[2], "ended")
        assert at_work(tmp_path, found) == []
    assert not list(first.iterdir())


def test_what_waits_is_counted_once_whoever_is_to_do_it_and_not_if_it_has_a_run(tmp_path: Path) -> None:
    cells = [cell(i, tmp_path) for i in range(4)]
    with Plan(1) as plan:
        for each in cells:
            plan.note(each, "waiting")
        other = next(tmp_path.glob(NAME)).with_name(".sweep-other-1.jsonl")
        other.write_bytes(next(tmp_path.glob(NAME)).read_bytes())
        with other.open() as held:
            fcntl.flock(held, fcntl.LOCK_EX)
            found = [stand(cells[0], "done"), stand(cells[1], "running", 30.0), stand(cells[2], "stopped")]
            sweeps = at_work(tmp_path, found)
    assert totals(found, sweeps) == "4 cells: 1 done, 1 running, 1 stopped, 1 waiting"
    assert [sweep.again for sweep in sweeps] == [1, 1], "a stopped one is still to be done"


def test_a_job_of_another_verb_runs_until_it_has_ended(tmp_path: Path) -> None:
    with Plan(1) as plan:
        plan.note(cell(0, tmp_path, "eval"), "running")
        plan.note(cell(1, tmp_path, "eval"), "waiting")
        (sweep,) = at_work(tmp_path, [])
        assert sweep.jobs == [("seed=0", "running"), ("seed=1", "waiting")]
        assert totals([], [sweep]) == "2 cells: 1 running, 1 waiting"
        plan.note(cell(0, tmp_path, "eval"), "ended", 8.0)
        (sweep,) = at_work(tmp_path, [])
        assert sweep.jobs == [("seed=1", "waiting")] and sweep.seconds_left([]) == 8.0


def test_the_time_to_go_is_that_of_what_waits_and_what_runs_over_the_places() -> None:
    jobs = [("a", "waiting"), ("b", "waiting")]
    sweep = AtWork(Path("out/first"), jobs, 1, 2, 100.0)
    running = [stand(cell(0), "running", 30.0), stand(cell(1), "running")]
    assert sweep.seconds_left([*running, stand(cell(2, "out/other"), "running", 1000.0)]) == (300 + 30 + 50) / 2
    assert sweep.seconds_left([stand(cell(0), "running", 900.0)]) == 900.0, "the last one to end ends the sweep"
    assert AtWork(Path("out/first"), jobs, 0, 2, None).seconds_left(running) is None
    assert AtWork(Path("out/first"), [("a", "running")], 0, 2, 100.0).seconds_left([]) == 50.0
    assert totals(running[:1], [sweep]).startswith("3 cells: 2 waiting, 1 running; about 2")


def test_a_sweep_over_several_experiments_has_no_plan_and_makes_no_folder(tmp_path: Path) -> None:
    with Plan(1) as plan:
        plan.note(cell(0, tmp_path), "running")
        assert list(tmp_path.iterdir())
        plan.note(cell(1, tmp_path / "other"), "waiting")
        plan.note(cell(2, tmp_path), "waiting")
        assert not list(tmp_path.iterdir())


def test_a_plan_that_cannot_be_written_costs_only_the_display(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for folder in ("missing", "file"):
        with Plan(1) as plan:
            plan.note(cell(0, tmp_path / folder), "running")
            plan.note(cell(0, tmp_path / folder), "ended", 1.0)
    with Plan(1) as plan:
        plan.note(cell(0, tmp_path), "running")
        with open("/dev/full", "wb") as full, next(tmp_path.glob(NAME)).open() as file:
            assert plan._file is not None and os.path.samestat(os.fstat(plan._file.fileno()), os.fstat(file.fileno()))
            os.dup2(full.fileno(), plan._file.fileno())  # from here on: no space left on device
        plan.note(cell(1, tmp_path), "running")
        assert not list(tmp_path.glob(NAME)), "half a plan would be shown"
        plan.note(cell(1, tmp_path), "ended", 1.0)


def test_a_plan_that_nobody_holds_counts_for_nothing_and_is_swept_away(tmp_path: Path) -> None:
    left = tmp_path / ".sweep-host-1.jsonl"
    row = {"job": 0, "label": "seed=0", "state": "waiting", "run": None, "took": None}
    left.write_text('{"places": 1}\n' + json.dumps(row) + "\n")
    assert at_work(tmp_path, []) == []
    with left.open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert at_work(tmp_path, [])[0].jobs == [("seed=0", "waiting")]
        with Plan(1) as plan:
            plan.note(cell(1, tmp_path), "waiting")
            assert len(at_work(tmp_path, [])) == 2
    with Plan(1) as plan:
        plan.note(cell(1, tmp_path), "waiting")
        assert not left.exists() and at_work(tmp_path, [])[0].jobs == [("seed=1", "waiting")]


def test_a_plan_swept_away_before_it_is_held_is_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lock, swept = fcntl.flock, []

    def late(file: Any, how: int) -> None:
        if how == fcntl.LOCK_EX and not swept:
            swept.extend(tmp_path.glob(NAME))
            swept[0].unlink()
        lock(file, how)

    monkeypatch.setattr(fcntl, "flock", late)
    with Plan(1) as plan:
        plan.note(cell(0, tmp_path), "waiting")
        assert swept and at_work(tmp_path, [])[0].jobs == [("seed=0", "waiting")]


def test_what_does_not_fit_the_terminal_is_counted(tmp_path: Path) -> None:
    sweep = AtWork(tmp_path / "first", [(f"seed={i}", "waiting") for i in range(9)], 0, 1, None)
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


def test_cells_done_before_do_not_wait_and_those_to_do_wait_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rftlab"])  # Hydra reads it
    command = ["train", "-m", *SIM, "name=first", "hydra.launcher.n_jobs=1", "checkpoint.every_steps=100"]
    assert cli.main([*command, "seed=1,2"]) == 0
    both = [*command, "sampler=bots,uniform", "seed=1,2"]
    process = subprocess.Popen([sys.executable, "-m", "rftlab", *both], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        assert "begins" in process.stdout.readline()
        assert "done before" in process.stdout.readline() and "done before" in process.stdout.readline()
        process.send_signal(signal.SIGSTOP)
        capsys.readouterr()
        assert cli.main(["runs", "out"]) == 0
        assert "4 cells: 2 done, 1 running, 1 waiting" in capsys.readouterr().out
    finally:
        process.send_signal(signal.SIGCONT)
        process.communicate(timeout=240)
    assert process.returncode == 0


def test_a_sweep_whose_plan_cannot_be_made_does_its_jobs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["rftlab"])
    monkeypatch.setattr("socket.gethostname", lambda: "h" * 300)  # in the plan's name: too long for a file
    assert cli.main(["train", "-m", *SIM, "seed=0,1"]) == 0
    assert "2 cells: 2 done" in capsys.readouterr().out


def test_a_sweep_killed_by_9_leaves_nothing_waiting(tmp_path: Path) -> None:
    code = "import sys, time; from test_sweep_plan import Plan, Path, cell\n"
    code += "with Plan(1) as plan:\n    plan.note(cell(0, sys.argv[1]), 'waiting')\n"
    code += "    print('held', flush=True)\n    time.sleep(600)"
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parent
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    assert [sweep.jobs for sweep in at_work(tmp_path, [])] == [[("seed=0", "waiting")]]
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    assert at_work(tmp_path, []) == [] and list(tmp_path.glob(NAME))
