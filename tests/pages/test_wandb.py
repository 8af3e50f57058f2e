"""A comparison, a workspace and offline runs for W&B, without a server: what was written is read back."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from rftlab import cli, compare, metrics, wandb_compare, wandb_sync
from rftlab.dashboard import AXIS, GROUP, SECTIONS, dashboard
from rftlab.rundir import RunDir


@pytest.fixture(autouse=True)
def keyless(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("WANDB_MODE", "offline")


def inspect(run: Path) -> str:
    """What W&B's own reader finds in an offline run."""
    command = [sys.executable, "-m", "wandb", "leet", "inspect", "--json", str(next(run.glob("*.wandb")))]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "WANDB_MODE": "offline"})
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_comparison_is_an_offline_run_with_tables_figures_and_the_page(
    outputs: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["compare", str(outputs), f"out={tmp_path}", "--wandb"]) == 0
    out = capsys.readouterr()
    where = Path(out.out.splitlines()[-1])
    assert where.is_dir() and "did not take" not in out.err
    held = inspect(where)
    for name in ("results_", "figures/accuracy", "bots/verdict", "compare.html", "compare.json"):
        assert name in held, name
    media = {file.parent.name for file in (where / "files" / "media").rglob("*.*")}
    assert "table" in media and any((where / "files" / "media").rglob("*.png"))
    assert wandb_sync.offline_runs(tmp_path) == [where]


def test_the_summary_has_the_verdict_of_every_arm(outputs: Path) -> None:
    found = compare.compare([outputs])
    told = wandb_compare.summary(found)
    for arm in found.arms[1:]:
        assert told[f"{arm.label}/verdict"] == arm.against.verdict
        assert told[f"{arm.label}/difference"] == arm.against.difference.mean


def test_a_broken_mirror_says_so_and_stops_nothing(
    outputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = compare.compare([outputs])
    said: list[str] = []
    assert wandb_compare.log(found, tmp_path / "nothing was written here", said.append) is None
    assert len(said) == 1 and "its files are complete" in said[0]


def test_every_panel_of_the_dashboard_shows_a_metric_of_the_catalogue() -> None:
    keys = [key for curves in SECTIONS.values() for curve in curves for key in curve.keys]
    assert len(keys) > 12 and all(metrics.describe(key) for key in [*keys, AXIS])


def test_the_workspace_is_a_file_that_the_librarys_model_reads(tmp_path: Path) -> None:
    pytest.importorskip("wandb_workspaces", reason="needs wandb-workspaces: pip install wandb-workspaces")
    file, sent = dashboard("my-project", "me", tmp_path / "new" / "dashboard.json")
    assert sent is None
    spec = json.loads(file.read_text())
    assert (spec["project"], spec["entity"]) == ("my-project", "me")
    section = spec["spec"]["section"]
    assert section["settings"]["xAxis"] == AXIS
    assert [g["name"] for g in section["runSets"][0]["grouping"]] == [GROUP.replace(".", ".value.")]
    bank = {s["name"]: s["panels"] for s in section["panelBankConfig"]["sections"]}
    assert list(bank) == [*SECTIONS, "Completions"]
    panel = bank["Accuracy"][0]["config"]
    assert panel["metrics"] == ["eval/accuracy"] and panel["groupBy"] == GROUP.replace(".", ".value.")
    assert "completions" in json.dumps(bank["Completions"])


def test_without_the_library_the_dashboard_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    monkeypatch.setitem(sys.modules, "wandb_workspaces.reports.v2", None)
    assert cli.main(["dashboard"]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "pip install wandb-workspaces" in err


def test_sync_without_a_key_or_without_runs_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["sync", str(tmp_path)]) == 0
    assert "nothing to send" in capsys.readouterr().out
    kept = tmp_path / "x" / "wandb" / "offline-run-1-a"
    kept.mkdir(parents=True)
    (kept / "run-a.wandb").touch()
    assert cli.main(["sync", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "wandb login" in err and "wait" in err
    (kept / "run-a.wandb.synced").touch()
    assert cli.main(["sync", str(tmp_path)]) == 0


@pytest.fixture
def waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two offline runs that are no W&B files, and a key."""
    for name in ("a", "b"):
        kept = tmp_path / name / "wandb" / f"offline-run-1-{name}"
        kept.mkdir(parents=True)
        (kept / f"run-{name}.wandb").write_bytes(b"no W&B file")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def test_sync_leaves_out_runs_that_are_still_being_written(
    waiting: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    held = RunDir(waiting / "a")
    assert cli.main(["sync", str(waiting)]) == 2
    said = capsys.readouterr()
    assert "left out, still being written: 1;" in said.out and "wait in" in said.err and ": 1" in said.err
    elsewhere = {"state": "running", "step": 1, "host": "another", "pid": 1, "heartbeat": time.time()}
    (waiting / "b" / "status.json").write_text(json.dumps(elsewhere))
    assert cli.main(["sync", str(waiting)]) == 0
    out = capsys.readouterr().out
    assert "left out, still being written: 2;" in out and "nothing to send" in out
    held.set_status("done", 1)  # before W&B has its end
    assert cli.main(["sync", str(waiting)]) == 0 and "written: 2;" in capsys.readouterr().out
    held.close()
    assert cli.main(["sync", str(waiting)]) == 2 and "written: 1;" in capsys.readouterr().out


def test_sync_without_a_network_is_one_line_at_once(
    waiting: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    assert cli.main(["sync", str(waiting)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "no way to http://127.0.0.1:9" in err and ": 2" in err


def test_sync_hands_runs_to_wandb_and_stops_at_the_first_that_was_not_taken(
    waiting: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:  # answers nobody, and is not asked: the file is no run
        monkeypatch.setenv("WANDB_BASE_URL", f"http://127.0.0.1:{listener.getsockname()[1]}")
        assert cli.main(["sync", str(waiting)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "offline-run-1-a was not sent" in err and "0 were, 2 wait" in err
