"""Profiles: measured, stopped, gone on with, read back, refused."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from rftlab.config import build_dataset, check, compose
from rftlab.core import InputError
from rftlab.lab import prepared
from rftlab.profile import main, read, summary

SIM = ["engine=sim", "dataset.limit=50", "dataset.references=null", "rollouts=8"]


def profile(out: Path, *overrides: str) -> Path:
    return main(check(compose([*SIM, f"out={out}", *overrides], verb="profile"), "profile"))


def pool_of(*overrides: str):
    return build_dataset(compose(["dataset.limit=50", "dataset.references=null", *overrides])).train


def test_rates_follow_the_model_and_cost_what_was_generated(tmp_path: Path, capsys) -> None:
    path = profile(tmp_path / "new" / "p.jsonl", "rollouts=64", "tasks_at_once=20")
    pool = pool_of()
    rates, cost = read(path, pool, "out")
    assert cost == 64 * 50
    from rftlab.engines.sim import SimEngine

    dataset = build_dataset(compose(["dataset.limit=50", "dataset.references=null"]))
    truth = SimEngine(pools=[dataset.train, dataset.eval], seed=0).truth()
    assert np.abs(rates - truth).mean() < 0.06
    shown = capsys.readouterr().out
    assert "40 of 50 tasks" in shown and "50 tasks, 3,200 rollouts, mean pass rate" in shown and str(path) in shown


def test_a_mixture_and_its_lists_are_written_down_and_found_again(tmp_path: Path) -> None:
    mix = ["engine=sim", "dataset=mix", "dataset.parts=[ladder]", "dataset.train_size=20", "rollouts=2"]
    command = check(compose([*mix, f"out={tmp_path}/m.jsonl"], verb="profile"), "profile")
    path = main(check(command, "profile"))
    whole = path.read_bytes()
    head = json.loads(whole.splitlines()[0])
    assert head["verifier"]["parts"] == ["ladder"] and head["verifier"]["verifiers"]["ladder"]["check"]["strip"] is True
    assert main(check(command, "profile")).read_bytes() == whole


def test_what_is_there_is_not_measured_again(tmp_path: Path) -> None:
    path = profile(tmp_path / "p.jsonl")
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:21]) + b'{"task": "half')
    profile(path)
    assert path.read_bytes() == whole
    before = path.stat().st_mtime_ns
    profile(path)
    assert path.stat().st_mtime_ns == before


def test_a_signal_keeps_what_was_measured_and_the_same_command_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    command = [sys.executable, "-m", "rftlab", "profile", "dataset.references=null", "dataset.limit=300"]
    command += [f"out={path}", "rollouts=8", "tasks_at_once=20"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline and (not path.exists() or path.read_bytes().count(b"\n") < 21):
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=240)
    assert process.returncode == 143 and "the same command goes on" in err
    assert 21 <= path.read_bytes().count(b"\n") < 301
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    tasks = [json.loads(line)["task"] for line in path.read_text().splitlines()[1:]]
    assert len(tasks) == len(set(tasks)) == 300


@pytest.mark.parametrize("override", ["rollouts=9", "temperature=0.5", "seed=1", "model=tiny-strong"])
def test_another_profile_in_the_file_is_not_mixed_with_this_one(tmp_path: Path, override: str) -> None:
    path = profile(tmp_path / "p.jsonl")
    whole = path.read_bytes()
    with pytest.raises(InputError, match=r"holds another profile: .* give another file by out=FILE"):
        profile(path, override)
    assert path.read_bytes() == whole


def test_a_sampler_reads_it_as_a_reference_and_shows_its_cost(tmp_path: Path) -> None:
    weak, strong = profile(tmp_path / "w.jsonl"), profile(tmp_path / "s.jsonl", "engine.skill=4")
    files = [f"+references.weak={weak}", f"+references.strong={strong}", "engine=sim"]
    pool = prepared(compose(["dataset.limit=50", "dataset.references=null", *files])).train
    assert set(pool.references) == {"weak", "strong"} and pool.reference_rollouts == {"weak": 400, "strong": 400}
    assert pool.references["strong"].mean() > pool.references["weak"].mean()
    beside = prepared(compose(["dataset.limit=50", *files])).train
    assert set(beside.references) == {"tiny", "tiny-strong", "weak", "strong"}


def test_rates_of_a_simulated_learner_are_for_simulation(tmp_path: Path) -> None:
    path = profile(tmp_path / "p.jsonl")
    with pytest.raises(InputError, match=r"references.weak=.* holds pass rates of a simulated learner"):
        prepared(compose(["dataset.limit=50", f"+references.weak={path}"]))
    with pytest.raises(InputError, match="holds another profile: simulated="):
        profile(path, "engine.skill=2")


def test_a_file_that_is_no_profile_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "notes.txt"
    for text in ("precious notes without a line end", "two\nlines\n"):
        path.write_text(text)
        with pytest.raises(InputError, match=r"is no profile"):
            profile(path)
        assert path.read_text() == text


@pytest.mark.parametrize("row", [{"wins": 9, "trials": 8, "rollouts": 8}, {"trials": 8, "rollouts": 8}])
def test_a_row_that_cannot_be_is_named(tmp_path: Path, row: dict) -> None:
    path = profile(tmp_path / "p.jsonl")
    lines = path.read_text().splitlines()
    path.write_text("\n".join([*lines[:-1], json.dumps({"task": json.loads(lines[-1])["task"]} | row)]) + "\n")
    with pytest.raises(InputError, match=r"references.weak=.* is no profile"):
        prepared(compose(["dataset.limit=50", f"+references.weak={path}", "engine=sim"]))


def test_what_is_no_profile_of_this_pool_is_refused(tmp_path: Path) -> None:
    path = profile(tmp_path / "p.jsonl")
    with pytest.raises(InputError, match=r"references.weak=.* knows 50 of the 60 tasks .* another pool"):
        prepared(compose(["dataset.limit=60", f"+references.weak={path}"]))
    with pytest.raises(InputError, match=r"references.weak=none.jsonl: no such file; make it with rftlab profile"):
        prepared(compose(["+references.weak=none.jsonl"]))
    (tmp_path / "x").write_text('{"a": 1}\n')
    with pytest.raises(InputError, match="is no profile"):
        prepared(compose([f"+references.weak={tmp_path / 'x'}"]))


def test_a_pool_that_could_not_be_graded_is_said_and_unknown(tmp_path: Path) -> None:
    path = profile(tmp_path / "p.jsonl")
    head, *rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows = [row | {"wins": 0, "trials": 0} for row in rows]
    path.write_text("".join(json.dumps(row) + "\n" for row in [head, *rows]))
    rates, cost = read(path, pool_of(), "out")
    assert np.isnan(rates).all() and cost == 400 and "none could be graded" in summary(rates, cost)[0]
