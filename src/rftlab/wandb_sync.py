"""The verb ``sync``: sends runs that W&B kept offline, each once."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from rftlab.core import InputError
from rftlab.wandb_mirror import has_key

PATIENCE = 600.0
"""Seconds that one run may take."""


def offline_runs(folder: Path) -> list[Path]:
    """Directories of offline runs below ``folder`` that were not sent yet, in the order of their names."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give one that holds runs, as outputs/NAME")
    found = sorted({file.parent for file in folder.rglob("wandb/offline-run-*/run-*.wandb")})
    return [run for run in found if not list(run.glob("*.synced"))]


def sync(folder: Path, say: Callable[[str], None] = print) -> int:
    """Sends them by ``wandb sync``; returns how many. Stops at the first that fails: the same command goes on there.

    Raises:
        InputError: there is no key, or the server did not take a run.
    """
    waiting = offline_runs(folder)
    if not waiting:
        say(f"nothing to send: no offline run of W&B in {folder} that was not sent before")
        return 0
    if not has_key():
        raise InputError(f"no key for W&B: wandb login first; offline runs that wait in {folder}: {len(waiting):,}")
    for done, run in enumerate(waiting):
        why = _send(run)
        if why is not None:
            left = len(waiting) - done
            raise InputError(f"{run} was not sent ({why}); {done:,} were, {left:,} wait: the same command goes on")
        say(f"sent {run}")
    return len(waiting)


def _send(run: Path) -> str | None:
    """None, or why it failed."""
    command = [sys.executable, "-m", "wandb", "sync", str(run)]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        return f"no end after {PATIENCE:.0f} s"
    said = (done.stderr + done.stdout).strip().splitlines() or [f"exit status {done.returncode}"]
    return None if done.returncode == 0 else said[-1]
