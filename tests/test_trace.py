"""``tracking.profile=true``: what a trace holds, and that it changes nothing of the run."""

import gzip
import json
import re

import pytest

from rftlab import loop
from rftlab.config import check, compose, run_dir
from rftlab.tracking import read_jsonl

SMALL = ["budget=smoke", "eval.limit=8", "eval.samples=1", "eval.every_rollouts=1", "panel.tasks=0", "tracking=none"]


def run(outputs, *overrides):
    cfg = compose([*SMALL, f"outputs_dir={outputs}", *overrides])
    check(cfg)
    return loop.train(cfg)


def ranges(path):
    (file,) = (path / "trace").glob("*.json.gz")
    events = json.loads(gzip.decompress(file.read_bytes()))["traceEvents"]
    return file.name, [e["name"] for e in events if e.get("cat") == "user_annotation"]


@pytest.mark.parametrize("engine", ["hf", "sim"])
def test_a_trace_reads_like_the_steps_it_covers_and_the_run_is_the_same(tmp_path, engine, capsys):
    traced = run(tmp_path / "on", "tracking.profile=true", f"engine={engine}")
    name, phases = ranges(traced)
    assert name == "step_000002-000004.json.gz"
    for phase in ("ask", "generate", "verify", "update", "sync", "eval"):
        assert phases.count(phase) >= 3, phase
    assert ("aten::" if engine == "hf" else "generate") in (traced / "trace" / "summary.txt").read_text()
    assert "traced steps 2 to 4" in capsys.readouterr().out
    plain = run(tmp_path / "off", f"engine={engine}")
    assert not (plain / "trace").exists() and plain.parent.name == traced.parent.name
    same = [[(row["step"], row["wins"]) for row in read_jsonl(p / "groups.jsonl")] for p in (plain, traced)]
    assert same[0] == same[1]


def test_a_resumed_run_traces_the_second_to_fourth_step_of_its_own(tmp_path, capsys):
    run(tmp_path, "engine=sim", "budget.steps=3")
    path = run(tmp_path, "engine=sim", "budget.steps=9", "tracking.profile=true")
    last = int(re.search(r"going on after step (\d+)", capsys.readouterr().out)[1])
    assert ranges(path)[0] == f"step_{last + 2:06d}-{last + 4:06d}.json.gz"
    assert [row["step"] for row in read_jsonl(path / "metrics.jsonl")] == list(range(10))


def test_a_run_that_ends_within_the_window_keeps_what_it_has_and_a_shorter_one_says_so(tmp_path, capsys):
    assert ranges(run(tmp_path / "three", "engine=sim", "budget.steps=3", "tracking.profile=true"))[0] == (
        "step_000002-000003.json.gz"
    )
    path = run(tmp_path / "one", "engine=sim", "budget.steps=1", "tracking.profile=true")
    assert not (path / "trace").exists()
    assert "tracking.profile=true traced nothing" in capsys.readouterr().out


def test_profiling_is_no_part_of_a_runs_identity():
    one, other = (run_dir(compose([*SMALL, f"tracking.profile={on}"]), False) for on in ("true", "false"))
    assert one == other
