"""Sweeps with hydra/launcher=local: what fails, what is killed, and what the same command then does."""

import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rftlab import cli, runs

PROBE = '''
"""A selector that notes what its process sees, breaks on request, and waits while there is a file "slow"."""
import os
import time

from rftlab.samplers.selectors.uniform import Uniform


class Probe(Uniform):
    def __init__(self, replacement: bool = False, breaks_at: int = -1) -> None:
        super().__init__(replacement)
        self.breaks_at = breaks_at

    def propose(self, m, ctx, taken):
        if ctx.step == self.breaks_at:
            raise RuntimeError("broken on purpose")
        began = time.time()
        time.sleep(0.3 if os.path.exists("slow") else 0.0)
        seen = [os.environ.get("CUDA_VISIBLE_DEVICES"), os.environ["OMP_NUM_THREADS"], began, time.time()]
        with open("notes.txt", "a") as file:
            print(os.getpid(), *seen, file=file)
        return super().propose(m, ctx, taken)
'''
PRESET = """
# Uniform with a probe.
defaults: [{allocator: fixed}, {admission: all}, _self_]
name: probe
filter: null
stats_discount: 1.0
selector: {_target_: probe.Probe, replacement: false, breaks_at: -1}
"""
EXPERIMENT = """
# @package _global_
name: ours
hydra:
  mode: MULTIRUN
  sweeper: {params: {seed: "range(0,2)", sampler: "probe,uniform"}}
"""
SIM = ("engine=sim", "tracking=none", "budget=smoke", "eval.limit=8", "outputs_dir=out", "checkpoint.every_steps=1")
SWEEP = ("--config-dir", "conf", "-m", *SIM, "sampler=probe", "hydra.launcher.n_jobs=2")
LONG = "budget.steps=100"
"""Half a minute while there is a file "slow", and two seconds without."""
Rftlab = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A folder with a sampler and an experiment of one's own, outside of the repository."""
    for folder in ("sampler", "experiment"):
        (tmp_path / "conf" / folder).mkdir(parents=True)
    (tmp_path / "probe.py").write_text(PROBE)
    (tmp_path / "conf" / "sampler" / "probe.yaml").write_text(PRESET)
    (tmp_path / "conf" / "experiment" / "ours.yaml").write_text(EXPERIMENT)
    return tmp_path


