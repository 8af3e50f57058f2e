"""The child's side of the verifier pool: reads items, grades them one by one, answers one line an item.

Requests are pickles (the parent is trusted), replies are lines of JSON: a worker may have run a program that a model
wrote, so nothing that comes back from it is ever unpickled.
"""

from __future__ import annotations

import fcntl
import json
import os
import pickle
import resource
import signal
import threading
import time
from typing import IO

from rftlab.core import Status, Task, Verdict
from rftlab.pipes import private_pipes
from rftlab.verifiers.base import Verifier

OUT_OF_MEMORY = 77
"""Exit code of a worker that met its memory limit."""


def judge(verifier: Verifier, text: str, task: Task) -> tuple[Verdict, str]:
    """The verdict with its time, and the reason if it is a fault ("" otherwise).

    An exception, or a score that is no number in [0, 1], is the grader's failure. ``MemoryError`` is let through: the
    caller decides whose failure that is.
    """
    started = time.perf_counter()
    try:
        said = verifier.grade(text, task)
        answer = None if said.answer is None else str(said.answer)
        verdict = Verdict(float(said.score), bool(said.passed), Status(said.status), answer)
        reason = "" if 0.0 <= verdict.score <= 1.0 else f"score {verdict.score:g} is not in [0, 1]"
    except (MemoryError, KeyboardInterrupt):
        raise
    except BaseException as error:  # a program that calls exit() must not end the run
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:500]  # a line of a table, a terminal, a log
    seconds = time.perf_counter() - started
    if reason:
        return Verdict(0.0, False, Status.FAULT, None, seconds), reason
    return Verdict(verdict.score, verdict.passed, verdict.status, verdict.answer, seconds), ""


def encode(verdict: Verdict, reason: str) -> bytes:
    """One reply line."""
    v = verdict
    return json.dumps([v.score, v.passed, v.status.value, v.answer, v.seconds, reason]).encode() + b"\n"


def decode(line: bytes) -> tuple[Verdict, str]:
    """The verdict and reason of a reply line; ``ValueError`` or ``TypeError`` if it is not one."""
    score, passed, status, answer, seconds, reason = json.loads(line)
    return Verdict(float(score), bool(passed), Status(status), answer, float(seconds)), str(reason)


def main(lifeline: int) -> None:
    """The life of a worker: one pickled (verifier, memory limit), then pickled lists of (text, task) until EOF."""
    die_with_parent(lifeline)
    for stop in (signal.SIGINT, signal.SIGTERM):
        # The parent may want the verdicts of this step before it saves. A handler, unlike SIG_IGN, is not inherited
        # by the programs that a verifier starts.
        signal.signal(stop, lambda *_: None)
    requests, replies = private_pipes()
    try:
        verifier, memory_gib = pickle.load(requests)
        limit_memory(memory_gib)
    except Exception as error:
        send(replies, json.dumps({"error": f"{type(error).__name__}: {error}"}).encode() + b"\n")
        return
    send(replies, b'"ready"\n')
    while True:
        try:
            items = pickle.load(requests)
        except EOFError:
            return
        try:
            for text, task in items:
                send(replies, encode(*judge(verifier, text, task)))
        except MemoryError:
            os._exit(OUT_OF_MEMORY)


def send(replies: IO[bytes], line: bytes) -> None:
    """Writes a line at once: from the silence since the last one the parent tells which item hangs."""
    replies.write(line)
    replies.flush()


def limit_memory(gib: float | None) -> None:
    """Bounds the address space of this process and of every program that it starts."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if gib is not None:
        limit = int(gib * 2**30)
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def die_with_parent(lifeline: int) -> None:
    """Ends this worker and its children as soon as the pipe's only writer, the parent, is gone, also by kill -9.

    On Linux the kernel itself sends SIGKILL to the process group when the pipe closes, so a worker that is stuck
    inside a C extension and never gives the interpreter back dies too. Elsewhere a thread does what it can.
    """

    def watch() -> None:
        os.read(lifeline, 1)
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()
    if hasattr(fcntl, "F_SETSIG"):
        fcntl.fcntl(lifeline, fcntl.F_SETSIG, signal.SIGKILL)
        fcntl.fcntl(lifeline, fcntl.F_SETOWN, -os.getpgrp())
        fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
