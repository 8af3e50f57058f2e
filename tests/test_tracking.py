"""The records of a run and their mirror."""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import wandb
from omegaconf import OmegaConf

from rftlab import wandb_mirror
from rftlab.tracking import Tracker, read_jsonl

CONFIG = {
    "name": "lab",
    "seed": 3,
    "sampler": {"name": "bots"},
    "model": {"name": "tiny"},
    "dataset": {"name": "ladder"},
}


def tracker(path: Path, wandb: str = "off", **changes: object) -> Tracker:
    cfg = OmegaConf.create(
        {
            "wandb": wandb,
            "project": "rftlab",
            "entity": None,
            "tags": ["t"],
            "init_timeout": 2,
            "completions": 2,
            "save_completions": 3,
            **changes,
        }
    )
    return Tracker(path, cfg, config=CONFIG, identity={"fingerprint": "abc"}, warn=WARNINGS.append)


WARNINGS: list[str] = []


@pytest.fixture(autouse=True)
def _fresh() -> Iterator[None]:
    WARNINGS.clear()
    yield
    wandb.teardown()  # else the service goes on with the settings of this test


def rows_of(path: Path, name: str) -> list[dict]:
    return [json.loads(line) for line in (path / name).read_text().splitlines()]


def test_a_row_is_on_disk_as_soon_as_it_is_logged(tmp_path: Path) -> None:
    t = tracker(tmp_path)
    t.log({"step": 1.0, "reward/mean": 0.5})
    assert rows_of(tmp_path, "metrics.jsonl") == [{"step": 1.0, "reward/mean": 0.5}]


def test_numbers_that_are_not_finite_are_null_in_the_record(tmp_path: Path) -> None:
    t = tracker(tmp_path)
    t.log({"step": 1.0, "train/loss": float("nan"), "train/kl": float("inf")})
    assert t.rows() == [{"step": 1.0, "train/loss": None, "train/kl": None}]


def test_an_unknown_key_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    t = tracker(tmp_path)
    with pytest.raises(KeyError, match="reward/meen"):
        t.log({"step": 1.0, "reward/meen": 0.5})
    assert t.rows() == []


def test_completions_on_disk_are_capped(tmp_path: Path) -> None:
    t = tracker(tmp_path)
    t.completions(7, [{"text": str(i)} for i in range(10)])
    assert [r["text"] for r in rows_of(tmp_path, "completions/step_000007.jsonl")] == ["0", "1", "2"]
    t = tracker(tmp_path, save_completions=-1)
    t.completions(8, [{"text": "ü"} for _ in range(10)])
    assert len(rows_of(tmp_path, "completions/step_000008.jsonl")) == 10


def test_cut_leaves_what_a_run_resumed_after_that_step_has_seen(tmp_path: Path) -> None:
    t = tracker(tmp_path)
    for folder in ("evals", "eval_completions"):
        (tmp_path / folder).mkdir()
    for step in range(5):
        t.log({"step": float(step)})
        t.groups([{"step": step, "task": "a", "wins": 1, "trials": 2}])
        t.completions(step, [{"text": "x"}])
        for folder in ("evals", "eval_completions"):
            (tmp_path / folder / f"step_{step:06d}.jsonl").write_text("{}\n")
    t.close("failed")
    again = tracker(tmp_path)
    again.cut(2)
    assert [r["step"] for r in again.rows()] == [0, 1], "the row of step 2 is logged again"
    assert [r["step"] for r in read_jsonl(tmp_path / "groups.jsonl")] == [0, 1, 2]
    for folder in ("completions", "evals", "eval_completions"):
        assert sorted(f.stem for f in (tmp_path / folder).iterdir()) == [f"step_{i:06d}" for i in range(3)]
    again.log({"step": 2.0})
    assert [r["step"] for r in again.rows()] == [0, 1, 2]


def test_a_line_torn_by_a_kill_is_repaired(tmp_path: Path) -> None:
    t = tracker(tmp_path)
    for step in range(3):
        t.log({"step": float(step)})
    with (tmp_path / "metrics.jsonl").open("a") as file:
        file.write('{"step": 3.0, "rew')
    again = tracker(tmp_path)
    again.cut(3)
    again.log({"step": 3.0})
    assert [r["step"] for r in rows_of(tmp_path, "metrics.jsonl")] == [0, 1, 2, 3]


def test_a_broken_line_in_the_middle_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "metrics.jsonl").write_text('{"step": 0}\n{"st\n{"step": 2}\n')
    with pytest.raises(ValueError, match="line 2"):
        read_jsonl(tmp_path / "metrics.jsonl")


