"""The parent's side of one sandboxed process."""

from __future__ import annotations

import contextlib
import json
import marshal
import math
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
import types
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import IO, Any

from rftlab.sandbox.levels import Level, bwrap, interpreter, own_uid, visible

END_SECONDS = 10.0
"""How long an outer process may take to end its program before it is killed itself."""
START_SECONDS = 20.0
ENVIRONMENT = {"HOME": "/tmp", "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}
ENVIRONMENT |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # threads count as processes
"""All that a program sees of the environment. Equal hash seeds: the order of a set is the same in every run."""
BOOT = """
import marshal, sys, types
with open(int(sys.argv[1]), "rb") as file:
    config = marshal.load(file)
for name, code in config["modules"].items():
    module = sys.modules[name] = types.ModuleType(name)
    if code is None:
        module.__path__ = []
    else:
        exec(code, module.__dict__)
sys.modules["rftlab.sandbox.inside"].main(config)
"""
"""All modules come compiled: no file of the package is in view, and a start takes half the time."""
PACKAGES = {"rftlab": None, "rftlab.sandbox": None}


class SandboxError(RuntimeError):
    """The sandbox itself failed: the machine's fault, not the program's."""


@dataclass(frozen=True)
class Limits:
    """What a program may take."""

    seconds: float = 10.0
    """CPU time of each process, rounded up to whole seconds: a busy machine fails no program."""
    memory_gib: float = 1.0
    """Address space of each process."""
    disk_mib: int = 64
    """Size of a file, and of all files where /tmp is the program's own."""
    processes: int = 8
    """Processes and threads. Memory is bounded for each process, so all together may take as many times as much."""
    files: int = 64
    """Open files."""

    @property
    def wall(self) -> float:
        """Seconds by the clock for a program with all of its tests: sleeping is bounded too."""
        return 2 * self.seconds

    def for_child(self) -> dict[str, int]:
        return {
            "memory": int(self.memory_gib * 2**30),
            "cpu": math.ceil(self.seconds),
            "disk": self.disk_mib * 2**20,
            "processes": self.processes,
            "files": self.files,
        }


class Process:
    """A child in the sandbox that runs ``main(job, channel)`` of a module of this package.

    Args:
        modules: names in this package, loaded in order; the last one has the ``main``.
        job: for it, built-in types alone.
        channel: a descriptor that it keeps.
        place: 0, 1, …: two processes of different places have different users, where users are given.
        packages: whether installed packages are importable.
    """

    def __init__(
        self,
        level: Level,
        modules: list[str],
        job: Any,
        limits: Limits,
        channel: int | None = None,
        place: int = 0,
        packages: bool = False,
        stdin: int | IO[bytes] = subprocess.DEVNULL,
        stdout: int = subprocess.DEVNULL,
    ) -> None:
        self._folder = self._info = None
        self.code: int | None = None
        """Set by ``end``."""
        self.started = False
        """Whether the module's ``main`` was reached; known after ``end``."""
        self.trouble = ""
        """Why it was not."""
        self._started, ready = os.pipe()
        uid = own_uid(place) if level.own_user else None
        config = {
            "level": level.kind,
            "parent": os.getpid(),
            "uid": uid,
            "limits": limits.for_child(),
            "visible": visible(packages),
            "modules": PACKAGES
            | {f"rftlab.sandbox.{name}": _code(name) for name in ("sweep", "calls", "inside", *modules)},
            "main": f"rftlab.sandbox.{modules[-1]}",
            "job": job,
            "channel": channel,
            "ready": ready,
        }
        if not level.strict:
            self._folder = tempfile.mkdtemp(prefix="rftlab-")
            if uid is not None:
                os.chown(self._folder, uid, uid)
        with tempfile.TemporaryFile() as told:
            told.write(marshal.dumps(config))
            told.seek(0)
            fds = [told.fileno(), ready, *([channel] if channel is not None else [])]
            command = [sys.executable if packages else interpreter(), *_flags(packages), str(told.fileno())]
            if level.kind == "bubblewrap":
                self._info, info = os.pipe()
                fds.append(info)
                command = bwrap(info, config["visible"], config["limits"]["disk"], level.own_user) + command
            self.child = subprocess.Popen(
                command,
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.DEVNULL,
                pass_fds=fds,
                cwd=self._folder or "/",
                env=ENVIRONMENT | ({"HOME": self._folder, "TMPDIR": self._folder} if self._folder else {}),
                start_new_session=True,
            )
        os.close(ready)
        if self._info is not None:
            os.close(info)

    def end(self, patience: float = 0.0) -> int:
        """Ends the process with all that it has started, if it does not end by itself within ``patience`` seconds; its
        exit code, 128 + n for signal n. A second call only tells the code again."""
        if self.code is None:
            code = self._wait(patience)
            self.code = code if code >= 0 else 128 - code
            told = os.read(self._started, 1 << 12).decode()
            self.started, self.trouble = told == "1", told
            self._clean_up()
        return self.code

    def _wait(self, patience: float) -> int:
        try:
            return self.child.wait(patience)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                self._stop()
        try:
            return self.child.wait(END_SECONDS)
        except subprocess.TimeoutExpired:
            self.child.kill()
            return self.child.wait()

    def _clean_up(self) -> None:
        for fd in (self._started, self._info):
            if fd is not None:
                os.close(fd)
        if self.child.stdout is not None:
            self.child.stdout.close()
        if self._folder is not None:
            # What the program has locked is opened on the way down. Folders may lie deeper than Python walks.
            for command in (["chmod", "-R", "u+rwX"], ["rm", "-rf"]):
                subprocess.run([*command, "--", self._folder], stderr=subprocess.DEVNULL, check=False)

    def _stop(self) -> None:
        """To the outer process, SIGTERM means: end it all. bubblewrap's is told by the end of its process 1."""
        if self._info is None:
            self.child.terminate()
            return
        told = os.read(self._info, 1 << 12) if select.select([self._info], [], [], END_SECONDS)[0] else b""
        if told:
            os.kill(json.loads(told)["child-pid"], signal.SIGKILL)
        else:
            self.child.kill()

    def read(self, deadline: float, most: int) -> tuple[bytes, bool]:
        """Its standard output until it ends, and whether it did: before ``deadline`` and within ``most`` bytes."""
        assert self.child.stdout is not None
        fd, said = self.child.stdout.fileno(), bytearray()
        while (left := deadline - time.monotonic()) > 0 and len(said) <= most:
            if not select.select([fd], [], [], left)[0]:
                break
            block = os.read(fd, 1 << 16)
            if not block:
                return bytes(said), True
            said += block
        return bytes(said[:most]), False


def works(level: Level) -> bool:
    """Whether a program runs at this level here, and starts in a folder where it can write."""
    try:
        process = Process(level, ["script"], {"source": PROBE}, Limits(START_SECONDS), stdout=subprocess.PIPE)
    except (OSError, ValueError):
        return False
    said, _ = process.read(time.monotonic() + START_SECONDS, 100)
    return process.end(1.0) == 0 and process.started and said.strip() == b"42"


PROBE = "import json, tempfile\nwith tempfile.TemporaryFile() as f: print(f.write(b'x' * 6) * 7)"


def _flags(packages: bool) -> list[str]:
    """No user's packages, no folder of the caller on the path, no site-packages unless wanted."""
    return ["-s", "-P", "-B", *([] if packages else ["-S"]), "-c", BOOT]


@lru_cache(maxsize=16)
def _code(name: str) -> types.CodeType:
    """A module of this package for the child, which is the same Python."""
    source = files("rftlab.sandbox").joinpath(f"{name}.py").read_text()
    return compile(source, f"<rftlab.sandbox.{name}>", "exec")
