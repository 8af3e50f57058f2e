"""How strong a sandbox this machine gives. Found by running a program in it, once a process."""

from __future__ import annotations

import os
import shutil
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from rftlab.core import InputError

CHOICES = ("auto", "strict", "limits")
SYSTEM = ("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo")
"""What a Python needs beside its own folder, where it exists."""
UIDS_WANTED = 1 << 16
"""User ids that this process must have at its disposal before it hands one to a program."""

REMEDY = (
    "install bubblewrap (apt-get install bubblewrap), or allow unprivileged user namespaces "
    "(sysctl kernel.apparmor_restrict_unprivileged_userns=0; a container needs --security-opt seccomp=unconfined)"
)


@dataclass(frozen=True)
class Level:
    """A kind of isolation, and whether the program gets a user of its own."""

    kind: str
    """bubblewrap, namespaces or limits."""
    own_user: bool

    @property
    def name(self) -> str:
        return f"{self.kind}, own user" if self.own_user else self.kind

    @property
    def strict(self) -> bool:
        """No network, and nothing to see but the interpreter."""
        return self.kind != "limits"


def every_level() -> list[Level]:
    """What might work here, the strongest first. A user of its own takes root, and root needs it: the kernel does not
    count the processes of its root."""
    strict = ["bubblewrap"] if shutil.which("bwrap") else []
    strict += ["namespaces"] if sys.platform == "linux" else []
    own = [True] if os.geteuid() == 0 and mapped_ids()[1] >= UIDS_WANTED else []
    found = [Level(kind, each) for each in [*own, False] for kind in strict]
    return [*found, Level("limits", bool(own))]  # with limits alone, never as root


@lru_cache(maxsize=1)
def working() -> tuple[Level, ...]:
    """The levels that work here, the strongest first."""
    from rftlab.sandbox.process import works

    return tuple(level for level in every_level() if works(level))


@lru_cache(maxsize=8)
def choose(isolation: str) -> Level:
    """The level for an ``isolation`` option: auto = the best there is, strict = no network and no files or an error,
    limits = no more than limits."""
    from rftlab.sandbox.process import works

    for level in every_level():
        if (isolation != "strict" or level.strict) and (isolation != "limits" or not level.strict) and works(level):
            return level
    if isolation == "strict":
        raise InputError(
            f"verifier.check.isolation=strict, but neither bubblewrap nor namespaces work here: {REMEDY}, "
            "or verifier.check.isolation=auto"
        )
    raise InputError("no program can be run in a child process here: a POSIX system with Python >= 3.11 is wanted")


def own_uid(offset: int) -> int:
    """A user id that no other process has: of this process's pid, so that counts of processes do not mix."""
    start, length = mapped_ids()
    return start + length - 2 - offset - 4 * (os.getpid() % (length // 16))


def mapped_ids() -> tuple[int, int]:
    """The first and the number of the user ids that this process may give, the longest span of them."""
    if not os.path.exists("/proc/self/uid_map"):
        return 0, 1 << 16
    with open("/proc/self/uid_map") as lines:
        spans = [(int(start), int(length)) for start, _, length in map(str.split, lines)]
    start, length = max(spans, key=lambda span: span[1])
    return start, min(length, 1 << 31)


def interpreter() -> str:
    """The Python itself, not the venv's link to it."""
    return os.path.realpath(getattr(sys, "_base_executable", "") or sys.executable)


def visible(packages: bool) -> list[str]:
    """The paths that a program may read; links come as links."""
    paths = [p for p in SYSTEM if os.path.exists(p)] + [sys.base_prefix, sys.base_exec_prefix]
    paths += [sys.prefix] if packages else []
    kept: list[str] = []
    for path in sorted(dict.fromkeys(paths), key=lambda p: len(Path(p).parts)):
        if not any(path.startswith(f"{parent}/") for parent in kept):
            kept.append(path)
    return kept


def bwrap(info: int, paths: list[str], disk: int, own_user: bool) -> list[str]:
    """The command that runs what follows it in bubblewrap; it reports its process 1 on the descriptor ``info``."""
    command = ["bwrap", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"]
    if own_user:
        command += ["--cap-drop", "ALL", "--cap-add", "CAP_SETUID", "--cap-add", "CAP_SETGID"]
    else:
        command += ["--unshare-user", "--uid", "65534", "--gid", "65534"]
    command += ["--die-with-parent", "--new-session", "--info-fd", str(info)]
    command += ["--perms", "1777", "--size", str(disk), "--tmpfs", "/tmp"]  # first: what is visible may lie in it
    for folder in dict.fromkeys(str(folder) for path in paths for folder in reversed(Path(path).parents[:-1])):
        command += ["--perms", "755", "--dir", folder]
    for path in paths:
        command += ["--symlink", os.readlink(path), path] if os.path.islink(path) else ["--ro-bind", path, path]
    command += ["--perms", "755", "--dir", "/dev"]
    for name in ("null", "zero", "full", "random", "urandom"):
        command += ["--dev-bind", f"/dev/{name}", f"/dev/{name}"]
    return [*command, "--remount-ro", "/", "--chdir", "/tmp"]


def protection() -> str:
    """What this machine gives, in words, for a reader who is to decide whether to run a model's programs on it."""
    from rftlab.sandbox.process import Limits

    level = working()[0] if working() else None
    if level is None:
        return "none: no program can be run in a child process here"
    counted = level.own_user or os.geteuid() != 0
    bounded = "time, files and the memory of each process are bounded, " + (
        f"and processes, so a program may take {Limits().processes} times its memory_gib in all"
        if counted
        else "processes are NOT, for the kernel does not count root's, nor is memory in all"
    )
    if level.strict:
        return (
            f"{level.name}: programs see no network and no file but the interpreter; {bounded}; all they start "
            "dies with them. Not covered: holes in the kernel"
        )
    whose = "another user" if level.own_user else "THIS user, so they can read and write its files and end its runs"
    return (
        f"{level.name}: programs run as {whose}; {bounded}; NOT closed: the network, files that all may read, "
        f"folders that all may write. To close them: {REMEDY}"
    )
