"""From chat messages to prompt tokens, once per task, and the check that they fit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rftlab import random_models
from rftlab.core import InputError, Task, TaskPool

ASSETS = Path(__file__).parent / "assets"

TOKEN = 64
"""Characters that no tokenizer's mean token reaches, in any text."""


def model_source(path: str) -> str:
    """``bundled:<name>`` as a folder of this package, ``random:<name>`` as one of the cache; anything else as it is."""
    if random_models.is_random(path):
        return str(random_models.folder(path))
    if not path.startswith("bundled:"):
        return path
    folder = ASSETS / path.removeprefix("bundled:")
    if not (folder / "config.json").is_file():
        there = sorted(p.parent.name for p in ASSETS.glob("*/config.json"))
        raise InputError(f"model.path={path}: no such bundled model; bundled are {', '.join(there)}")
    return str(folder)


def first_line(error: Exception) -> str:
    """What an error says, in one line; its name when it says nothing."""
    return next(iter(str(error).splitlines()), type(error).__name__)


class Prompts:
    """Tokenizer, chat template, stop tokens."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self._ids: dict[str, NDArray[np.int32]] = {}

    @classmethod
    def load(cls, path: str, revision: str | None = None) -> Prompts:
        from transformers import AutoTokenizer

        source = model_source(path)
        try:
            return cls(AutoTokenizer.from_pretrained(source, revision=revision))
        except (OSError, ValueError) as error:
            raise InputError(
                f"model.path={path}: no tokenizer could be loaded ({first_line(error)}); "
                "give a folder or, with a network, a name on the hub"
            ) from error

    @property
    def pad(self) -> int:
        """Id of the padding token; any id does, padding is never attended to."""
        return self.tokenizer.pad_token_id if self.tokenizer.pad_token_id is not None else 0

    def ids(self, task: Task) -> NDArray[np.int32]:
        """Prompt tokens int32 [T]: the chat template with the generation prompt, or the bare texts without one."""
        if task.id not in self._ids:
            messages = [dict(m) for m in task.prompt]
            if self.tokenizer.chat_template:
                tokens = self.tokenizer.apply_chat_template(messages, add_generation_prompt=True, return_dict=False)
            else:
                tokens = self.tokenizer("\n".join(m["content"] for m in messages) + "\n")["input_ids"]
            self._ids[task.id] = np.asarray(tokens, np.int32)
        return self._ids[task.id]

    def text(self, tokens: NDArray[np.int32]) -> str:
        return self.tokenizer.decode(tokens.tolist(), skip_special_tokens=True)

    def lengths(self, pool: TaskPool) -> NDArray[np.int64]:
        """Tokens int64 [N] of every prompt of a pool."""
        return np.array([len(self.ids(task)) for task in pool.tasks], np.int64)

    def check_fit(self, pool: TaskPool, context: int, max_new_tokens: int) -> None:
        """Raises ``InputError`` when a prompt and its longest completion exceed the context."""
        characters = max(sum(len(message["content"]) for message in task.prompt) for task in pool.tasks)
        if characters > TOKEN * context:  # found before minutes of tokenising
            raise InputError(
                f"a prompt of {pool.name} has {characters:,} characters, which no context of {context} tokens holds: "
                "shorten it or remove its row"
            )
        lengths = self.lengths(pool)
        over = lengths + max_new_tokens > context
        if over.any():
            room = context - int(lengths.max())
            lower = f"lower model.max_new_tokens to {room}, " if room > 0 else ""
            raise InputError(
                f"{int(over.sum())} of {len(pool)} prompts of {pool.name} do not fit: the longest has {lengths.max()} "
                f"tokens, + model.max_new_tokens={max_new_tokens} > context {context}; {lower}shorten the prompts, "
                f"or leave those tasks out by model.max_prompt_tokens={max(1, context - max_new_tokens)}"
            )
