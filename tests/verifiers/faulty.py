"""Verifiers that misbehave in the ways that real ones do. The text of a completion says what happens to it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

from rftlab.core import Status, Task, Verdict
from rftlab.verifiers.base import Verifier


class Faulty(Verifier):
    def grade(self, text: str, task: Task) -> Verdict:
        match text.split():
            case ["sleep", seconds]:
                time.sleep(float(seconds))
            case ["backtrack"]:  # holds the interpreter: neither a thread nor an alarm handler would get a turn
                re.match(r"(a+)+b", "a" * 64)
            case ["raise"]:
                raise KeyError("no such column")
            case ["exit"]:
                sys.exit(3)
            case ["crash"]:
                os._exit(9)
            case ["eat"]:
                hoard = []
                while True:
                    hoard.append(bytearray(2**24))
            case ["score", value]:
                return Verdict(float(value), True)
            case ["none"]:
                return None  # type: ignore[return-value]
            case ["print"]:
                print("0.0, is this the verdict?", flush=True)
                os.write(1, b"[1.0, true]\n")
            case ["read"]:
                return Verdict(1.0, not sys.stdin.read())
            case ["torch"]:
                return Verdict(1.0, "torch" in sys.modules)
            case ["pid"]:
                return Verdict(1.0, True, answer=str(os.getpid()))
            case ["child", where]:  # leaves a program behind and hangs
                child = subprocess.Popen(["sleep", "600"])
                Path(where).write_text(f"{os.getpid()} {child.pid}")
                time.sleep(600)
            case ["unparsable"]:
                return Verdict(0.0, False, Status.UNPARSABLE)
        return Verdict(1.0, True, answer=text)


class FaultyProgram(Faulty):
    runs_candidate = True


class FaultyAtHome(Faulty):
    trusted = True


class Unloadable(Verifier):
    def __reduce__(self) -> tuple[type[Unloadable], tuple[int]]:
        return Unloadable, (1,)  # takes no argument: unpickling fails
