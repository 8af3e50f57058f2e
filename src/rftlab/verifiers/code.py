"""The completion must hold a Python program that passes the task's tests."""

from __future__ import annotations

import time

from rftlab.core import InputError, Status, Task, Verdict
from rftlab.sandbox.grading import Outcome, Sandbox
from rftlab.sandbox.process import Limits
from rftlab.verifiers import attacks
from rftlab.verifiers.base import Verifier
from rftlab.verifiers.program import (
    defined_in,
    names_wanted,
    program_in,
    reference,
    same_output,
    streams_of,
    unit_tests,
)

SPARE_SECONDS = 5.0
"""Beside its time limit, for starting and ending its processes."""
SHOWN = 2000
"""Characters of the program that the verdict keeps."""
STATUS = {"passed": Status.OK, "failed": Status.OK, "limit": Status.TIMEOUT}


class Code(Verifier):
    """Runs the program of a completion in a sandbox, against the tests of its task.

    Unit tests run in a process of their own, which asks the program's process for values and compares them itself
    (``rftlab.sandbox.judge``): a program can print, patch or exit as it likes, only right values pass. Programs that
    read standard input are compared by what they print. The program is the last block fenced as Python; for unit tests
    the last that defines what they call, so that an example of its use may follow. Python 3, this interpreter.

    Args:
        seconds: CPU time of each process of a program; all of its tests together may take twice that by the clock.
        memory_gib: address space of each of its processes.
        isolation: auto = the best that works here; strict = no network and no files, or an error; limits = only time,
            memory, processes.
        packages: whether the packages installed beside rftlab are importable.
        partial: the score is the share of tests (assertions, or pairs of input and output) that hold, instead of 1 for
            all and 0 else. The accuracy is all of them either way.
        tolerance: difference, absolute or relative, that numbers in a printed output may have; null = none.
    """

    runs_candidate = True

    def __init__(
        self,
        seconds: float = 10.0,
        memory_gib: float = 1.0,
        isolation: str = "auto",
        packages: bool = False,
        partial: bool = False,
        tolerance: float | None = None,
    ) -> None:
        if not seconds > 0:
            raise InputError(f"{seconds:g} s for a program: wanted more than 0, verifier.check.seconds=10")
        if not memory_gib >= 0.125:
            raise InputError(f"{memory_gib:g} GiB for a program: wanted at least 0.125, verifier.check.memory_gib=1")
        if tolerance is not None and not 0 <= tolerance < float("inf"):
            raise InputError(f"a tolerance of {tolerance}: wanted a number >= 0, verifier.check.tolerance=1e-6")
        self.sandbox = Sandbox(isolation, Limits(float(seconds), float(memory_gib)), packages)
        self.partial, self.tolerance = partial, tolerance

    def limits(self, deadline: float, memory_gib: float | None) -> tuple[float, float | None]:
        limits = self.sandbox.limits
        if deadline < limits.wall + SPARE_SECONDS:
            raise InputError(
                f"verifier.pool.deadline={deadline:g} is too short for verifier.check.seconds={limits.seconds:g} "
                f"(twice that by the clock): wanted verifier.pool.deadline={limits.wall + SPARE_SECONDS:g} or more"
            )
        if memory_gib is not None and memory_gib < limits.memory_gib:
            raise InputError(
                f"verifier.pool.memory_gib={memory_gib:g} bounds programs below verifier.check.memory_gib="
                f"{limits.memory_gib:g}: wanted verifier.pool.memory_gib={limits.memory_gib:g} or more"
            )
        return deadline, memory_gib

    def grade(self, text: str, task: Task) -> Verdict:
        program = program_in(text, str(task.meta.get("starter", "")), names_wanted(task.meta))
        if program is None:
            return Verdict(0.0, False, Status.UNPARSABLE)
        tests = unit_tests(task.meta)
        if tests is not None:
            outcome = self.sandbox.run_tests(program, tests, self.partial)
        else:
            outcome = self._run_streams(program, task)
        passed = outcome.kind == "passed"
        score = outcome.share if self.partial else float(passed)
        return Verdict(score, passed, STATUS[outcome.kind], program[:SHOWN])

    def _run_streams(self, program: str, task: Task) -> Outcome:
        cases = streams_of(task.meta)
        end = time.monotonic() + self.sandbox.limits.wall
        right, worst = 0, "failed"
        for stdin, wanted in cases:
            most = 2 * len(wanted.encode(errors="replace")) + 4096
            how, said, _ = self.sandbox.run_script(program, stdin, most, end - time.monotonic())
            if how == "ended" and same_output(said, wanted, self.tolerance):
                right += 1
                continue
            if how == "limit":
                worst = "limit"
            if not self.partial or time.monotonic() > end:
                break
        return Outcome("passed" if right == len(cases) else worst, right / len(cases))

    def gold(self, task: Task) -> str:
        known = reference(task.meta)
        return fenced(task.answer if known is None else known)

    def wrong(self, task: Task) -> list[str]:
        """Nothing, prose, broken syntax, and two of the programs that attack the grader: others for the next task."""
        tries = self.attacks(task)
        first = 2 * task.index
        turn = [tries[i % len(tries)] for i in (first, first + 1)] if tries else []
        return ["", "I would rather not.", "```python\n```", fenced("def (:"), *map(fenced, turn)]

    def attacks(self, task: Task) -> list[str]:
        """Programs that must fail: they attack the grader instead of solving the task."""
        tests = unit_tests(task.meta)
        if tests is None:
            printed = [wanted.strip() for _, wanted in streams_of(task.meta)]
            return [] if {"", attacks.BOAST} & set(printed) else attacks.scripts()
        known = reference(task.meta) or task.answer
        names = [str(task.meta["entry_point"])] if "entry_point" in task.meta else defined_in(known)
        return attacks.modules(known, names, tests.source)

    def alike(self, task: Task) -> list[str]:
        """The reference in one of these dresses, in turn: after another block and with an example's output behind it,
        with other fences, other line ends, no last fence, before an example of its use."""
        gold = self.gold(task)
        dressed = [
            f"{fenced('raise SystemExit')}\nThat was wrong. Better:\n{gold}\nIt prints\n```text\n4\n```\n",
            gold.replace("```", "~~~").replace("~~~python", "~~~ py"),
            gold.replace("\n", "\r\n"),
            gold.removesuffix("\n```"),
        ]
        if names_wanted(task.meta):
            dressed.append(f"{gold}\nAn example:\n{fenced('assert True')}")
        return [dressed[task.index % len(dressed)]]


def fenced(program: str) -> str:
    return f"```python\n{program.strip(chr(10)).rstrip()}\n```"
