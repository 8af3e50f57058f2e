"""The run directory: who owns it, what it is, how it stands."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import socket
import subprocess
import time
from importlib import metadata
from pathlib import Path
from typing import Any, TextIO

from rftlab import __version__
from rftlab.core import InputError

PACKAGES = ("torch", "transformers", "peft", "numpy", "hydra-core", "wandb", "vllm")


def write_atomic(path: Path, text: str) -> None:
    """Writes ``text`` so that a reader, or a crash, sees the old file or the new one."""
    temporary = path.with_name(f".{path.name}.tmp")  # the directory has one owner, and so has this name
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError:
        temporary.unlink(missing_ok=True)
        raise


class RunDir:
    """A directory that one process owns while it is open.

    ``status.json`` holds ``state`` (running, done, stopped, failed), ``step``, ``pid``, ``host`` and ``heartbeat``
    (seconds since the epoch). Ownership is an ``flock`` on ``.lock``: it vanishes with its process, however it dies.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._made = [folder for folder in (path, *path.parents) if not folder.exists()]
        """Folders that were missing, the innermost first."""
        try:
            self._lock: TextIO | None = self._locked()
        except BlockingIOError as error:
            raise InputError(
                f"{path} is being written by {self._owner()}; wait for it, or change seed, name or outputs_dir"
            ) from error
        except OSError as error:
            raise InputError(
                f"cannot write to {path} ({error.strerror}); give a writable place by outputs_dir=DIR"
            ) from error

    def _locked(self) -> TextIO:
        """The lock, held, with the owner in it. Raises ``BlockingIOError`` when another process has it."""
        while True:
            self.path.mkdir(parents=True, exist_ok=True)
            try:
                lock = open(self.path / ".lock", "a")  # noqa: SIM115  held open for the life of the run
            except FileNotFoundError:  # the folder went with another process, as below
                continue
            try:
                _take(lock)
                if os.path.samestat(os.fstat(lock.fileno()), os.stat(lock.name)):
                    lock.truncate(0)
                    lock.write(f"process {os.getpid()} on {socket.gethostname()}")
                    lock.flush()
                    return lock
            except FileNotFoundError:
                pass
            except OSError:
                lock.close()
                raise
            lock.close()  # its owner ended before it wrote anything, and took this file along

    def _owner(self) -> str:
        """Who holds the lock, as it has written there."""
        with contextlib.suppress(OSError, ValueError):
            return (self.path / ".lock").read_text(encoding="utf-8") or "another process"
        return "another process"

    def status(self) -> dict[str, Any]:
        """The last written status; empty for a new run."""
        with contextlib.suppress(OSError, ValueError):
            found = json.loads((self.path / "status.json").read_text())
            return found if isinstance(found, dict) else {}
        return {}

    def set_status(self, state: str, step: int, **more: Any) -> None:
        status = {
            "state": state,
            "step": step,
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "heartbeat": round(time.time(), 1),
            **more,
        }
        write_atomic(self.path / "status.json", json.dumps(status) + "\n")

    def identify(self, **facts: Any) -> dict[str, Any]:
        """Writes ``run.json`` once; on a later start adds to its ``starts``, and facts that it does not have yet."""
        path = self.path / "run.json"
        start = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S%z"),
            "versions": versions(),
            "git": git_state(),
            "host": socket.gethostname(),
            "python": platform.python_version(),
        }
        try:
            identity = {**facts, "starts": [], **(json.loads(path.read_text()) if path.is_file() else {})}
        except (ValueError, TypeError) as error:
            raise InputError(f"{path} is damaged ({error}): remove it, or the whole run directory") from error
        different = [k for k, v in facts.items() if identity.get(k) != v]
        if different:
            raise InputError(
                f"{self.path} belongs to another run: {', '.join(different)} differ "
                f"({identity.get(different[0])} there, {facts[different[0]]} now); change name or seed"
            )
        identity["starts"].append(start)
        write_atomic(path, json.dumps(identity, indent=1) + "\n")
        return identity

    def close(self) -> None:
        """Gives the directory free. One that this process made and wrote nothing into vanishes."""
        if self._lock is not None:
            with contextlib.suppress(OSError):  # a folder that is not empty stays, and so do those above it
                if self.path in self._made and os.listdir(self.path) == [".lock"]:
                    os.unlink(self._lock.name)  # still held: whoever waits for it sees that the file has gone
                    for folder in self._made:
                        folder.rmdir()
            self._lock.close()
            self._lock = None


def _take(lock: TextIO) -> None:
    """Locks for this process alone. Who looks whether a run is at work holds its lock for microseconds: that passes."""
    for _ in range(10):
        with contextlib.suppress(BlockingIOError):
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        time.sleep(0.02)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def versions() -> dict[str, str]:
    """Versions of rftlab and of the packages that change numbers."""
    found = {"rftlab": __version__}
    for name in PACKAGES:
        with contextlib.suppress(metadata.PackageNotFoundError):
            found[name] = metadata.version(name)
    return found


def git_state() -> str | None:
    """Commit of the checkout that this package runs from, with ``+`` when it has changes; None outside of one."""
    here = Path(__file__).parent
    ask = ["git", "-C", str(here)]
    try:
        top = subprocess.run([*ask, "ls-files", "--error-unmatch", __file__], capture_output=True, timeout=10)
        if top.returncode:
            return None  # installed inside some other repository
        commit = subprocess.run([*ask, "rev-parse", "--short=12", "HEAD"], capture_output=True, text=True, timeout=10)
        dirty = subprocess.run([*ask, "status", "--porcelain", "--", "."], capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return commit.stdout.strip() + ("+" if dirty.stdout.strip() else "") or None
