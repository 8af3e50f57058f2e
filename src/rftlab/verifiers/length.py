"""A completion loses score as it nears its longest allowed length."""

from __future__ import annotations

from rftlab.core import InputError, Task, Verdict
from rftlab.verifiers.base import Verifier


class Length(Verifier):
    """The soft overlong punishment of DAPO (arXiv:2503.14476, eq. 13) as a score in [0, 1], in characters.

    With n the characters of the completion, L = ``max_chars`` and c = ``buffer_chars``:

        score = 1                 if n <= L - c
                (L - n) / c       if L - c < n <= L
                0                 if n > L

    which is the paper's R_length + 1. It passes what is no longer than L. The paper counts tokens and this counts
    characters, as a verifier sees the text alone: choose L from the characters of the longest completions, not by
    ``max_new_tokens``. As a part of ``composite`` beside an answer of weight 2, a weight of 1 is the paper's
    proportion (its answer is worth -1 or 1, this one 0 or 1).

    Args:
        max_chars: L, characters of the longest completion that passes.
        buffer_chars: c, characters before that over which the score falls.
    """

    trusted = True

    def __init__(self, max_chars: int = 8000, buffer_chars: int = 2000) -> None:
        if not 0 < buffer_chars <= max_chars:
            raise InputError(
                f"max_chars={max_chars} and buffer_chars={buffer_chars}: wanted 0 < buffer_chars <= max_chars, "
                f"verifier.check.buffer_chars={max(1, max_chars // 4)}"
            )
        self.max_chars, self.buffer_chars = max_chars, buffer_chars

    def grade(self, text: str, task: Task) -> Verdict:
        left = self.max_chars - len(text)
        return Verdict(min(1.0, max(0.0, left / self.buffer_chars)), left >= 0)

    def wrong(self, task: Task) -> list[str]:
        return [task.answer + "…" * (self.max_chars + 1)]
