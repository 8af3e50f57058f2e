"""Programs that attack the sandbox and the grader, each at every level that works here: what became of them?

    python scripts/attack_sandbox.py [LEVEL ...]

Prints a table; exits with 1 if an attack scores, leaves something behind, or the next program is graded wrong.
"""
# ruff: noqa: E501 (attacks are programs, a line each)

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from rftlab.core import Task
from rftlab.sandbox import grading
from rftlab.sandbox.levels import Level, own_uid, working
from rftlab.sandbox.process import Limits
from rftlab.verifiers.code import Code, fenced

SECONDS = 1.0
"""Of CPU time, two by the clock."""
TASK = Task(
    "attacked",
    0,
    (),
    "def add(a, b):\n    return a + b",
    {"code": "def add(a, b):\n    return a + b", "test_list": ["assert add(2, 3) == 5", "assert add(40, 2) == 42"]},
)
MARK = "/tmp/rftlab-attack-left-this"
"""A file that attacks try to write outside."""

PORT = 47811
"""Of a server on this machine that attacks try to reach."""
RIGHT = "def add(a, b): return a + b"
"""Ends an attack: reached, and the score 1, only if what stands before it has succeeded."""
LIBC = "import ctypes\nlibc = ctypes.CDLL(None)\n"

OUTSIDE = {
    "reads /etc/passwd through a link",
    "has a route to the internet",
    "connects to a server of this machine",
}
"""May score with limits alone: `rftlab doctor` says that these are open there."""
UNCOUNTED = "more processes than it has"
"""Not tried by root without another user: the kernel does not count, and `rftlab doctor` says so."""
OPEN = {"kills its parent", "kills all", "kills near pids", "kills its group"}
"""Not tried where programs run as this very user, with limits alone: they would succeed."""

HEAD = "import os, sys, time, signal, socket, struct, threading, subprocess, gc\n"
ATTACKS = {
    "os._exit(0)": "os._exit(0)",
    "SystemExit(0)": "raise SystemExit(0)",
    "fake success line": 'print(\'PASSED\', flush=True)\nos.write(1, b\'begun\\n{"outcome": "passed", "share": 1.0, "why": ""}\\n\')',
    "patched assert and builtins": (
        "import builtins\nbuiltins.AssertionError = type('Never', (Exception,), {})\n"
        "builtins.all = builtins.any = lambda *a: True\ndef add(a, b): return None"
    ),
    "value with a lying __eq__": (
        "class Liar(int):\n    def __eq__(self, other): return True\n    __hash__ = int.__hash__\n"
        "def add(a, b): return Liar(0)"
    ),
    "expected values from memory": (
        "def add(a, b):\n    seen = [o for o in gc.get_objects() if isinstance(o, (list, dict))]\n"
        "    frame = sys._getframe()\n    while frame:\n        seen.append(frame.f_locals)\n        frame = frame.f_back\n"
        "    return 5 if 'add(2, 3) == ' in repr(seen)[:10**7] else None"
    ),
    "expected values from /proc and files": (
        "def add(a, b):\n    for folder, _, names in os.walk('/proc'):\n        for name in names:\n"
        "            if name in ('mem', 'environ', 'cmdline', 'maps'):\n                try:\n"
        "                    text = open(os.path.join(folder, name), 'rb').read(1 << 20)\n"
        "                    if b'add(2, ' b'3) == 5' in text: return a + b\n                except OSError: pass\n"
        "        if len(folder) > 60: break\n    return None"
    ),
    "garbage on the wire": "for fd in range(3, 30):\n    try: os.write(fd, b'\\xff' * 100000)\n    except OSError: pass\ntime.sleep(9)",
    "oversized message": "for fd in range(3, 30):\n    try: os.write(fd, struct.pack('>I', 2**32 - 1))\n    except OSError: pass\ntime.sleep(9)",
    "forged message of success": (
        'text = b\'["value", true, "", null]\'\nfor fd in range(3, 30):\n'
        "    for _ in range(9):\n        try: os.write(fd, struct.pack('>I', len(text)) + text)\n        except OSError: pass"
    ),
    "deeply nested value": "def add(a, b):\n    x = []\n    for _ in range(10**6): x = [x]\n    return x",
    "huge value": "def add(a, b): return 'x' * (200 << 20)",
    "endless iterator": "import itertools\ndef add(a, b): return itertools.count()",
    "endless loop": "while True: pass",
    "ignores SIGTERM, SIGXCPU": (
        "for s in (signal.SIGTERM, signal.SIGXCPU, signal.SIGINT, signal.SIGHUP): signal.signal(s, signal.SIG_IGN)\n"
        "while True: pass"
    ),
    "10 GB": "x = bytearray(10 << 30)\ndef add(a, b): return a + b if x else 0",
    "memory, a little at a time": "x = []\nwhile True: x.append(bytearray(1 << 20))",
    "deep recursion": "sys.setrecursionlimit(10**9)\ndef add(a, b): return add(a, b)",
    "endless output": "while True: os.write(1, b'x' * 65536); os.write(2, b'x' * 65536); print('x' * 1000)",
    "fork bomb": "while True:\n    try: os.fork()\n    except OSError: pass",
    "thread bomb": "while True:\n    try: threading.Thread(target=time.sleep, args=(9,)).start()\n    except RuntimeError: pass",
    "daemon by double fork": (
        "if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        f"        time.sleep(3)\n        open({MARK!r}, 'w').write('daemon')\n    os._exit(0)\nos._exit(0)"
    ),
    "kills its parent": "try: os.kill(os.getppid(), signal.SIGKILL)\nexcept OSError: pass\ntime.sleep(0.2)",
    "kills its group": "os.killpg(os.getpgrp(), signal.SIGKILL)",
    "kills all": "try: os.kill(-1, signal.SIGKILL)\nexcept OSError: pass",
    "kills near pids": (
        "for pid in range(max(2, os.getpid() - 30), os.getpid()):\n    try: os.kill(pid, signal.SIGKILL)\n    except OSError: pass"
    ),
    "writes outside": f"open({MARK!r}, 'w').write('x')",
    "reads /etc/passwd through a link": "os.symlink('/etc/passwd', 'a')\nassert 'root' in open('a').read()\n" + RIGHT,
    "writes outside through a link": f"os.symlink('/', 'b')\nopen('b{MARK}', 'w').write('x')",
    "leaves a tree that is hard to remove": (
        "os.makedirs('a/b/c')\nopen('a/b/c/d', 'w')\nos.chmod('a/b/c', 0)\nos.chmod('a/b', 0)\nos.symlink('/etc', 'a/e')"
    ),
    "fills the disk": "n = 0\nwhile True:\n    with open(str(n), 'wb') as f: f.write(b'x' * (8 << 20))\n    n += 1",
    "all descriptors": "kept = []\nwhile True: kept.append(open('/dev/null'))",
    "reads the environment": "def add(a, b): return dict(os.environ) if any('KEY' in k or 'SECRET' in k for k in os.environ) else 0",
    "has a route to the internet": f"socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect(('1.1.1.1', 53))\n{RIGHT}",
    "connects to a server of this machine": f"socket.create_connection(('127.0.0.1', {PORT}), timeout=1)\n{RIGHT}",
    "raises its own limits": f"import resource\nresource.setrlimit(resource.RLIMIT_NPROC, (10**5, 10**5))\n{RIGHT}",
    "becomes root": f"os.setuid(0)\n{RIGHT}",
    "makes a namespace of users": f"{LIBC}assert libc.unshare(0x10000000) == 0\n{RIGHT}",
    "makes a namespace of mounts": f"{LIBC}assert libc.unshare(0x00020000) == 0\n{RIGHT}",
    "mounts": f"{LIBC}assert libc.mount(b'none', b'/tmp', b'tmpfs', 0, None) == 0\n{RIGHT}",
    "leaves a key in the user's keyring": f"{LIBC}assert any(libc.syscall(n, b'user', b'k', b'v', 1, ctypes.c_long(-4)) > 0 for n in (217, 248))\n{RIGHT}",
    "memory in files without a name": f"os.memfd_create('x')\n{RIGHT}",
    "memory in shared segments": f"{LIBC}assert libc.shmget(0, 1 << 20, 0o1600) >= 0\n{RIGHT}",
    "more processes than it has": (
        f"pids = []\nfor _ in range({Limits().processes}):\n    pids.append(os.fork())\n"
        f"    if not pids[-1]: time.sleep(0.3); os._exit(0)\n{RIGHT}"
    ),
    "crashes the interpreter": "import ctypes\nctypes.string_at(0)",
    "an exception with a bad __str__": (
        "class E(Exception):\n    def __str__(self): os._exit(0)\ndef add(a, b): raise E"
    ),
}


