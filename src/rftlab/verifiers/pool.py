"""The parent's side of verification: worker processes that can be killed, and a deadline that they cannot stretch.

A worker answers item by item, so its silence since the last answer is the time of the item in hand. When that
exceeds the deadline, or the worker dies, that item is settled, the worker is replaced, and the items behind it go to
whoever is free. Threads and alarms inside the grader cannot do this: neither interrupts a C extension.
"""

from __future__ import annotations

import contextlib
import json
import os
import pickle
import selectors
import signal
import subprocess
import sys
import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from rftlab.core import InputError, Status, Task, Verdict
from rftlab.verifiers.base import Verifier
from rftlab.verifiers.worker import OUT_OF_MEMORY, decode, judge

Item = tuple[str, Task]

START_LIMIT = 60.0
"""Seconds within which a worker must report ready."""
START_TRIES = 3
"""Failed starts in a row before the pool gives up."""
POLL_SECONDS = 0.5
"""Longest wait between two looks at whether the run was asked to stop."""
MAX_CHUNK = 64
"""Items handed out at once: enough to hide the cost of a message, few enough that little waits behind a hang."""

# The parent's import path, and no import of the parent's main module (which may load torch).
BOOT = "import sys; sys.path[:] = sys.argv[2:]; from rftlab.verifiers.worker import main; main(int(sys.argv[1]))"
# One thread each: the pool is the parallelism, and idle arithmetic threads would count against the memory limit.
# Equal hash seeds, so that what a verifier makes anew is the same in every worker and where the task was made.
ENVIRONMENT = {"PYTHONHASHSEED": "0", "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}


class Worker:
    """A child process as the parent sees it."""

    def __init__(self, first_message: bytes) -> None:
        # Nothing is ever written: it closes when this process ends, however it ends. One a worker, because the signal
        # that the kernel then sends belongs to the pipe and not to the descriptor.
        lifeline, self._held = os.pipe()
        command = [sys.executable, "-P", "-c", BOOT, str(lifeline), *(os.path.abspath(p) for p in sys.path)]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            pass_fds=[lifeline],
            start_new_session=True,  # Ctrl-C at the terminal is the parent's; a kill reaches the worker's children
            env=os.environ | ENVIRONMENT,
        )
        os.close(lifeline)
        self.ready = False
        self.hand: deque[int] = deque()
        """Positions of the items it was given and has not answered; the first is the one being graded."""
        self.since = time.monotonic()
        """When it last showed life: start, hand-out or answer."""
        self._tail = b""
        self.accepts(first_message)  # one that died at once is seen when its output is read

    def write(self, message: bytes) -> None:
        assert self.process.stdin is not None
        view = memoryview(message)
        while view:  # an unbuffered pipe may take only a part
            view = view[self.process.stdin.write(view) :]
        self.since = time.monotonic()

    def accepts(self, message: bytes) -> bool:
        """Writes ``message``; False = it is dead. After a kill the pipe may outlive its first thread."""
        if self.process.poll() is not None:
            return False
        try:
            self.write(message)
        except BrokenPipeError:
            return False
        return True

    @property
    def output(self) -> int:
        assert self.process.stdout is not None
        return self.process.stdout.fileno()

    def read(self) -> list[bytes] | None:
        """The complete lines that have come; None = it is dead."""
        block = os.read(self.output, 1 << 16)
        if not block:
            return None
        self.since = time.monotonic()
        *lines, self._tail = (self._tail + block).split(b"\n")
        return lines

    def end(self) -> int:
        """Kills it and every process that it has started; returns its exit code (negative: the signal)."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.process.pid, signal.SIGKILL)
        code = self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        os.close(self._held)
        return code


class VerifierPool:
    """Grades completions. For one caller at a time; use as a context manager or call ``close``.

    Args:
        verifier: built once, pickled into every worker: its class must live in an importable module. A ``trusted``
            one is called in this process and no worker is started.
        workers: processes.
        deadline: seconds of wall clock that one item may take.
        memory_gib: bound on a worker's address space; None = no bound.
        poll: called while waiting for verdicts, a few times a second; may raise to stop.
    """

    def __init__(
        self,
        verifier: Verifier,
        workers: int = 2,
        deadline: float = 10.0,
        memory_gib: float | None = None,
        poll: Callable[[], None] = lambda: None,
    ) -> None:
        if workers < 1:
            raise InputError(f"{workers} verifier workers: wanted at least 1, verifier.pool.workers=2")
        if not deadline > 0:
            raise InputError(f"a verifier deadline of {deadline:g} s: wanted more than 0, verifier.pool.deadline=10")
        if memory_gib is not None and memory_gib < 0.25:
            raise InputError(f"{memory_gib:g} GiB for a verifier: wanted at least 0.25, verifier.pool.memory_gib=2")
        self.verifier, self.poll = verifier, poll
        self.deadline = deadline
        self.reasons: dict[int, str] = {}
        """Of the last call of ``grade``: position -> why that item is a fault or was stopped."""
        self.replaced = 0
        """Workers replaced so far."""
        self._failed_starts = 0
        self._first_message = b"" if verifier.trusted else _pickled(verifier, memory_gib)
        self._selector = selectors.DefaultSelector()
        self._workers: list[Worker] = []
        for _ in range(0 if verifier.trusted else workers):
            self._start()

    def __enter__(self) -> VerifierPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Ends the workers; a second call does nothing."""
        for worker in list(self._workers):
            self._end(worker)
        self._selector.close()

    def grade(self, items: Sequence[Item]) -> list[Verdict]:
        """One verdict per (text, task), in order."""
        self.reasons = {}
        if self.verifier.trusted:
            judged = [judge(self.verifier, text, task) for text, task in items]
            self.reasons = {i: reason for i, (_, reason) in enumerate(judged) if reason}
            return [verdict for verdict, _ in judged]
        verdicts: dict[int, Verdict] = {}
        waiting = deque(range(len(items)))
        try:
            while len(verdicts) < len(items):
                self._hand_out(items, waiting)
                self._collect(items, verdicts, waiting)
        finally:  # after an exception, what a worker still answers belongs to no one
            for worker in [w for w in self._workers if w.hand]:
                self._replace(worker)
        return [verdicts[i] for i in range(len(items))]

    def _hand_out(self, items: Sequence[Item], waiting: deque[int]) -> None:
        """Gives every idle worker a chunk; chunks shrink towards the end so that all workers finish together."""
        for worker in [w for w in self._workers if w.ready and not w.hand]:
            size = max(1, min(MAX_CHUNK, len(waiting) // (2 * len(self._workers))))
            chunk = [waiting.popleft() for _ in range(min(size, len(waiting)))]
            if not chunk:
                return
            if worker.accepts(pickle.dumps([items[i] for i in chunk])):
                worker.hand.extend(chunk)
            else:  # it died while idle: no item's doing
                waiting.extendleft(reversed(chunk))
                self._replace(worker)

    def _collect(self, items: Sequence[Item], verdicts: dict[int, Verdict], waiting: deque[int]) -> None:
        """Waits for answers, at most until the next deadline; settles items whose worker is dead or overdue."""
        busy = [w for w in self._workers if w.hand or not w.ready]
        next_deadline = min((w.since + self._limit(w) for w in busy), default=time.monotonic())
        self.poll()
        answered = self._selector.select(min(POLL_SECONDS, max(0.0, next_deadline - time.monotonic())))
        for key, _ in answered:
            self._take(key.data, items, verdicts, waiting)
        for worker in [w for w in self._workers if w.hand or not w.ready]:
            if time.monotonic() - worker.since > self._limit(worker):
                self._bury(worker, f"no verdict within {self._limit(worker):g} s", items, verdicts, waiting)

    def _limit(self, worker: Worker) -> float:
        return self.deadline if worker.ready else START_LIMIT

    def _take(self, worker: Worker, items: Sequence[Item], verdicts: dict[int, Verdict], waiting: deque[int]) -> None:
        """Reads what ``worker`` has to say."""
        lines = worker.read()
        if lines is None:
            self._bury(worker, "", items, verdicts, waiting)
            return
        for line in lines:
            if not worker.ready:
                self._greet(worker, line)
                continue
            try:
                verdict, reason = decode(line)
                position = worker.hand.popleft()
            except (ValueError, TypeError, IndexError):
                self._bury(worker, "the worker's answer was garbled", items, verdicts, waiting)
                return
            verdicts[position] = verdict
            if reason:
                self.reasons[position] = reason

    def _greet(self, worker: Worker, line: bytes) -> None:
        """The first line of a worker: ready, or why it cannot be."""
        said: Any = json.loads(line)
        if said != "ready":
            raise InputError(
                f"verifier {type(self.verifier).__qualname__} cannot work in a worker process ({said['error']}): "
                "its module must be importable, and verifier.pool.memory_gib settable (null = no bound)"
            )
        worker.ready = True
        self._failed_starts = 0

    def _bury(
        self, worker: Worker, why: str, items: Sequence[Item], verdicts: dict[int, Verdict], waiting: deque[int]
    ) -> None:
        """Replaces a dead or overdue worker, settles the item it was at, and puts the others back in front."""
        code = self._replace(worker)
        if not worker.ready:
            self._failed_starts += 1
            if self._failed_starts >= START_TRIES:
                raise RuntimeError(f"verifier workers do not start: {why or f'exit code {code}'}, {START_TRIES} times")
        if not worker.hand:
            return
        guilty, *others = worker.hand
        worker.hand.clear()
        waiting.extendleft(reversed(others))
        # The contract of Status: what a candidate's own program does to the worker is a failed trial, or it would pay.
        status = Status.TIMEOUT if self.verifier.runs(items[guilty][1]) else Status.FAULT
        verdicts[guilty] = Verdict(0.0, False, status, None, time.monotonic() - worker.since)
        self.reasons[guilty] = why or ("out of memory" if code == OUT_OF_MEMORY else f"worker died, exit code {code}")

    def _start(self) -> None:
        worker = Worker(self._first_message)
        self._workers.append(worker)
        self._selector.register(worker.output, selectors.EVENT_READ, worker)

    def _end(self, worker: Worker) -> int:
        self._workers.remove(worker)
        self._selector.unregister(worker.output)
        return worker.end()

    def _replace(self, worker: Worker) -> int:
        code = self._end(worker)
        self._start()
        self.replaced += 1
        return code


def _pickled(verifier: Verifier, memory_gib: float | None) -> bytes:
    try:
        return pickle.dumps((verifier, memory_gib))
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(
            f"verifier {type(verifier).__qualname__} cannot be sent to a worker process ({error}): define its class at "
            "the top of an importable module and keep only plain data in it"
        ) from error


def build_pool(cfg: Any, poll: Callable[[], None] = lambda: None) -> VerifierPool:
    """The pool of a ``verifier`` group: ``check`` is instantiated, ``pool`` holds workers, deadline and memory_gib."""
    from rftlab import targets

    verifier = targets.build("verifier.check", cfg.check, Verifier)
    deadline, memory_gib = verifier.limits(cfg.pool.deadline, cfg.pool.memory_gib)
    return VerifierPool(verifier, cfg.pool.workers, deadline, memory_gib, poll)
