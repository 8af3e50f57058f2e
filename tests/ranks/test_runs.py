"""A run on two ranks is the run of one, and ends as one, whatever ends it."""

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from ranks.pair import QUICK, alone, folder, jobs, train, wait_for_step
from rftlab.cli import main
from rftlab.tracking import read_jsonl

OWN = ("time/", "rate/", "ledger/seconds", "sync/", "train/padding")
"""Not compared: clocks, differences of log-probs that are rounding alone, and what the division into batches costs."""
ENDLESS = ("budget.steps=100000", "budget.prompts=8")


def same(path: Path, other: Path) -> None:
    """The same rollouts and counts; sums of floats in another order."""
    assert (path / "groups.jsonl").read_bytes() == (other / "groups.jsonl").read_bytes()
    evals, others = ({p.name: p.read_text() for p in (f / "evals").iterdir()} for f in (path, other))
    assert evals == others
    rows, others = (list(read_jsonl(f / "metrics.jsonl")) for f in (path, other))
    assert len(rows) == len(others)
    for row, wanted in zip(rows, others, strict=True):
        assert row.keys() >= {k for k in wanted if not k.startswith(OWN)}
        for key, value in wanted.items():
            if not key.startswith(OWN):
                assert row[key] == (None if value is None else pytest.approx(value, rel=1e-4, abs=1e-6)), key


def saved(outputs: Path, step: int) -> bool:
    return (folder(outputs) / "checkpoints" / f"step_{step:06d}" / "COMPLETE").is_file()


def test_killed_on_two_ranks_and_gone_on_with_on_one_and_two_it_is_the_run_of_one(tmp_path, capsys):
    two, one = tmp_path / "two", tmp_path / "one"
    pair = train(two, *ENDLESS, "checkpoint.every_steps=100")
    wait_for_step(two, 2)
    pair.ranks[1].send_signal(signal.SIGKILL)
    codes, _, err = pair.end(120)
    assert codes == [1, -signal.SIGKILL]
    assert err[0].splitlines() == ["rftlab: rank 1 has ended before its work was done: the job ends"]
    status = json.loads((folder(two) / "status.json").read_text())
    assert status["state"] == "failed" and "rank 1 has ended" in status["reason"]

    (step,) = (int(path.name.removeprefix("step_")) for path in (folder(two) / "checkpoints").iterdir())
    assert 2 <= step == status["step"]  # rank 0 has saved, wherever in a step it was
    alone(two, "budget.prompts=8", f"budget.steps={step + 1}")
    assert f"going on after step {step}" in capsys.readouterr().out

    codes, out, err = train(two, "budget.prompts=8", f"budget.steps={step + 2}").end()
    assert codes == [0, 0] and err == ["", ""]
    assert f"going on after step {step + 1}" in out[0] and f"step {step + 2}/{step + 2}" in out[0]
    assert out[1] == ""  # the second is silent
    alone(one, "budget.prompts=8", f"budget.steps={step + 2}")
    same(folder(two), folder(one))


def test_an_exception_on_another_rank_ends_the_job_with_its_traceback(tmp_path):
    codes, _, err = train(tmp_path, "engine._target_=rank_engines.Raises", cwd=Path(__file__).parent).end()
    assert codes == [1, 1]
    assert err[1].startswith("rftlab: rank 1 failed:\nTraceback") and "ZeroDivisionError: on purpose" in err[1]
    assert err[0].splitlines() == ["rftlab: rank 1 has ended before its work was done: the job ends"]


def test_a_full_gpu_on_another_rank_is_one_line_that_names_what_to_lower(tmp_path):
    faulty = ("engine._target_=rank_engines.Fills", "checkpoint.every_steps=100")
    codes, _, err = train(tmp_path, *faulty, cwd=Path(__file__).parent).end()
    assert codes == [1, 1] and len(err[1].splitlines()) == 1
    assert err[1].startswith("rftlab: rank 1 failed: out of GPU memory for another 2.00 GiB: lower model.micro_batch")
    assert err[1].endswith("goes on from what was saved\n")
    status = json.loads((folder(tmp_path) / "status.json").read_text())
    assert status["step"] > 0 and saved(tmp_path, status["step"])  # the steps before it


def test_wrong_input_is_one_line_of_one_rank(tmp_path):
    """Before the ranks have begun to build, which leaves them ready for another job, and while all of them build."""
    wrong = ("model.path=nowhere", "engine._target_=rank_engines.Refuses")
    codes, _, err = jobs(tmp_path, *wrong, cwd=Path(__file__).parent).end()
    assert codes[0] == 2
    before, building = err[0].splitlines()
    assert before.startswith("rftlab: model.path=nowhere: no ") and building.startswith(
        "rftlab: engine.wish=1: wanted 2"
    )
    assert err[1] == ""


def test_a_signal_to_all_ranks_saves_once_and_ends_all(tmp_path):
    pair = train(tmp_path, *ENDLESS)
    wait_for_step(tmp_path, 2)
    for process in (*pair.ranks, *pair.ranks):  # by the terminal, and again by the launcher
        process.send_signal(signal.SIGTERM)
    codes, _, err = pair.end()
    assert codes == [143, 0], err
    assert err == ["rftlab: stopped by SIGTERM; saved, the same command goes on\n", ""]
    status = json.loads((folder(tmp_path) / "status.json").read_text())
    assert status["state"] == "stopped"
    assert saved(tmp_path, status["step"])


def test_the_command_starts_its_own_ranks_and_keeps_their_exit_status(tmp_path):
    command = [sys.executable, "-m", "rftlab", "train", *QUICK, *ENDLESS, f"outputs_dir={tmp_path}"]
    command += ["launcher=accelerate", "num_processes=2"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for_step(tmp_path, 1)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=180)
    assert process.returncode == 143 and err == "rftlab: stopped by SIGTERM; saved, the same command goes on\n"


@pytest.mark.parametrize(
    ("overrides", "line"),
    [
        (["num_processes=2"], "num_processes=2: nothing starts them; give launcher=accelerate"),
        (["launcher=slurm"], "launcher=slurm: wanted one of accelerate"),
        (["launcher=accelerate"], "launcher=accelerate: no GPU is visible, so the number of ranks is yours"),
        (["shard=true"], "shard=true: one process has nobody to share with; give launcher=accelerate num_processes=N"),
    ],
)
def test_what_cannot_be_several_ranks_is_one_line(tmp_path, capsys, monkeypatch, overrides, line):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    assert main(["train", *QUICK, f"outputs_dir={tmp_path}", *overrides]) == 2
    assert line in capsys.readouterr().err
