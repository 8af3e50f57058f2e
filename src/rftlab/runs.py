"""Which runs lie under a folder and how each stands, from a few small reads a run: no configuration is composed."""

from __future__ import annotations

import fcntl
import json
import os
import re
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from rftlab.core import InputError

DEAD_AFTER = 1800.0
"""Seconds without a heartbeat after which a run on another host counts as dead. A step, or an evaluation, writes one; a
lock need not be seen across hosts, and two writers in one directory would be worse than a late start."""
TAILS = (4_096, 65_536, 1_048_576)
"""Bytes from the end of ``metrics.jsonl`` in which the last evaluation is looked for, one after the other."""


@dataclass(frozen=True)
class RunState:
    """How a run stands."""

    path: Path
    state: str
    """done, running, stale (says running, but its process is gone), stopped (by a signal, saved), failed (or never
    begun: ``console.log`` says why), unreadable (``status.json`` is damaged, or missing beside records)."""
    step: int = 0
    steps: int | None = None
    """``budget.steps`` of its configuration; None = not known."""
    rollouts: int = 0
    seed: int | None = None
    accuracy: float | None = None
    """Of the last evaluation, in [0, 1]."""
    eta: float | None = None
    """Seconds until a running one ends, at the speed of its last steps; None = not known."""
    heartbeat: float | None = None
    """When the status was written, seconds since the epoch."""
    host: str | None = None
    pid: int | None = None
    reason: str = ""
    """What ended a stopped or failed one."""
    length: dict[str, Any] | None = None
    """The bounds under which a done one ended, by key of the configuration."""

    @property
    def arm(self) -> str:
        """``<sampler>-<fingerprint>``, the folder of the seeds."""
        return self.path.parent.name

    @property
    def group(self) -> str:
        """``<experiment>/<model>_<dataset>``, the folders above the arm."""
        return "/".join(self.path.absolute().parts[-4:-2])

    @property
    def finished(self) -> bool:
        return self.state == "done"

    @cached_property
    def config(self) -> dict[str, Any]:
        """``config.yaml``; empty if there is none. Raises ``InputError`` if it is damaged."""
        import yaml

        file = self.path / "config.yaml"
        try:
            found = yaml.load(file.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise InputError(f"{file} cannot be read ({_line(error)}): remove the run's directory") from error
        return found if isinstance(found, dict) else {}

    @cached_property
    def identity(self) -> dict[str, Any]:
        """``run.json``; empty if there is none. Raises ``InputError`` if it is damaged."""
        file = self.path / "run.json"
        try:
            found = json.loads(file.read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise InputError(f"{file} cannot be read ({_line(error)}): remove the run's directory") from error
        return found if isinstance(found, dict) else {}


def find(folder: Path | str) -> list[RunState]:
    """The runs in ``folder`` and below it, by path (seed10 after seed9). Raises ``InputError`` if it is no folder."""
    if not Path(folder).is_dir():
        raise InputError(f"{folder}: no such folder; give one that holds runs, as outputs/NAME")
    return sorted(map(read, directories(str(folder))), key=lambda run: _natural(run.path))


def directories(folder: str, seen: frozenset[str] = frozenset()) -> Iterator[str]:
    """Run directories in ``folder`` and below; what lies inside of a run is not looked at. Links are followed once."""
    if os.path.basename(folder).startswith("seed") and os.path.exists(f"{folder}/status.json"):
        yield folder  # nearly all of them: asking for one file takes a fraction of a listing
        return
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    names = {entry.name for entry in entries}
    if "status.json" in names or "run.json" in names:
        yield folder
        return
    if os.path.basename(folder).startswith("seed") and names & {".lock", "console.log"}:
        if names != {".lock"} or held(folder):  # a lock alone: killed while it still checked its input
            yield folder  # begun, or about to begin
        return
    for entry in entries:
        if entry.name.startswith(".") or not entry.is_dir():
            continue
        if not entry.is_symlink():
            yield from directories(entry.path, seen)
        elif (real := os.path.realpath(entry.path)) not in seen:
            yield from directories(entry.path, seen | {real})


def read(path: Path | str) -> RunState:
    """How the run in ``path`` stands; a directory without a run in it has failed before it began."""
    folder = str(path)
    wanted = _wanted(_text(f"{folder}/config.yaml"))
    seed = re.fullmatch(r"seed(\d+)", os.path.basename(folder))
    known: dict[str, Any] = {
        "path": Path(folder),
        "seed": int(seed[1]) if seed else wanted.get("seed"),
        "steps": wanted.get("steps"),
        "accuracy": last_accuracy(folder),
    }
    if not (text := _text(f"{folder}/status.json")):
        if held(folder):
            return RunState(state="running", **known)
        if _tail(f"{folder}/metrics.jsonl", 1):
            return RunState(state="unreadable", reason="status.json is empty or missing", **known)
        return RunState(state="failed", reason=last_words(_tail(f"{folder}/console.log", TAILS[0])), **known)
    try:
        status = json.loads(text)
        known |= {
            "step": int(status["step"]),
            "rollouts": int(status.get("rollouts", 0)),
            "heartbeat": float(status["heartbeat"]),
            "host": str(status["host"]),
            "pid": int(status["pid"]),
            "reason": str(status.get("reason", "")),
            "length": status.get("length"),
        }
        state = str(status["state"])
    except (ValueError, TypeError, KeyError):
        return RunState(state="unreadable", reason="status.json is damaged", **known)
    if state == "running":
        state = "running" if alive(folder, known["host"], known["heartbeat"]) else "stale"
    elif state != "done" and held(folder):
        state = "running"  # begun again, and not yet at its first step
    if state not in ("done", "running", "stale", "stopped", "failed"):
        return RunState(state="unreadable", **known | {"reason": f"status.json says {state!r}"})
    if state == "running":
        known["eta"] = seconds_left(folder, wanted, known["heartbeat"])
    return RunState(state=state, **known)


def alive(folder: str, host: str, heartbeat: float) -> bool:
    """Whether a run that says running is: its lock is held, or it lives on another host and wrote lately."""
    return held(folder) or (host != socket.gethostname() and time.time() - heartbeat < DEAD_AFTER)


def held(folder: str) -> bool:
    """Whether a process on this host, or on one whose locks are seen here, works in the run's directory.

    A job of a sweep holds ``console.log`` from the moment that it is started, every run ``.lock`` while it is open.
    """
    return any(locked(f"{folder}/{name}") for name in (".lock", "console.log"))


def locked(file: str) -> bool:
    """Whether a process holds the file's lock."""
    try:
        descriptor = os.open(file, os.O_RDONLY)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    except OSError:
        return False  # a file system without locks
    finally:
        os.close(descriptor)


def last_accuracy(folder: str) -> float | None:
    """The last evaluation in ``metrics.jsonl``, in [0, 1], without reading all of it."""
    file = f"{folder}/metrics.jsonl"
    for size in TAILS:
        tail = _tail(file, size)
        if found := re.findall(rb'"eval/accuracy": ([\d.eE+-]+)[,}]', tail):
            return float(found[-1])
        if len(tail) < size:
            break
    return None


def seconds_left(folder: str, wanted: dict[str, int], heartbeat: float) -> float | None:
    """Seconds to go at the speed of the last steps, with what evaluations among them took; None = too early to say."""
    rows = []
    for line in _tail(f"{folder}/metrics.jsonl", TAILS[1]).split(b"\n"):  # the first may be half a line
        try:
            rows.append(json.loads(line))
        except ValueError:
            continue
    if len(rows) < 2:
        return None
    before, now = _share(rows[0], wanted), _share(rows[-1], wanted)
    phases = ("time/step", "time/eval", "time/checkpoint")
    seconds = sum(row.get(phase) or 0.0 for row in rows[1:] for phase in phases)
    if now <= before or not seconds:
        return None
    return max(0.0, seconds / (now - before) * (1 - now) - max(0.0, time.time() - heartbeat))


def last_words(console: bytes) -> str:
    """The last line of the last attempt in a console's text, the last one of ``rftlab`` itself if there is one."""
    lines = [line.strip() for line in console.decode(errors="replace").splitlines() if line.strip()]
    begun = [i for i, line in enumerate(lines) if line.startswith("$ rftlab ")]
    lines = lines[begun[-1] + 1 :] if begun else lines
    own = [line.removeprefix("rftlab: ") for line in lines if line.startswith("rftlab: ")]
    return (own or lines or ["console.log says nothing"])[-1][:300]


def _share(row: dict[str, Any], wanted: dict[str, int]) -> float:
    """How much of the run is done: by steps or by rollouts, whichever is further."""
    steps = row.get("step", 0) / wanted["steps"] if wanted.get("steps") else 0.0
    rollouts = row.get("ledger/rollouts", 0) / wanted["rollouts"] if wanted.get("rollouts") else 0.0
    return min(1.0, max(steps, rollouts))


def _wanted(config: str) -> dict[str, int]:
    """``seed``, ``budget.steps`` and the total of rollouts, picked from the text of ``config.yaml``.

    A YAML parser takes milliseconds a file, thousands of runs would take many seconds.
    """
    found = {}
    if seed := re.search(r"^seed: (\d+)$", config, re.MULTILINE):
        found["seed"] = int(seed[1])
    block = re.search(r"^budget:\n((?:  .*\n)+)", config, re.MULTILINE)
    budget = {key: int(value) for key, value in re.findall(r"^  (\w+): (\d+)$", block[1], re.M)} if block else {}
    if "steps" in budget:
        found["steps"] = budget["steps"]
        full = budget["steps"] * budget.get("prompts", 0) * budget.get("group_size", 0)
        found["rollouts"] = budget.get("rollouts", full)
    return found


def _text(file: str) -> str:
    try:
        with open(file, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def _tail(file: str, size: int) -> bytes:
    """The last ``size`` bytes of a file, all of it if it is shorter; empty if there is none."""
    try:
        with open(file, "rb") as stream:
            length = os.fstat(stream.fileno()).st_size
            stream.seek(max(0, length - size))
            return stream.read(size)
    except OSError:
        return b""


def _natural(path: Path) -> list[Any]:
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", str(path))]


def _line(error: Exception) -> str:
    return " ".join(str(error).split())
