"""Checkpoints: written whole or not at all, and only complete ones are read.

``checkpoints/step_000040/`` holds what the learner saves, ``state.npz`` with everything else (sampler, carried
groups, ledger, best evaluation) and, written last, ``COMPLETE``. The directory gets its name by a rename after all
of this is on disk, so a kill or a full disk leaves at most a ``.tmp`` folder that the next save removes.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

MARK = "COMPLETE"


def save(root: Path, step: int, state: dict[str, Any], write: Callable[[Path], None], keep: int) -> Path:
    """Saves ``state`` and what ``write(folder)`` writes as the checkpoint of ``step``; keeps the newest ``keep``."""
    final = root / f"step_{step:06d}"
    temporary = root / f".tmp_step_{step:06d}"
    root.mkdir(parents=True, exist_ok=True)
    for left in root.glob(".tmp_*"):
        shutil.rmtree(left)
    temporary.mkdir()
    try:
        write(temporary)
        save_tree(temporary / "state.npz", state)
        (temporary / MARK).write_text(f"{step}\n")
        for path in temporary.rglob("*"):
            _fsync(path)
    except BaseException:
        shutil.rmtree(temporary, ignore_errors=True)
        raise
    if final.exists():  # out of the way in one move: half deleted it would still bear its mark
        os.replace(final, root / f".tmp_old_{step:06d}")
    os.replace(temporary, final)
    shutil.rmtree(root / f".tmp_old_{step:06d}", ignore_errors=True)
    _fsync(root)
    for old in complete(root)[:-keep]:
        (old / MARK).unlink()  # first, so that half of it is never taken for one
        shutil.rmtree(old)
    return final


def complete(root: Path) -> list[Path]:
    """Complete checkpoints, oldest first."""
    return sorted(p.parent for p in root.glob(f"step_*/{MARK}") if p.parent.name.removeprefix("step_").isdigit())


def put_aside(checkpoint: Path) -> None:
    """Takes a checkpoint out of the sequence without losing it: what could not be read may be whole all the same."""
    aside = checkpoint.with_name(f"aside_{checkpoint.name}")
    shutil.rmtree(aside, ignore_errors=True)
    os.replace(checkpoint, aside)


def step_of(checkpoint: Path) -> int:
    return int(checkpoint.name.removeprefix("step_"))


def load(checkpoint: Path) -> dict[str, Any]:
    return load_tree(checkpoint / "state.npz")


def replace_folder(target: Path, write: Callable[[Path], None]) -> None:
    """Puts what ``write(folder)`` writes in the place of ``target``."""
    temporary = target.with_name(f".tmp_{target.name}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    write(temporary)
    shutil.rmtree(target, ignore_errors=True)
    os.replace(temporary, target)


def save_tree(path: Path, tree: Any) -> None:
    """Writes nested dicts and lists of numbers, strings, None and numpy arrays; exact, no pickle."""
    arrays: dict[str, np.ndarray] = {}

    def skeleton(node: Any) -> Any:
        if isinstance(node, np.ndarray):
            arrays[f"a{len(arrays)}"] = node
            return {"__array__": f"a{len(arrays) - 1}"}
        if isinstance(node, dict):
            if not all(isinstance(k, str) for k in node):
                raise TypeError(f"state keys must be strings: {list(node)[:3]}")
            return {k: skeleton(v) for k, v in node.items()}
        if isinstance(node, list | tuple):
            return [skeleton(v) for v in node]
        if isinstance(node, np.generic):
            return node.item()
        if node is None or isinstance(node, str | int | float):
            return node
        raise TypeError(
            f"a state holds arrays, numbers, strings, None, dicts and lists, not a {type(node).__name__}: {node!r:.80}"
        )

    text = json.dumps(skeleton(tree))
    with open(path, "wb") as file:
        np.savez_compressed(file, __tree__=np.frombuffer(text.encode(), np.uint8), **arrays)


def load_tree(path: Path) -> Any:
    """Inverse of ``save_tree``; tuples come back as lists."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}

    def fill(node: Any) -> Any:
        if isinstance(node, dict):
            if set(node) == {"__array__"}:
                return arrays[node["__array__"]]
            return {k: fill(v) for k, v in node.items()}
        return [fill(v) for v in node] if isinstance(node, list) else node

    return fill(json.loads(arrays["__tree__"].tobytes().decode()))


def _fsync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
