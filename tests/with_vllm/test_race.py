"""The race of a training step against TRL, which is installed beside vLLM."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "scripts" / "bench_train.py"
SMALL = ["budget.prompts=4", "budget.group_size=4", "model.max_new_tokens=6"]


def test_the_race_gives_both_arms_the_same_prompts_and_writes_what_it_measured(tmp_path):
    pytest.importorskip("trl")
    command = [sys.executable, str(SCRIPT), "--steps", "3", "--repeats", "1", "--reward", "coin"]
    command += ["--micro-batches", "2", "--name", "self", "--out", str(tmp_path), *SMALL]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "race_self.json").read_text())
    assert list(found["arms"]) == ["rftlab", "TRL, batch / 2"]
    for arm, (run,) in found["arms"].items():
        assert len(run["steps"]) == 3 and run["rss_mib"] > 100
        for step in run["steps"]:
            assert step["passed"] == 0.5 and step["trained"] == 16
            assert 16 <= step["tokens"] <= 16 * 6
            assert 0 < step["generate"] + step["update"] <= step["wall"], arm
    report = (tmp_path / "race_self.md").read_text()
    assert report.count("\n| ") == 3 and "rftlab / TRL (TRL, batch / " in report
