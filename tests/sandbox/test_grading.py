"""A program against its tests: who is to blame for what, and what a program cannot get at."""

from __future__ import annotations

import contextlib
import os
import subprocess
import time
from pathlib import Path

import pytest

from rftlab.core import InputError
from rftlab.sandbox import levels
from rftlab.sandbox.calls import TABLES
from rftlab.sandbox.grading import Outcome, Sandbox, UnitTests
from rftlab.sandbox.levels import Level, choose, protection, working
from rftlab.sandbox.process import END_SECONDS, Limits, Process, SandboxError

PATIENCE = 60.0
"""Seconds by the clock for what ends by itself: only a fault takes them."""
BOX = Sandbox(limits=Limits(PATIENCE / 2, memory_gib=0.5))
EVERY = pytest.mark.parametrize("level", working(), ids=lambda level: level.name)
STRICT = pytest.mark.parametrize("level", [each for each in working() if each.strict], ids=lambda level: level.name)


def graded(program: str, tests: str, setup: str = "", partial: bool = False, **options: object) -> Outcome:
    return BOX.run_tests(program, UnitTests(tests, setup, **options), partial)  # type: ignore[arg-type]


def printed(level: Level, source: str, seconds: float = PATIENCE, packages: bool = False) -> tuple[str, int]:
    """What a program prints at a level, and its exit code."""
    limits = Limits(seconds, memory_gib=0.5)
    process = Process(level, ["script"], {"source": source}, limits, packages=packages, stdout=subprocess.PIPE)
    said, ended = process.read(time.monotonic() + seconds, 1 << 16)
    code = process.end(PATIENCE if ended else 0.0)
    assert process.started, process.trouble
    return said.decode().strip(), code


@pytest.mark.parametrize(
    ("program", "tests"),
    [
        ("def f(x): return [x, (x, {1: x})]", "assert f(3) == [3, (3, {1: 3})]"),
        ("def f(x): x.append(1); x.sort()", "x = [3, 2]\nassert f(x) is None\nassert x == [1, 2, 3]"),
        ("def f(x):\n    for i in range(x): yield i", "assert list(f(3)) == [0, 1, 2] and sum(f(4)) == 6"),
        ("def f(x): raise KeyError(x)", "try:\n    f(3)\nexcept KeyError:\n    pass\nelse:\n    assert False"),
        ("class P:\n    def __init__(self, x): self.x = x\ndef f(p): return p[0].x", "assert f([P(3)]) == 3"),
        ("class P: pass\ndef f(p): return p.a.b", "p = P()\np.a = P()\np.a.b = 7\nassert f(p) == 7 and p.a.b == 7"),
        ("class S:\n    def go(self, x, *, y): return x + y", "assert S().go(1, y=2) == 3"),
        ("def f(x): print('hello', x)", "import io, contextlib\nout = io.StringIO()\n"
         "with contextlib.redirect_stdout(out):\n    f(1)\nassert out.getvalue() == 'hello 1\\n'"),
        ("def f(x): return x", "assert math.isclose(f(1.5), 1.5) and f(math.inf) > 0"),
        ("LIMIT = 4", "assert LIMIT == 4"),
        ("import dataclasses as d\n@d.dataclass\nclass P:\n    x: int = 1\ndef f(): return P()", "assert f().x == 1"),
    ],
)  # fmt: skip
def test_what_a_right_program_may_do(program: str, tests: str) -> None:
    assert graded(program, tests) == Outcome("passed", 1.0)


FORGE = """
import json, os
def forge(message):
    text = json.dumps(message).encode()
    for fd in range(3, 30):
        try: os.write(fd, len(text).to_bytes(4, "big") + text)
        except OSError: pass
"""


