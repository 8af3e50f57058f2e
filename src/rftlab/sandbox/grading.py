"""A program against its tests: candidate and judge in a sandbox each, or input and output of a whole program."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from typing import Any

from rftlab.core import InputError
from rftlab.sandbox.levels import CHOICES, Level, choose
from rftlab.sandbox.process import Limits, Process, SandboxError
from rftlab.sandbox.script import OUT_OF_MEMORY
from rftlab.sandbox.watched import watched

OUT_OF_LIMITS = {128 + signal.SIGKILL, 128 + signal.SIGXCPU, 128 + signal.SIGXFSZ, OUT_OF_MEMORY}
"""Exit codes of a program that met a limit. It can end itself so; that gains nothing."""
MAX_VERDICT = 1 << 16
START_SECONDS = 1.0
"""A sandbox that was given less and did not come up in it is no fault."""
EXIT_SECONDS = 2.0
"""From the end of a program's output to its exit code."""


@dataclass(frozen=True)
class UnitTests:
    """What the judge runs.

    Attributes:
        source: assertions, in Python; names that neither they nor ``setup`` define are the candidate's.
        setup: run before them, on the judge's side too.
        remote: names that are the candidate's although ``setup`` defines them.
        values: JSON data that the assertions find under these names.
    """

    source: str
    setup: str = ""
    remote: tuple[str, ...] = ()
    values: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Outcome:
    """What became of a program."""

    kind: str
    """passed, failed, limit (it took too much)."""
    share: float
    """Of its tests that hold, [0, 1]."""
    why: str = ""


@dataclass(frozen=True)
class Sandbox:
    """How programs are run. Plain data; the level is found in the process that grades."""

    isolation: str = "auto"
    limits: Limits = field(default_factory=Limits)
    packages: bool = False

    def __post_init__(self) -> None:
        if self.isolation not in CHOICES:
            raise InputError(
                f"verifier.check.isolation={self.isolation}: wanted one of {', '.join(CHOICES)}, "
                "verifier.check.isolation=auto"
            )
        if self.isolation == "strict":
            choose("strict")  # refused before a model loads

    @property
    def level(self) -> Level:
        return choose(self.isolation)

    def run_tests(self, source: str, tests: UnitTests, partial: bool = False) -> Outcome:
        """The program ``source`` against ``tests``; with ``partial``, past the first failure.

        Raises ``SandboxError`` where the sandbox or the tests fail: that is not the candidate's doing.
        """
        deadline = time.monotonic() + self.limits.wall
        code, assertions = _tests_code(tests.source, partial)
        job = {
            "tests": code,
            "assertions": assertions,
            "setup": tests.setup,
            "remote": tests.remote,
            "values": tests.values,
        }
        ours, theirs = socket.socketpair()
        with ours, theirs, contextlib.ExitStack() as stack:
            # The judge first, for a program may take the whole machine.
            judge = self._start(["codec", "judge"], job, channel=ours.fileno(), place=1, stdout=subprocess.PIPE)
            stack.callback(judge.end)
            candidate = self._start(["codec", "serve"], {"source": source}, channel=theirs.fileno())
            stack.callback(candidate.end)
            ours.close()
            theirs.close()
            said, ended = judge.read(deadline, MAX_VERDICT)
            judge.end(EXIT_SECONDS if ended else 0.0)
            line = said.rpartition(b"begun\n")[2]
            verdict = json.loads(line) if ended and line else None
            exited = verdict is not None and verdict["outcome"] == "ended"
            code = candidate.end(EXIT_SECONDS if exited else 0.0)
        if not (judge.started and candidate.started):
            raise SandboxError(f"the sandbox did not start ({self.level.name}): {judge.trouble} {candidate.trouble}")
        if verdict is None and not said:
            raise SandboxError(f"the judge ended before its tests began, exit code {judge.code}")
        if verdict is None:
            return Outcome("limit", 0.0, "its values are too much for the judge" if ended else "out of time")
        if verdict["outcome"] == "fault":
            raise SandboxError(f"the tests cannot be run: {verdict['why']}")
        kind = verdict["outcome"] if not exited else "limit" if code in OUT_OF_LIMITS else "failed"
        return Outcome(kind, verdict["share"], verdict["why"])

    def _start(self, modules: list[str], job: dict[str, Any], **options: Any) -> Process:
        try:
            return Process(self.level, modules, job, self.limits, packages=self.packages, **options)
        except OSError as error:
            raise SandboxError(f"the sandbox cannot be started: {error}") from error

    def run_script(self, source: str, stdin: str, most: int, seconds: float) -> tuple[str, str, str]:
        """The program ``source`` with ``stdin``: ("ended" | "failed" | "limit", at most ``most`` bytes of what it
        printed, why)."""
        with tempfile.TemporaryFile() as given:
            given.write(stdin.encode(errors="surrogateescape"))
            given.seek(0)
            deadline, ended = time.monotonic() + seconds, False
            process = self._start(["script"], {"source": source}, stdin=given, stdout=subprocess.PIPE)
            try:
                said, ended = process.read(deadline, most)
            finally:
                code = process.end(EXIT_SECONDS if ended else 0.0)
        if not process.started and not ended and not process.trouble and seconds < START_SECONDS:
            return "limit", "", "no time left"
        if not process.started:
            raise SandboxError(f"the sandbox did not start ({self.level.name}): {process.trouble}")
        text = said.decode(errors="replace")
        if not ended:
            return "limit", text, "out of time" if len(said) < most else f"over {most:,} bytes of output"
        if code in OUT_OF_LIMITS:
            return "limit", text, "out of memory or time"
        return ("failed", text, f"exit code {code}") if code else ("ended", text, "")


def _tests_code(source: str, partial: bool) -> tuple[str, int]:
    if not partial:
        return source, 1
    try:
        return watched(source)
    except (SyntaxError, ValueError) as error:
        raise SandboxError(f"the tests cannot be read: {error}") from error
