"""What a verifier is. Everything about processes and deadlines is in ``pool.py``."""

from __future__ import annotations

from rftlab.core import Task, Verdict


class Verifier:
    """Grades one completion of one task. Built from its YAML, pickled into worker processes."""

    runs_candidate: bool = False
    """True when grading executes the completion (a program): running out of time or memory is then the candidate's
    own doing, a failed trial (``Status.TIMEOUT``, score 0). False: it is the grader's failure, ``Status.FAULT``."""
    trusted: bool = False
    """True when grading is a bounded string comparison that cannot hang: it runs in the calling process."""

    def runs(self, task: Task) -> bool:
        """``runs_candidate`` for this task: the same for all, but for a verifier that hands tasks to others."""
        return self.runs_candidate

    def limits(self, deadline: float, memory_gib: float | None) -> tuple[float, float | None]:
        """Seconds and GiB that the pool gives to one completion, from those configured; None = no bound."""
        return deadline, memory_gib

    def grade(self, text: str, task: Task) -> Verdict:
        """The verdict on ``text``. An exception becomes ``Status.FAULT`` in the pool."""
        raise NotImplementedError

    def gold(self, task: Task) -> str:
        """A completion that must pass: the gold answer, dressed as this verifier expects answers."""
        return task.answer

    def wrong(self, task: Task) -> list[str]:
        """Completions near the gold one that must not pass. Used by ``rftlab validate``."""
        return []

    def alike(self, task: Task) -> list[str]:
        """Completions that state the gold answer in another way and must pass. Used by ``rftlab validate``."""
        return []