@pytest.mark.parametrize(
    ("program", "tests", "kind"),
    [
        ("def f(x): return x + 1", "assert f(1) == 1", "failed"),
        ("def f(x): return None", "assert len(f(1)) == 1", "failed"),
        ("def f(x): return object()", "assert f(1)", "failed"),
        ("def f(x): return object()", "assert f(1) != 2", "failed"),
        ("def g(x): return x", "assert f(1) == 1", "failed"),
        ("def f(x: return x", "assert f(1) == 1", "failed"),
        ("def f(x): raise AssertionError", "assert f(1) == 1", "failed"),
        ("def f(x): raise NameError('x')", "assert f(1) == 1", "failed"),
        ("f = True", "assert f(1) == 1", "failed"),
        ("import os\ndef f(x): os._exit(0)", "try:\n    f(1)\nexcept Exception:\n    pass", "failed"),
        ("def f(x):\n    while True: pass", "assert f(1) == 1", "limit"),
        ("def f(x): return 'x' * (1 << 32)", "assert f(1) == 1", "limit"),
        ("import os, signal\nos.kill(os.getpid(), signal.SIGXCPU)", "assert f(1) == 1", "limit"),
        ("print('\\ud800')\ndef f(x): return 2", "assert f(1) == 1", "failed"),
        ("def f(x): print('\\ud800'); return 2", "assert f(1) == 1", "failed"),
        (f"{FORGE}forge(['value', ['iterator', [[]]], '', None])", "assert f(1) == 1", "failed"),
        (f"{FORGE}forge(['value', 1, 2, [3]])", "assert f(1) == 1", "failed"),
        (f"{FORGE}forge(['raised', ['\\ud800', [[]]], '', ''])", "assert f(1) == 1", "failed"),
        ("def f(x): return '1 +'", "assert eval(f(1)) == 1", "failed"),
        ("def f(x): return 'no_name'", "assert eval(f(1)) == 1", "failed"),
        ("def f(x): return []", "def check():\n    for y in f(1): z = y\n    assert z\ncheck()", "failed"),
        ("def f(x): return int", "assert f(f(1).real) == 1", "failed"),
    ],
)
def test_what_is_a_failed_trial(program: str, tests: str, kind: str) -> None:
    box = Sandbox(limits=Limits(seconds=2.0, memory_gib=0.5)) if "while True" in program else BOX
    outcome = box.run_tests(program, UnitTests(tests))
    assert outcome.kind == kind and outcome.share == 0.0, outcome


@pytest.mark.parametrize(
    ("tests", "setup"),
    [
        ("assert f(1) ==", ""),
        ("assert True", ""),
        ("import no_such_module\nassert f(1) == 1", ""),
        ("assert f(lambda: 1) == 1", ""),
        ("assert f(1) == 1 and f(lambda: 1) == 1", ""),
        ("assert f(1) == 1 and f(len) == 1", ""),
        ("import no_such_module.b\nassert f(1) == 1", ""),
        ("def check(f):\n    assert f(1) == 1\n    from math import nothing\ncheck(f)", ""),
        ("assert f(1) == 1", "1 / 0"),
        ("assert f(1) == 1", "def ("),
    ],
)
def test_broken_tests_are_not_the_candidates_fault(tests: str, setup: str) -> None:
    with pytest.raises(SandboxError):
        graded("def f(x): return x", tests, setup)


def test_the_share_is_of_the_assertions() -> None:
    tests = "assert True\nassert f(1) == 1\nassert f(2) == 2\nassert f(3) == 9\nfor i in (4, 5):\n    assert f(i) == i"
    assert graded("def f(x): return x", tests, partial=True) == Outcome("failed", 0.8, "4 of 5 assertions hold")
    assert graded("def f(x): return 1 / (x - 2) + 2", tests, partial=True).share == 0.2
    assert graded("import os\ndef f(x): return x if x < 2 else os._exit(0)", tests, partial=True).share == 0.25
    assert graded("def f(x): return x if x != 3 else 9", tests, partial=True) == Outcome("passed", 1.0)


