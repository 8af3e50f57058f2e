"""A signal reaches the run while vLLM starts and after."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from vllm_tools import KV, build

SHORT = ["budget.prompts=4", "budget.group_size=4", "budget.steps=500", "dataset.limit=16", "eval.limit=8"]
SHORT += ["eval.samples=1", "panel.tasks=0", "tracking=none", "engine=vllm", KV]
PATIENCE = 240


def loads_vllm(process, _):
    """Whether vLLM's kernels are being loaded: the engine is not there yet."""
    with contextlib.suppress(OSError):  # it has ended
        return "/vllm/" in Path(f"/proc/{process.pid}/maps").read_text()
    return False


def takes_steps(_, outputs):
    return any("step" in path.read_text() for path in outputs.rglob("metrics.jsonl"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("reached", [loads_vllm, takes_steps])
def test_a_signal_stops_the_run(tmp_path, reached, number):
    command = [sys.executable, "-m", "rftlab", "train", *SHORT, f"outputs_dir={tmp_path}"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        end = time.monotonic() + PATIENCE
        while process.poll() is None and time.monotonic() < end and not reached(process, tmp_path):
            time.sleep(0.05)
        os.kill(process.pid, number)
        said, _ = process.communicate(timeout=PATIENCE)
    finally:
        process.kill()
    assert process.returncode == 128 + number, said
    assert f"stopped by {signal.Signals(number).name}" in said
    assert {json.loads(path.read_text())["state"] for path in tmp_path.rglob("status.json")} <= {"stopped"}
    if reached is takes_steps:
        assert list(tmp_path.rglob("status.json"))


def test_the_handlers_are_ours_when_vllm_is_there():
    before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    _, engine = build()
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
    engine.close()
