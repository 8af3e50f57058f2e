"""Killed, stopped, repeated: the same command leads to the run that was never interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file

from rftlab.tracking import read_jsonl

TRAIN = [
    sys.executable,
    "-m",
    "rftlab",
    "train",
    "sampler=bots",
    "sampler/admission=nonzero_var",
    "sampler.admission.carry=2",
    "sampler.admission.oversample=1.5",
    "budget.prompts=8",
    "budget.group_size=4",
    "budget.steps=10",
    "budget.rollouts=2000",
    "eval.limit=40",
    "eval.samples=2",
    "eval.every_rollouts=64",
    "checkpoint.every_steps=2",
    "tracking.wandb=off",
]


def start(outputs: Path, *more: str) -> subprocess.Popen:
    return subprocess.Popen(
        [*TRAIN, f"outputs_dir={outputs}", *more], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def finish(outputs: Path) -> Path:
    process = start(outputs)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    (path,) = outputs.glob("*/*/*/seed0")
    return path


def wait_for_step(outputs: Path, step: int) -> None:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        for file in outputs.glob("*/*/*/seed0/metrics.jsonl"):
            if len(file.read_text().splitlines()) > step:
                return
        time.sleep(0.01)
    pytest.fail(f"no step {step} within 240 s")


def record(path: Path) -> dict:
    """All that must be equal: everything but the clock."""
    rows = [
        {k: v for k, v in row.items() if not k.startswith(("time/", "rate/")) and k != "ledger/seconds"}
        for row in read_jsonl(path / "metrics.jsonl")
    ]
    folders = ("evals", "eval_completions", "completions")
    files = {f"{folder}/{p.name}": p.read_bytes() for folder in folders for p in (path / folder).glob("step_*")}
    weights = {name: load_file(path / "adapters" / name / "adapter_model.safetensors") for name in ("best", "last")}
    flat = {f"{name}/{k}": v.tobytes() for name, tensors in weights.items() for k, v in tensors.items()}
    return {"rows": rows, "groups": (path / "groups.jsonl").read_bytes(), "files": files, "weights": flat}


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory) -> dict:
    return record(finish(tmp_path_factory.mktemp("unbroken")))


def test_killed_anywhere_and_repeated_it_is_the_unbroken_run(unbroken, tmp_path):
    for step in (3, 6):
        process = start(tmp_path)
        wait_for_step(tmp_path, step)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        (path,) = tmp_path.glob("*/*/*/seed0")
        with (path / "metrics.jsonl").open("a") as file:
            file.write('{"step": 9, "ledger/rol')  # a kill in the middle of a write
    again = record(finish(tmp_path))
    assert again["rows"] == unbroken["rows"]
    assert again == unbroken
    assert any(row["sampler/carried"] for row in again["rows"][1:])  # carried groups went through the checkpoint


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_the_same_command_goes_on(unbroken, tmp_path, number, code):
    process = start(tmp_path)
    wait_for_step(tmp_path, 2)
    process.send_signal(number)
    _, err = process.communicate(timeout=240)
    assert process.returncode == code
    assert err.splitlines()[-1].startswith("rftlab: stopped by SIG") and "Traceback" not in err
    (path,) = tmp_path.glob("*/*/*/seed0")
    status = json.loads((path / "status.json").read_text())
    assert status["state"] == "stopped"
    assert (path / "checkpoints" / f"step_{status['step']:06d}" / "COMPLETE").is_file()
    assert record(finish(tmp_path)) == unbroken


def test_two_processes_on_one_run_directory_are_refused(tmp_path):
    endless = ("budget.steps=100000", "budget.rollouts=100000000")  # it must be there when the second has started
    first = start(tmp_path, *endless)
    wait_for_step(tmp_path, 1)
    command = [*TRAIN, f"outputs_dir={tmp_path}", *endless]
    second = subprocess.run(command, capture_output=True, text=True, timeout=240)
    assert second.returncode == 2 and f"is being written by process {first.pid}" in second.stderr
    assert len(second.stderr.splitlines()) == 1
    os.kill(first.pid, signal.SIGKILL)
    first.communicate()