def start(place: Path, *args: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "rftlab", "train", *args]
    env = {k: v for k, v in os.environ.items() if k not in ("CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS")}
    return subprocess.Popen(
        command, cwd=place, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def sweep(place: Path, *args: str) -> tuple[int, str, str]:
    process = start(place, *SWEEP, *args)
    out, err = process.communicate(timeout=240)
    return process.returncode, out, err


def wait_for(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, f"no {what} within 120 s"
        time.sleep(0.05)


def states(place: Path) -> list[str]:
    return [run.state for run in runs.find(place / "out")]


def at_step(place: Path, step: int, count: int = 1) -> Callable[[], bool]:
    """Whether ``count`` runs are at ``step`` or further."""
    return lambda: (place / "out").is_dir() and sum(r.step >= step for r in runs.find(place / "out")) >= count


def begun(out: str) -> int:
    return len(re.findall(r"^\[.*\] begins ", out, re.M))


def test_a_failing_job_costs_only_itself_and_the_same_command_does_only_what_is_missing(place: Path) -> None:
    axes = ("budget.group_size=4,1", "sampler.selector.breaks_at=-1,2")
    code, out, err = sweep(place, *axes)
    assert code == 1 and begun(out) == 4
    assert "Traceback" not in err and "Error executing" not in err
    assert len(re.findall(r"failed .*exit 2: budget.group_size=1: wanted at least 2", err)) == 2
    assert len(re.findall(r"failed .*exit 1: RuntimeError: broken on purpose", err)) == 1
    assert "4 cells: 3 failed, 1 done" in out
    found = {run.state: run for run in runs.find(place / "out")}
    assert "broken on purpose" in found["failed"].reason or "group_size" in found["failed"].reason
    logs = [(run.path / "console.log").read_text() for run in runs.find(place / "out")]
    assert len(logs) == 4 and sum("Traceback" in log for log in logs) == 1
    assert sum("eval accuracy, end" in log for log in logs) == 1, "each job writes to its own log"

    code, out, err = sweep(place, *axes)
    assert code == 1 and begun(out) == 3 and "done before" in out
    code, out, err = sweep(place, "seed=0,1")
    assert code == 0 and begun(out) == 1, "the group of 4 that does not break is the default: done before"
    code, out, err = sweep(place, "seed=0,1")
    assert code == 0 and begun(out) == 0 and "2 cells: 2 done before" in out
    code, out, err = sweep(place, "seed=0,1", "algo.lr=1e-3")
    assert code == 0 and begun(out) == 2, "a changed knob is a new cell"


def test_a_job_killed_by_9_is_a_failure_and_goes_on_from_its_checkpoint(place: Path) -> None:
    (place / "slow").touch()
    process = start(place, *SWEEP, LONG, "seed=0,1")
    wait_for(at_step(place, 3, 2), "third step of both")
    victim = runs.find(place / "out")[0]
    os.kill(victim.pid, signal.SIGKILL)
    (place / "slow").unlink()
    out, err = process.communicate(timeout=240)
    assert process.returncode == 1 and "killed by SIGKILL" in err and "2 cells: 1 failed, 1 done" in out
    assert states(place) == ["stale", "done"]
    code, out, _ = sweep(place, LONG, "seed=0,1")
    assert code == 0 and begun(out) == 1 and states(place) == ["done", "done"]
    assert re.search(r"going on after step ([3-9]|\d\d)\b", (victim.path / "console.log").read_text())


def test_when_the_sweep_is_killed_by_9_its_jobs_save_and_end_and_the_same_command_finishes(place: Path) -> None:
    (place / "slow").touch()
    process = start(place, *SWEEP, LONG, "seed=0,1,2")
    wait_for(at_step(place, 3, 2), "third step of two")
    process.kill()
    process.communicate(timeout=240)
    wait_for(lambda: states(place) == ["stopped", "stopped"], "end of the jobs")
    (place / "slow").unlink()
    code, out, err = sweep(place, LONG, "seed=0,1,2")
    assert code == 0, err
    assert begun(out) == 3 and "3 cells: 3 done" in out


def test_an_interrupt_is_passed_on_and_the_sweep_ends_when_all_have_saved(place: Path) -> None:
    (place / "slow").touch()
    process = start(place, *SWEEP, LONG, "seed=0,1,2")
    wait_for(at_step(place, 2, 2), "second step of two")
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: the jobs are in sessions of their own
    out, _ = process.communicate(timeout=240)
    (place / "slow").unlink()
    assert process.returncode == 130
    assert states(place) == ["stopped", "stopped"] and "2 stopped, 1 not begun" in out and begun(out) == 2
    assert sweep(place, LONG, "seed=0,1,2")[0] == 0


def test_a_job_stopped_while_it_imports_is_stopped_and_no_failure(place: Path) -> None:
    process = start(place, *SWEEP, "seed=0,1")
    assert process.stdout is not None
    for _ in range(2):
        assert " begins " in process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 143 and "2 cells: 2 stopped" in out, out + err
    assert "failed" not in out + err


def test_a_sweep_whose_reader_has_gone_goes_on_and_tells_its_status(place: Path) -> None:
    process = start(place, *SWEEP, "sampler.selector.breaks_at=-1,2")
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.wait(timeout=240) == 1
    assert sorted(states(place)) == ["done", "failed"]


def test_jobs_get_a_gpu_each_that_no_other_has_at_that_time(place: Path) -> None:
    (place / "slow").touch()
    code, out, err = sweep(place, "hydra.launcher.gpus=[3,5]", "hydra.launcher.n_jobs=null", "seed=0,1,2")
    assert code == 0, err
    notes = [line.split() for line in (place / "notes.txt").read_text().splitlines()]
    assert {gpu for _, gpu, *_ in notes} == {"3", "5"} and {threads for _, _, threads, *_ in notes} == {"1"}
    assert "GPU 3" in out and len({pid for pid, *_ in notes}) == 3
    for gpu in ("3", "5"):
        spans: dict[str, list[float]] = {}
        for pid, _, _, began, ended in [note for note in notes if note[1] == gpu]:
            spans.setdefault(pid, []).extend((float(began), float(ended)))
        ordered = sorted((min(times), max(times)) for times in spans.values())
        assert all(a[1] <= b[0] for a, b in itertools.pairwise(ordered))


@pytest.mark.parametrize(("age", "code", "count"), [(runs.DEAD_AFTER + 60, 0, 1), (0, 1, 0)], ids=["dead", "alive"])
def test_a_run_of_another_host_is_taken_over_only_when_its_heartbeat_is_old(
    place: Path, age: float, code: int, count: int
) -> None:
    assert sweep(place, "seed=0")[0] == 0
    (run,) = runs.find(place / "out")
    status = json.loads((run.path / "status.json").read_text())
    status |= {"state": "running", "host": "elsewhere", "heartbeat": time.time() - age}
    (run.path / "status.json").write_text(json.dumps(status))
    found, out, _ = sweep(place, "seed=0")
    assert (found, begun(out)) == (code, count)
    if code:
        assert "on elsewhere is at it" in out and json.loads((run.path / "status.json").read_text()) == status


def test_two_sweeps_at_once_do_each_cell_once(place: Path) -> None:
    (place / "slow").touch()
    both = [start(place, *SWEEP, "seed=0,1,2,3") for _ in range(2)]
    outs = [process.communicate(timeout=240)[0] for process in both]
    assert states(place) == ["done"] * 4
    assert sum(map(begun, outs)) == 4, outs
    assert not [process for process in both if process.returncode not in (0, 1)]


def test_fail_fast_begins_no_other(place: Path) -> None:
    axes = ("sampler.selector.breaks_at=2", "seed=0,1,2", "hydra.launcher.n_jobs=1", "hydra.launcher.fail_fast=true")
    code, out, _ = sweep(place, *axes)
    assert code == 1 and begun(out) == 1 and "2 not begun" in out


def test_an_experiment_may_carry_its_sweep_and_the_command_line_still_chooses(place: Path) -> None:
    own = ("--config-dir", "conf", *SIM, "experiment=ours")
    process = start(place, *own)
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0, err
    assert "4 cells: 4 done" in out and {run.group for run in runs.find(place / "out")} == {"ours/tiny_ladder"}
    process = start(place, *own, "sampler=uniform", "seed=1,2")
    out, err = process.communicate(timeout=240)
    assert process.returncode == 0 and "2 cells: 1 done before, 1 done" in out, err


def test_a_dry_run_of_a_sweep_checks_every_job_and_writes_nothing(place: Path) -> None:
    code, out, err = sweep(place, "--dry-run", "seed=0,1", "hydra.launcher.gpus=[0]")
    assert (code, err) == (0, "")
    assert len(re.findall(r"^# run directory: out/lab/tiny_ladder/probe-[0-9a-f]{8}/seed[01]$", out, re.M)) == 2
    assert not (place / "out").exists()
    assert sweep(place, "--dry-run", "seed=0,1", "budget.group_size=1")[0] == 2


def test_the_shipped_experiments_are_the_sweeps_that_they_say(place: Path) -> None:
    process = start(place, "experiment=samplers_on_ladder", "seed=0", "sampler=mpts,dart", "engine=sim", "--dry-run")
    out, err = process.communicate(timeout=240)
    assert (process.returncode, err) == (0, "")
    assert re.findall(r"samplers_on_ladder/tiny_ladder/(\w+)-\w{8}/(\w+)$", out, re.M) == [
        ("mpts", "seed0"),
        ("dart", "seed0"),
    ]


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("hydra.launcher.n_jobs=0", "hydra.launcher.n_jobs=0: wanted a whole number of at least 1"),
        ("hydra.launcher.gpus=two", "hydra.launcher.gpus=two: wanted auto or a list"),
        ("hydra.launcher.n_job=2", "did you mean hydra.launcher.n_jobs?"),
        ("hydra.launcher.colour=2", "no such key; hydra.launcher has fail_fast, gpus, n_jobs"),
        ("hydra.launcher.gpus=[null]", "hydra.launcher.gpus: None names no GPU"),
        ("hydra.launcher.gpus=[[0,1]]", "hydra.launcher.gpus: [0, 1] names no GPU"),
        ("hydra.launcher.gpus=['']", "hydra.launcher.gpus: '' names no GPU"),
        ("hydra.launcher.gpus=[-1]", "hydra.launcher.gpus: -1 names no GPU"),
        ("hydra.launcher.gpus=['[0,1]']", """'hydra.launcher.gpus=["0,1"]'"""),
        ("hydra.launcher.fail_fast=abc", "hydra.launcher.fail_fast=abc: wanted true or false"),
        ("hydra.launcher.fail_fast=3", "hydra.launcher.fail_fast=3: wanted true or false"),
        ("eval.seed=range(0,0)", "the axes make no job"),
        ("outputs_dir=probe.py", "cannot write probe.py/lab"),
        ("outputs_dir=nowhere", "cannot write nowhere (File exists): give a writable place by outputs_dir=DIR"),
        ("outputs_dir=/proc/x", "cannot write /proc/x (No such file or directory): give a writable place"),
    ],
)
def test_what_is_wrong_with_the_whole_sweep_is_one_line(
    place: Path, override: str, says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "nowhere").symlink_to(place / "not here")
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "argv", ["rftlab"])  # Hydra reads it
    code = cli.main(["train", *SWEEP, "seed=0,1", override])
    out, err = capsys.readouterr()
    assert code == 2 and out.strip() == "" and err.count("\n") == 1 and says in err


def test_the_sweep_itself_loads_no_model_library(place: Path) -> None:
    args = ["train", *SWEEP, "seed=0,1"]
    code = (
        f"import sys; from rftlab.cli import main; s = main({args!r}); assert 'torch' not in sys.modules; sys.exit(s)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
