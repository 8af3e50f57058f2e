"""The verb ``sync``: sends runs that W&B kept offline, each once."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

from rftlab import runs
from rftlab.core import InputError

PATIENCE = 600.0
"""Seconds that one run may take."""
CONNECT = 10.0
"""Seconds in which the server has to answer at all."""


def offline_runs(folder: Path) -> list[Path]:
    """Directories of offline runs below ``folder`` that were not sent yet, in the order of their names."""
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give one that holds runs, as outputs/NAME")
    found = sorted({file.parent for file in folder.rglob("wandb/offline-run-*/run-*.wandb")})
    return [run for run in found if not list(run.glob("*.synced"))]


def being_written(run: Path) -> bool:
    """Whether the run to which this offline run belongs is at work: what W&B keeps of it is not whole yet."""
    folder = run.parents[1]
    return runs.held(str(folder)) or runs.read(folder).state == "running"


def sync(folder: Path, say: Callable[[str], None] = print) -> int:
    """Sends those that are whole by ``wandb sync``; returns how many. Stops at the first that fails: the same command
    goes on there.

    Raises:
        InputError: there is no key, or the server did not take a run.
    """
    found = offline_runs(folder)
    waiting = [run for run in found if not being_written(run)]
    if busy := len(found) - len(waiting):
        say(f"left out, still being written: {busy:,}; the same command sends them when they have ended")
    if not waiting:
        say(f"nothing to send: no offline run of W&B in {folder} that has ended and was not sent before")
        return 0
    if not has_key():
        raise InputError(f"no key for W&B: wandb login first; offline runs that wait in {folder}: {len(waiting):,}")
    if (why := unreachable()) is not None:
        raise InputError(f"{why}; offline runs that wait in {folder}: {len(waiting):,}")
    for done, run in enumerate(waiting):
        why = _send(run)
        if why is not None:
            left = len(waiting) - done
            raise InputError(f"{run} was not sent ({why}); {done:,} were, {left:,} wait: the same command goes on")
        say(f"sent {run}")
    return len(waiting)


def server() -> str:
    """W&B's address, or one's own server's."""
    import wandb

    return os.environ.get("WANDB_BASE_URL") or wandb.Settings().base_url


def has_key() -> bool:
    """Whether there is a key in the environment or in netrc, whatever WANDB_MODE says: that is for training."""
    from requests.utils import get_netrc_auth

    return bool(os.environ.get("WANDB_API_KEY") or get_netrc_auth(server()))


def unreachable() -> str | None:
    """Why the server can't be reached, or None: ``wandb sync`` would try for many minutes."""
    from requests.utils import get_environ_proxies

    if get_environ_proxies(server()):
        return None  # the way is the proxy's
    place = urlsplit(server())
    port = place.port or (443 if place.scheme == "https" else 80)
    try:
        socket.create_connection((place.hostname or "", port), timeout=CONNECT).close()
    except OSError as error:
        return f"no way to {server()} ({error.strerror or error})"
    return None


def _send(run: Path) -> str | None:
    """None, or why it failed: ``wandb sync`` ends with 0 either way, and leaves a mark beside what it sent."""
    command = [sys.executable, "-m", "wandb", "sync", str(run)]
    env = {key: value for key, value in os.environ.items() if key != "WANDB_MODE"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, env=env
        )
    except subprocess.TimeoutExpired:
        return f"no end after {PATIENCE:.0f} s"
    said = (done.stderr + done.stdout).strip().splitlines() or [f"exit status {done.returncode}"]
    return None if list(run.glob("*.synced")) else said[-1]
