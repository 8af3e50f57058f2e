"""Checkpoints: exact, whole or not at all."""

import numpy as np
import pytest

from rftlab import checkpoint


def test_a_state_comes_back_exactly(tmp_path):
    state = {
        "a": np.arange(5.0) / 3,
        "none": None,
        "deep": {"list": [np.array([True, False]), 1, "x"], "nan": np.nan},
        "big": 2**70,
        "int32": np.array([7], np.int32),
        "empty": np.empty((0, 3)),
        "n": np.float64(0.1),
    }
    checkpoint.save_tree(tmp_path / "s.npz", state)
    back = checkpoint.load_tree(tmp_path / "s.npz")
    assert back["a"].tobytes() == state["a"].tobytes() and back["int32"].dtype == np.int32
    assert back["deep"]["list"][0].tolist() == [True, False] and back["deep"]["list"][1:] == [1, "x"]
    assert back["none"] is None and np.isnan(back["deep"]["nan"]) and back["big"] == 2**70 and back["n"] == 0.1
    assert back["empty"].shape == (0, 3)


def test_keys_that_json_would_change_are_refused(tmp_path):
    with pytest.raises(TypeError, match="keys must be strings"):
        checkpoint.save_tree(tmp_path / "s.npz", {1: 2})


def write(text):
    return lambda folder: (folder / "weights").write_text(text)


def test_the_newest_are_kept_and_load_back(tmp_path):
    for step in (1, 2, 10):
        checkpoint.save(tmp_path, step, {"step": step}, write(str(step)), keep=2)
    names = [p.name for p in checkpoint.complete(tmp_path)]
    assert names == ["step_000002", "step_000010"]
    newest = checkpoint.complete(tmp_path)[-1]
    assert checkpoint.load(newest) == {"step": 10} and (newest / "weights").read_text() == "10"


def test_a_checkpoint_is_replaced_by_one_of_the_same_step(tmp_path):
    for text in ("old", "new"):
        checkpoint.save(tmp_path, 3, {}, write(text), keep=2)
    assert [(p / "weights").read_text() for p in checkpoint.complete(tmp_path)] == ["new"]


def test_a_failed_save_leaves_the_old_checkpoint_and_nothing_that_looks_like_one(tmp_path):
    checkpoint.save(tmp_path, 1, {}, write("good"), keep=2)

    def full(folder):
        (folder / "weights").write_text("ha")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        checkpoint.save(tmp_path, 2, {}, full, keep=2)
    assert [p.name for p in tmp_path.iterdir()] == ["step_000001"]


def test_without_its_mark_a_folder_is_not_a_checkpoint(tmp_path):
    (tmp_path / "step_000009").mkdir()
    (tmp_path / ".tmp_step_000010").mkdir()
    assert checkpoint.complete(tmp_path) == []
    checkpoint.save(tmp_path, 11, {}, write("x"), keep=1)
    assert not (tmp_path / ".tmp_step_000010").exists()
