"""A grader of programs for tests in which attacks and right programs take turns in one worker."""

from __future__ import annotations

from rftlab.core import Task, Verdict
from rftlab.verifiers.base import Verifier
from rftlab.verifiers.code import Code


class Patient(Verifier):
    """Stops a program soon, but gives those of the task "right" all the time that a busy machine may take for them."""

    runs_candidate = True

    def __init__(self) -> None:
        self.hasty, self.patient = Code(seconds=2.0, memory_gib=0.5), Code(seconds=60.0, memory_gib=0.5)

    def grade(self, text: str, task: Task) -> Verdict:
        return (self.patient if task.id == "right" else self.hasty).grade(text, task)
