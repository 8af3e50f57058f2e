"""How runs stand, told from what lies in their directories; ``rftlab runs`` once, as JSON and live."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from rftlab import cli, runs
from rftlab.core import InputError
from rftlab.rundir import RunDir

CONFIG = "seed: {seed}\nbudget:\n  steps: 40\n  prompts: 4\n  group_size: 4\n  rollouts: null\neval:\n  seed: 9\n"


def make(root: Path, arm: str, seed: int, state: str, step: int = 10, **more: Any) -> Path:
    """A run's directory as a run of 40 steps leaves it after ``step`` of them, a second each."""
    path = root / "exp" / "tiny_ladder" / arm / f"seed{seed}"
    path.mkdir(parents=True)
    (path / ".lock").touch()
    (path / "config.yaml").write_text(CONFIG.format(seed=seed))
    rows = [
        {"step": float(i), "time/step": 1.0, "time/eval": 3.0 if i % 5 == 0 else None, "ledger/rollouts": 16 * i}
        | ({"eval/accuracy": i / 100} if i % 5 == 0 else {})
        for i in range(step + 1)
    ]
    (path / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    status = {"state": state, "step": step, "pid": 1, "host": socket.gethostname(), "heartbeat": time.time()}
    (path / "status.json").write_text(json.dumps(status | {"rollouts": 16 * step} | more))
    return path


def states(folder: Path) -> list[str]:
    return [run.state for run in runs.find(folder)]


def test_runs_are_found_at_any_depth_in_natural_order_and_not_inside_of_each_other(tmp_path: Path) -> None:
    for seed in (10, 9, 0):
        path = make(tmp_path, "bots-1", seed, "done")
        (path / "old" / "seed1").mkdir(parents=True)
        (path / "old" / "seed1" / "status.json").write_text("{}")
    (tmp_path / "link").symlink_to(tmp_path)
    found = runs.find(tmp_path / "exp")
    assert [run.seed for run in found] == [0, 9, 10]
    assert {(run.group, run.arm, run.steps) for run in found} == {("exp/tiny_ladder", "bots-1", 40)}
    assert [run.path for run in runs.find(found[1].path)] == [found[1].path]
    assert len(runs.find(tmp_path)) == 6, "a link to the folder itself is followed once"


def test_a_folder_that_is_none_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        runs.find(tmp_path / "nothing")
    assert runs.find(tmp_path) == []


def test_what_is_known_of_a_run(tmp_path: Path) -> None:
    make(tmp_path, "bots-1", 3, "failed", 12, reason="RuntimeError: so it goes")
    (run,) = runs.find(tmp_path)
    assert (run.state, run.step, run.steps, run.rollouts, run.seed) == ("failed", 12, 40, 192, 3)
    assert run.accuracy == 0.10 and run.reason == "RuntimeError: so it goes" and run.eta is None
    assert run.config["budget"]["group_size"] == 4 and run.identity == {}


def test_the_last_accuracy_is_found_behind_long_stretches_without_an_evaluation(tmp_path: Path) -> None:
    path = make(tmp_path, "bots-1", 0, "done")
    with (path / "metrics.jsonl").open("a") as file:
        for i in range(2000):
            file.write(json.dumps({"step": i, "padding": "x" * 200}) + "\n")
    assert runs.find(tmp_path)[0].accuracy == 0.10


@pytest.mark.parametrize("text", ["", "{", "[]", '{"state": "done"}', '{"state": 1, "step": "x"}'])
def test_a_damaged_status_is_unreadable_or_never_begun(tmp_path: Path, text: str) -> None:
    path = make(tmp_path, "bots-1", 0, "done")
    (path / "status.json").write_text(text)
    assert states(tmp_path) == ["unreadable"]
    (path / "metrics.jsonl").unlink()
    assert states(tmp_path) == ["unreadable" if text else "failed"]


def test_records_without_a_status_are_no_run_that_never_began(tmp_path: Path) -> None:
    path = make(tmp_path, "bots-1", 0, "done")
    (path / "status.json").unlink()
    (run,) = runs.find(tmp_path)
    assert (run.state, run.reason) == ("unreadable", "status.json is empty or missing")


def test_the_last_words_are_those_of_the_last_attempt() -> None:
    first = b"\n$ rftlab train seed=1\nrftlab: broken\n"
    assert runs.last_words(first) == "broken"
    assert runs.last_words(first + b"\n$ rftlab train seed=1\n") == "console.log says nothing"


def test_damaged_records_are_one_line_when_they_are_asked_for(tmp_path: Path) -> None:
    path = make(tmp_path, "bots-1", 0, "done")
    (path / "run.json").write_text("{")
    (path / "config.yaml").write_text("a: [")
    (run,) = runs.find(tmp_path)
    for name in ("identity", "config"):
        with pytest.raises(InputError, match=r"cannot be read"):
            getattr(run, name)


def test_running_means_that_a_process_holds_the_lock(tmp_path: Path) -> None:
    path = make(tmp_path, "bots-1", 0, "running")
    assert states(tmp_path) == ["stale"]
    owner = RunDir(path)
    assert states(tmp_path) == ["running"]
    owner.close()
    assert states(tmp_path) == ["stale"]


def test_a_stopped_run_that_somebody_has_begun_again_is_running(tmp_path: Path) -> None:
    path = make(tmp_path, "bots-1", 0, "stopped")
    owner = RunDir(path)
    assert states(tmp_path) == ["running"]
    owner.close()
    assert states(tmp_path) == ["stopped"]


def test_a_job_that_has_just_been_started_is_running_and_one_that_ended_at_once_has_failed(tmp_path: Path) -> None:
    folder = tmp_path / "exp" / "tiny_ladder" / "bots-1" / "seed4"
    folder.mkdir(parents=True)
    (folder / "console.log").write_text("$ rftlab train\nrftlab: sead=4: no such key\n")
    (run,) = runs.find(tmp_path)
    assert (run.state, run.step, run.seed, run.reason) == ("failed", 0, 4, "sead=4: no such key")
    with open(folder / "console.log", "ab") as log:
        fcntl.flock(log, fcntl.LOCK_EX)
        assert states(tmp_path) == ["running"]


def test_a_lock_alone_is_no_run_unless_it_is_held(tmp_path: Path) -> None:
    folder = tmp_path / "exp" / "tiny_ladder" / "bots-1" / "seed4"
    folder.mkdir(parents=True)
    owner = RunDir(folder)
    assert states(tmp_path) == ["running"]
    owner.close()
    assert (folder / ".lock").is_file() and states(tmp_path) == []


def test_a_run_of_another_host_lives_while_its_heartbeat_is_young(tmp_path: Path) -> None:
    make(tmp_path, "a", 0, "running", host="elsewhere")
    make(tmp_path, "b", 0, "running", host="elsewhere", heartbeat=time.time() - runs.DEAD_AFTER - 1)
    assert states(tmp_path) == ["running", "stale"]


def test_the_time_to_go_counts_evaluations_and_what_has_passed_since(tmp_path: Path) -> None:
    beat = time.time() - 5
    path = make(tmp_path, "bots-1", 0, "running", step=20, heartbeat=beat)
    owner = RunDir(path)
    (run,) = runs.find(tmp_path)
    owner.close()
    # 20 steps of 1 s with 4 evaluations of 3 s after the first row: 32 s for half, so 32 s to go, 5 of them over
    assert 32 - (time.time() - beat) <= run.eta + 1e-6 and run.eta <= 27 + 1e-6


def test_looking_at_a_run_does_not_keep_it_from_starting(tmp_path: Path) -> None:
    path = make(tmp_path, "bots-1", 0, "running")
    done = threading.Event()

    def look() -> None:
        while not done.is_set():
            runs.read(path)

    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        for _ in range(50):
            RunDir(path).close()
    finally:
        done.set()
        watcher.join()


# --- the verb -------------------------------------------------------------------------------------------------------


def test_the_table_has_a_row_a_run_under_each_experiment(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    make(tmp_path, "bots-1", 0, "done", 40)
    make(tmp_path, "uniform-2", 0, "stopped", 20, reason="Stopped: SIGTERM")
    for more in ([], ["--watch"]):  # no terminal: once
        assert cli.main(["runs", str(tmp_path), *more]) == 0
        out = capsys.readouterr().out
        assert re.search(r"^exp/tiny_ladder$", out, re.M) and "\033" not in out
        assert re.search(r"^  bots-1/seed0 +done +40/40 +0\.400", out, re.M)
        assert re.search(r"^  uniform-2/seed0 +stopped +20/40 +0\.200 +Stopped: SIGTERM", out, re.M)
        assert "2 cells: 1 done, 1 stopped" in out


def test_json_has_every_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = make(tmp_path, "bots-1", 0, "done", 40)
    assert cli.main(["runs", str(tmp_path), "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["path"] == str(path) and row["state"] == "done" and row["accuracy"] == 0.4


def test_no_runs_are_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["runs", str(tmp_path)]) == 0
    assert capsys.readouterr().out == f"no runs in {tmp_path}\n"
    assert cli.main(["runs", str(tmp_path / "nowhere")]) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_the_live_view_follows_and_ends_cleanly_at_an_interrupt(tmp_path: Path) -> None:
    for seed in range(60):
        make(tmp_path, "bots-1", seed, "done", 40)
    master, slave = pty.openpty()
    command = [sys.executable, "-m", "rftlab", "runs", str(tmp_path), "--watch"]
    env = os.environ | {"TERM": "xterm", "LINES": "30", "COLUMNS": "100"}
    process = subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=env,
        start_new_session=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # ignored in what a shell runs behind itself
    )
    os.close(slave)
    try:
        seen = read_until(master, "60 done")
        assert "and 35 more" in seen, "it fits the terminal"
        make(tmp_path, "uniform-2", 0, "failed", 20)
        seen = read_until(master, "1 failed")
        assert "uniform-2/seed0" in seen, "what has gone wrong comes before what is done"
        process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 60
        while process.poll() is None and time.monotonic() < deadline:  # a full terminal would stop its last words
            if select.select([master], [], [], 0.2)[0]:
                with contextlib.suppress(OSError):  # its other end has closed
                    os.read(master, 65536)
        assert process.poll() == 0
    finally:
        process.kill()
        process.wait()
        os.close(master)


def read_until(terminal: int, text: str) -> str:
    seen, deadline = "", time.monotonic() + 60
    while text not in seen:
        assert time.monotonic() < deadline, f"no {text!r} in {seen[-300:]!r}"
        if select.select([terminal], [], [], 0.5)[0]:
            seen += re.sub(r"\033\[[\d;?]*\w", "", os.read(terminal, 65536).decode(errors="replace"))
    return seen