def test_a_fake_module_or_helper_does_not_reach_the_judge() -> None:
    fake = (
        "import types\nmath = types.SimpleNamespace(isclose=lambda *a: True)\nhelper = lambda x: 0\ndef f(x): return 0"
    )
    assert graded(fake, "assert math.isclose(f(1), 1.0)").kind == "failed"
    assert graded(fake, "assert helper(f(1)) == 1", "def helper(x): return x").kind == "failed"


def test_drawn_cases_are_the_same_for_everyone() -> None:
    tests = "from random import randint\nassert f(0) == randint(0, 10**9)"
    assert (
        graded("import random\nrandom.seed(0)\nn = random.randint(0, 10**9)\ndef f(x): return n", tests).kind
        == "passed"
    )


@EVERY
def test_limits_hold_at_every_level(level: Level) -> None:
    memory = "try: bytearray(1 << 30)\nexcept MemoryError: print('none')"
    file = "open('big', 'wb').write(b'x' * (65 << 20))"
    threads = (
        "import os, threading, time\ntry:\n"
        "    for _ in range(99): threading.Thread(target=time.sleep, args=(9,)).start()\n"
        "except RuntimeError: print('none', flush=True); os._exit(0)"
    )
    files = "kept = []\ntry:\n    while True: kept.append(open('/dev/null'))\nexcept OSError: print(len(kept) < 66)"
    assert printed(level, memory)[0] == "none"
    assert printed(level, file)[1] != 0
    assert printed(level, threads)[0] == "none"
    assert printed(level, files)[0] == "True"
    started = time.monotonic()
    assert printed(level, "while True: pass", seconds=3.0)[1] == 137
    assert time.monotonic() - started < 3.0 + END_SECONDS, "it ends at a word, and not by being waited for"


@EVERY
@pytest.mark.skipif(os.uname().machine not in TABLES, reason="no filter for this machine")
def test_calls_beyond_the_limits_are_refused_and_threads_and_processes_are_not(level: Level) -> None:
    refused = (
        "import ctypes, os\nlibc = ctypes.CDLL(None)\ntry: os.memfd_create('x'); print('memfd')\nexcept OSError: pass\n"
        "if libc.shmget(0, 1 << 20, 0o1600) >= 0: print('shm')\n"
        "if libc.unshare(0x10000000) == 0: print('unshare')\n"
    )
    assert printed(level, refused) == ("", 0)
    allowed = (
        "import subprocess, sys, threading\nthreading.Thread(target=print, args=(1,)).start()\n"
        "print(subprocess.run(['/bin/true']).returncode) if __import__('os').path.exists('/bin/true') else print(0)"
    )
    assert printed(level, allowed)[0].split() == ["1", "0"]