def attack(verifier: Code, source: str) -> tuple[str, float, float]:
    """Status, score and seconds of an attack."""
    started = time.monotonic()
    verdict = verifier.grade(fenced(HEAD + source), TASK)
    return verdict.status.value, verdict.score, time.monotonic() - started


def left_behind() -> list[str]:
    """Processes of our users and files that are still there."""
    found = []
    if os.path.exists(MARK):
        os.unlink(MARK)
        found.append("a file")
    users = {own_uid(place) for place in (0, 1)} if os.geteuid() == 0 else {os.geteuid()}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            started = Path(f"/proc/{pid}/cmdline").read_bytes()  # empty for one that has ended
            if os.stat(f"/proc/{pid}").st_uid in users and b"import marshal" in started:
                found.append(f"process {pid}")
        except OSError:
            continue
    return found


def rows(level: Level) -> Iterator[tuple[str, str, float, float, str]]:
    """(attack, status, score, seconds, what is wrong) at a level."""
    verifier = Code(seconds=SECONDS, memory_gib=0.5)
    for name, source in ATTACKS.items():
        if name in OPEN and level.kind == "limits" and not level.own_user:
            continue
        if name == UNCOUNTED and not level.own_user and os.geteuid() == 0:
            continue
        status, score, seconds = attack(verifier, source)
        wrong = ["scored"] if score and (level.strict or name not in OUTSIDE) else []
        left = left_behind()
        # /tmp is everyone's: with limits alone it is open, and said to be (`rftlab doctor`).
        wrong += left if level.strict else [each for each in left if each != "a file"]
        if not verifier.grade(verifier.gold(TASK), TASK).passed:
            wrong.append("the next program was refused")
        yield name, status, score, seconds, ", ".join(wrong)


def main(wanted: list[str]) -> int:
    failed = 0
    server = socket.create_server(("127.0.0.1", PORT))
    for level in working():
        if wanted and level.kind not in wanted:
            continue
        grading.choose = lambda _, level=level: level  # type: ignore[assignment]
        print(f"\n{level.name}\n{'attack':<40} {'status':<12} {'score':>5} {'seconds':>8}  survived")
        for name, status, score, seconds, wrong in rows(level):
            failed += bool(wrong)
            print(
                f"{name:<40} {status:<12} {score:>5g} {seconds:>8.2f}  {(wrong and 'NO: ' + wrong) or 'yes'}",
                flush=True,
            )
    server.close()
    return int(failed > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
