"""Sweeps of the verbs beside ``train``: a process for each job, and a failing one costs only itself."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

SIM = ("engine=sim", "dataset.train_size=40")


def sweep(place: Path, *args: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "rftlab", *args]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


def test_an_evaluation_that_fails_costs_only_itself_and_the_others_say_their_numbers(tmp_path: Path) -> None:
    # the first cell cannot work: with Hydra's own launcher nothing would come after it
    code, out, err = sweep(
        tmp_path, "eval", "-m", *SIM, "eval.limit=8", "eval.samples=0,2,4", "out=found/${eval.samples}"
    )
    assert code == 1 and "Traceback" not in err
    assert re.search(r"^\[1/3\] failed .*exit 2: eval.samples=0: wanted at least 1", err, re.M)
    assert (out + err).count("eval.samples=0: wanted") == 2, "on its line and in the table, and not as its console"
    assert "3 cells: 2 done, 1 failed" in out and len(re.findall(r"^eval/accuracy +0\.\d+$", out, re.M)) == 2
    assert re.search(r"^eval.samples=4 +done", out, re.M), "what all jobs share is not in their names"
    assert sorted(folder.name for folder in (tmp_path / "found").iterdir()) == ["2", "4"]
    logs = list((tmp_path / "outputs" / "eval").glob("eval-*/console.log"))
    assert len(logs) == 3 and sum("wanted at least 1" in log.read_text() for log in logs) == 1
    assert "no runs" in sweep(tmp_path, "runs")[1], "what is no run is not listed as one"


def test_profiles_of_a_sweep_go_on_where_they_were(tmp_path: Path) -> None:
    command = ("profile", "-m", *SIM, "rollouts=2", "seed=0,1", "out=p${seed}.jsonl")
    code, out, err = sweep(tmp_path, *command)
    assert code == 0, err
    assert len((tmp_path / "p0.jsonl").read_text().splitlines()) == 41 and (tmp_path / "p1.jsonl").exists()
    before = (tmp_path / "p0.jsonl").read_bytes()
    code, out, _ = sweep(tmp_path, *command)
    assert code == 0 and "40 of 40 tasks" not in out and (tmp_path / "p0.jsonl").read_bytes() == before


def test_verbs_without_threads_are_swept_too(tmp_path: Path) -> None:
    code, out, err = sweep(tmp_path, "validate", "-m", "dataset.train_size=20,30", "out=v${dataset.train_size}.json")
    assert code == 0 and "2 cells: 2 done" in out, err
    assert json.loads((tmp_path / "v20.json").read_text()) and (tmp_path / "v30.json").exists()


def test_findings_of_a_validation_that_fails_are_said_beside_its_reason(tmp_path: Path) -> None:
    (tmp_path / "mine.jsonl").write_text("".join(f'{{"prompt": "{i} + 1", "answer": "none"}}\n' for i in range(9)))
    command = (
        "validate",
        "-m",
        "dataset=file",
        "dataset.path=mine.jsonl",
        "verifier=number",
        "verifier.pool.deadline=5,6",
    )
    code, out, _ = sweep(tmp_path, *command)
    assert code == 1 and "2 cells: 2 failed" in out
    logs = (tmp_path / "outputs" / "validate").glob("validate-*/console.log")
    findings = [line for log in logs for line in log.read_text().splitlines() if line and not line.startswith("$ ")]
    *findings, reason = findings
    assert sum("ungradable" in line for line in findings) > 5 and reason.startswith("NOT ok")
    assert all(line in out for line in findings) and out.count(reason) == 2, "in the table alone"


@pytest.mark.parametrize("dry", [(), ("--dry-run",)], ids=["run", "dry"])
@pytest.mark.parametrize(
    ("command", "says"),
    [
        (
            ("eval", "init_from=a/b,c", "eval.temperature=0,1", "out=found/${eval.temperature}"),
            "out=found/0 is the place of more than one job, as of 'init_from=a/b eval.temperature=0' and 'init_from=c "
            "eval.temperature=0', which would write over each other: give 'out=found/${eval.temperature}-${init_from}'",
        ),
        (("profile", "model=tiny,tiny-strong", "out=p.jsonl"), "give 'out=p-${model.name}.jsonl'"),
        (("validate", "dataset=ladder,mix", "out=v.json"), "give 'out=v-${dataset.name}.json'"),
        (("eval", "seed=0,0", "out=v"), "put into out= what differs"),
    ],
)
def test_jobs_that_would_write_over_each_other_are_refused_before_one_begins(
    tmp_path: Path, command: tuple[str, ...], says: str, dry: tuple[str, ...]
) -> None:
    code, out, err = sweep(tmp_path, command[0], "-m", *command[1:], *dry)
    assert (code, out, err.count("\n")) == (2, "", 1) and says in err
    assert not list(tmp_path.rglob("console.log"))


def test_an_evaluation_at_work_is_shown_as_running(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rftlab", "eval", "-m", *SIM, "hydra.launcher.n_jobs=1", "seed=0,1"]
    process = subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None and " begins " in process.stdout.readline()
    seen = ""
    while "2 cells" not in seen and process.poll() is None:
        seen = sweep(tmp_path, "runs")[1]
    process.communicate(timeout=240)
    assert re.search(r"^  seed=0 +running\n  seed=1 +waiting\n2 cells: 1 running, 1 waiting$", seen, re.M), seen


def test_a_sweep_of_ones_own_parts_of_a_mixture_finds_them(tmp_path: Path) -> None:
    rows = "".join(f'{{"prompt": "{i} + 1", "answer": "{i + 1}"}}\n' for i in range(40))
    (tmp_path / "mine.jsonl").write_text(rows)
    (tmp_path / "own" / "dataset").mkdir(parents=True)
    (tmp_path / "own" / "dataset" / "mine.yaml").write_text(
        "# @package _global_\n# Mine.\ndefaults:\n  - file\n  - _self_\n  - override /verifier: number\n"
        f"dataset: {{name: mine, path: {tmp_path}/mine.jsonl}}\n"
    )
    command = ("train", "--config-dir", "own", "-m", "engine=sim", "tracking=none", "budget=smoke", "dataset=mix")
    more = ("panel.tasks=0", "eval.limit=8", "dataset.parts=[mine]", "seed=0,1")
    code, out, err = sweep(tmp_path, *command, *more)
    assert code == 0 and "2 cells: 2 done" in out, err
    assert "2 done before" in sweep(tmp_path, *command, *more)[1]


@pytest.mark.parametrize("verb", ["eval", "profile"])
def test_a_dry_run_of_such_a_sweep_writes_nothing(tmp_path: Path, verb: str) -> None:
    code, _, err = sweep(tmp_path, verb, "-m", *SIM, "seed=0,1", "--dry-run")
    assert code == 0 and not list(tmp_path.iterdir()), err
