"""Launchers and sweepers of others, where they are installed: docs/sweeps.md says which, and how."""

import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rftlab import runs
from rftlab.compare import objective

SIM = ("engine=sim", "tracking=none", "budget=smoke", "eval.limit=8", "outputs_dir=out")


def train(place: Path, *args: str) -> tuple[int, str, str]:
    command = [sys.executable, "-m", "rftlab", "train", *SIM, *args]
    done = subprocess.run(command, cwd=place, capture_output=True, text=True, timeout=300)
    return done.returncode, done.stdout, done.stderr


def needs(plugin: str) -> pytest.MarkDecorator:
    there = importlib.util.find_spec("hydra_plugins") and importlib.util.find_spec(f"hydra_plugins.{plugin}")
    return pytest.mark.skipif(not there, reason=f"hydra_plugins.{plugin} is not installed")


@pytest.mark.parametrize(
    "launcher",
    [
        pytest.param("joblib", marks=needs("hydra_joblib_launcher")),
        pytest.param("submitit_local", marks=needs("hydra_submitit_launcher")),
    ],
)
def test_other_launchers_run_the_jobs_and_a_failing_one_costs_only_itself(tmp_path: Path, launcher: str) -> None:
    code, _, err = train(tmp_path, "-m", f"hydra/launcher={launcher}", "seed=0,1", "budget.group_size=1,4")
    assert code == 2 and "budget.group_size=1" in err
    assert [run.state for run in runs.find(tmp_path / "out")] == ["done", "done"]


@needs("hydra_optuna_sweeper")
def test_optuna_maximises_the_objective_and_the_same_command_takes_up_done_trials(tmp_path: Path) -> None:
    command = ("experiment=tune_bots", "hydra.sweeper.n_trials=3")
    code, out, err = train(tmp_path, *command)
    assert code == 0, err
    found = {objective(run.path) for run in runs.find(tmp_path / "out")}
    best = yaml.safe_load((tmp_path / "out" / "tune_bots" / "optimization_results.yaml").read_text())
    assert len(runs.find(tmp_path / "out")) == 3 and best["best_value"] == max(found)
    assert re.search(rf"^largest objective: {max(found):.4f} with sampler.selector.lam=", out, re.M)
    assert "3 cells: 3 done before" in train(tmp_path, *command)[1]


@needs("hydra_optuna_sweeper")
def test_a_trial_that_fails_costs_only_itself(tmp_path: Path) -> None:
    (tmp_path / "conf" / "experiment").mkdir(parents=True)
    (tmp_path / "conf" / "experiment" / "sizes.yaml").write_text(
        "# @package _global_\ndefaults:\n  - override /hydra/sweeper: optuna\n"
        "  - override /hydra/sweeper/sampler: grid\nhydra:\n  mode: MULTIRUN\n"
        "  sweeper:\n    direction: maximize\n    n_trials: 2\n    n_jobs: 2\n    max_failure_rate: 1.0\n"
        "    params: {budget.group_size: 'choice(1,4)'}\n"
    )
    code, out, err = train(tmp_path, "--config-dir", "conf", "experiment=sizes")
    assert code == 1 and "2 cells: 1 failed, 1 done" in re.sub("1 done, 1 failed", "1 failed, 1 done", out), err


@pytest.mark.skipif(
    bool(importlib.util.find_spec("hydra_plugins.hydra_optuna_sweeper")), reason="Optuna's sweeper is installed"
)
def test_a_plugin_that_is_missing_is_one_line_that_says_what_to_install(tmp_path: Path) -> None:
    code, _, err = train(tmp_path, "experiment=tune_bots")
    assert code == 2 and err.count("\n") == 1 and "pip install hydra-optuna-sweeper" in err