# --- the mirror ---


def wandb_records(path: Path) -> list:
    """The records of the offline run files under ``path``: LevelDB log framing around protocol buffers."""
    from wandb.proto.wandb_internal_pb2 import Record

    wandb.teardown()  # as the end of the process does: everything is on disk
    records = []
    for file in sorted(path.rglob("run-*.wandb")):
        data, at, part = file.read_bytes(), 7, b""  # 7 bytes of file header
        while at + 7 <= len(data):
            room = 32768 - at % 32768
            if room < 7:
                at += room
                continue
            _, length, kind = struct.unpack("<IHB", data[at : at + 7])
            part += data[at + 7 : at + 7 + length]
            at += 7 + length
            if kind in (1, 4):  # a whole record, or the last part of one
                records.append(Record.FromString(part))
                part = b""
    return records


def test_what_wandb_holds_offline_is_what_was_logged(tmp_path: Path) -> None:
    t = tracker(tmp_path, wandb="auto")
    for step in (1, 2):
        t.groups([{"step": step, "wins": w, "trials": 4} for w in range(5)])
        t.completions(step, [{"text": f"answer {i}", "score": 1.0} for i in range(5)])
        t.log({"step": float(step), "ledger/rollouts": 256.0 * step, "reward/mean": 0.25 * step})
    t.close("done")
    assert WARNINGS == []
    records = wandb_records(tmp_path)
    run = next(r.run for r in records if r.HasField("run"))
    assert (run.run_group, run.display_name, run.project) == ("lab", "bots-seed3", "rftlab")
    assert {"t", "bots", "tiny", "ladder"} <= set(run.tags)
    assert run.run_id == (tmp_path / "wandb_id").read_text().strip()
    history = [{tuple(i.nested_key): i.value_json for i in r.history.item} for r in records if r.HasField("history")]
    assert [h[("reward/mean",)] for h in history] == ["0.25", "0.5"]
    assert all(h[("completions", "nrows")] == "2" for h in history)
    assert all(h[("groups/pass_rate", "_type")] == '"histogram"' for h in history)
    axes = {r.metric.name for r in records if r.HasField("metric")}
    assert set(wandb_mirror.AXES) <= axes


def test_a_resumed_run_goes_on_in_the_same_wandb_run(tmp_path: Path) -> None:
    for step in (1, 2):
        t = tracker(tmp_path, wandb="offline")
        t.log({"step": float(step), "ledger/rollouts": 1.0})
        t.close("stopped")
        time.sleep(1.1)  # W&B names its folders by the second
    assert len({r.run.run_id for r in wandb_records(tmp_path) if r.HasField("run")}) == 1


def test_without_a_server_the_mirror_goes_offline_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    start = time.monotonic()
    t = tracker(tmp_path, wandb="auto")
    t.log({"step": 1.0})
    t.close("done")
    assert time.monotonic() - start < 60  # W&B's own patience is 90 s
    assert len(WARNINGS) == 1 and "offline" in WARNINGS[0] and "\n" not in WARNINGS[0]
    assert any(r.HasField("history") for r in wandb_records(tmp_path))


def test_a_mirror_that_breaks_is_told_once_and_the_record_goes_on(tmp_path: Path) -> None:
    t = tracker(tmp_path, wandb="offline")
    t.log({"step": 1.0})
    assert t._mirror is not None
    t._mirror._run.finish()  # what a crashed service looks like: logging to it raises
    for step in (2, 3):
        t.log({"step": float(step)})
    t.close("done")
    assert len(WARNINGS) == 1 and "off" in WARNINGS[0]
    assert [r["step"] for r in t.rows()] == [1, 2, 3]


def test_mode_follows_the_key_and_wandbs_own_variable(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("WANDB_MODE", "WANDB_API_KEY", "WANDB_BASE_URL"):
        monkeypatch.delenv(name, raising=False)
    assert wandb_mirror.resolve_mode("auto") == "offline"
    monkeypatch.setenv("WANDB_API_KEY", "x" * 40)
    assert wandb_mirror.resolve_mode("auto") == "online"
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert wandb_mirror.resolve_mode("auto") == "off"
    assert wandb_mirror.resolve_mode("online") == "online"


def test_any_letter_survives_a_kill_in_its_middle_and_any_line_end_is_text(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    row = {"step": 1, "text": "\u00e9t\u00e9 \u2028 \u0085 \x1e end"}
    line = (json.dumps(row, ensure_ascii=False) + "\n").encode()
    path.write_bytes(line + line[:12])  # the second one stops inside a letter
    assert read_jsonl(path) == [row]