@EVERY
def test_a_program_has_an_empty_folder_no_secrets_and_the_standard_library(
    level: Level, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_TEST", "1")
    source = (
        "import os, email.mime.text, sqlite3\nprint(os.listdir('.'), 'SECRET_OF_THE_TEST' in os.environ)\nimport numpy"
    )
    said, code = printed(level, source)
    assert said == "[] False" and code == 1


@STRICT
def test_nothing_but_the_interpreter_is_in_view(level: Level) -> None:
    here = str(Path(__file__).resolve())
    assert (
        printed(level, f"import os\nprint(os.path.exists({here!r}), os.path.exists('/etc/passwd'))")[0] == "False False"
    )
    net = "import socket\ntry: socket.create_connection(('127.0.0.1', 1), 1)\nexcept OSError as e: print(e.errno)"
    assert printed(level, net)[0] in ("101", "111")  # no route, or a loopback of its own
    assert printed(level, "open('/usr/lib/x', 'w')")[1] == 1


@STRICT
def test_installed_packages_are_there_when_wanted(level: Level) -> None:
    assert printed(level, "import numpy\nprint(numpy.arange(3).sum())", packages=True)[0] == "3"


@EVERY
def test_no_descendant_outlives_its_program(level: Level) -> None:
    mark = f"mark{os.getpid()}{level.kind}{level.own_user}"[:15]
    daemon = (
        "import os, time, ctypes\nsees, tells = os.pipe()\n"
        f"if os.fork() == 0:\n    os.setsid()\n    if os.fork() == 0:\n"
        f"        ctypes.CDLL(None).prctl(15, {mark.encode()!r})\n"
        "        print('up', flush=True)\n        os.write(tells, b'.')\n        time.sleep(600)\n"
        "    os._exit(0)\nos.read(sees, 1)\nos._exit(0)"
    )
    said, _ = printed(level, daemon)
    assert said == "up"
    assert mark not in names()


def names() -> set[str]:
    """Of all processes; they may end while they are looked at."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            found.add(file.read_text().strip())
    return found


def parents_of(command: bytes) -> set[int]:
    """Parents of the processes whose command line has ``command``; they may end while they are looked at."""
    found = set()
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            if command in (folder / "cmdline").read_bytes():
                found.add(int((folder / "stat").read_text().rpartition(")")[2].split()[1]))
    return found


@EVERY
def test_a_fork_bomb_and_a_locked_folder_leave_nothing(level: Level) -> None:
    counted = level.own_user or os.geteuid() != 0  # else nothing bounds it, and a busy machine would not come back
    rounds = "iter(int, 1)" if counted else "range(8)"
    process = Process(level, ["script"], {"source": BOMB.format(rounds)}, Limits(1.0), stdout=subprocess.PIPE)
    assert process.read(time.monotonic() + PATIENCE, 0) == (b"", False), process.end()
    time.sleep(0.3)  # it forks
    told = {process.child.pid}
    process.end()
    assert not told & (parents := parents_of(b"import marshal")) and 1 not in parents
    assert process._folder is None or not Path(process._folder).exists()


@EVERY
def test_a_folder_deeper_than_any_path_is_removed(level: Level) -> None:
    deep = "import os\nfor _ in range(2500):\n    os.mkdir('a')\n    os.chdir('a')\nos.chmod('.', 0)\nprint('deep')"
    process = Process(level, ["script"], {"source": deep}, Limits(PATIENCE), stdout=subprocess.PIPE)
    assert process.read(time.monotonic() + PATIENCE, 100)[0] == b"deep\n" and process.end(PATIENCE) == 0
    assert process._folder is None or not Path(process._folder).exists()


BOMB = (
    "import os, time\nos.makedirs('a/b')\nos.chmod('a', 0)\nprint('locked', flush=True)\n"
    "for _ in {}:\n    try: os.fork()\n    except OSError: pass\ntime.sleep(600)"
)


def test_levels_are_chosen_or_refused_in_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    assert choose("limits").kind == "limits" and choose("auto") == working()[0]
    assert working()[0].name in protection()
    with pytest.raises(InputError, match=r"verifier\.check\.isolation=auto"):
        Sandbox("none")
    monkeypatch.setattr(levels, "every_level", lambda: [Level("limits", False)])
    choose.cache_clear()
    with pytest.raises(InputError, match="bubblewrap"):
        Sandbox("strict")
    choose.cache_clear()


def test_programs_that_read_and_print() -> None:
    def ran(source: str, stdin: str = "", seconds: float = PATIENCE) -> tuple[str, str, str]:
        return BOX.run_script(source, stdin, 1000, seconds)

    assert ran("print(sum(map(int, input().split())))", "1 2 3\n")[:2] == ("ended", "6\n")
    assert ran("import sys\nprint(sys.stdin.read()[::-1])\nsys.exit()", "ab")[:2] == ("ended", "ba\n")
    assert ran("if __name__ == '__main__': print(1)")[:2] == ("ended", "1\n")
    assert ran("print(1)\n1 / 0")[0] == "failed" and ran("def (")[0] == "failed"
    assert ran("while True: print('x' * 100)")[0] == "limit"
    assert ran("while True: pass", seconds=0.5)[0] == "limit"
    assert ran("x = 'x' * (1 << 32)")[0] == "limit"
