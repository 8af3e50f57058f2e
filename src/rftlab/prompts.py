"""From chat messages to prompt tokens, once per task, and the check that they fit."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import TemplateError
from numpy.typing import NDArray

from rftlab import hub, random_models
from rftlab.core import InputError, Task, TaskPool
from rftlab.first_line import first_line

ASSETS = Path(__file__).parent / "assets"

STYLES = ("chat", "plain")
TOKEN = 64
"""Characters that no tokenizer's mean token reaches, in any text."""


def model_source(path: str) -> str:
    """``bundled:<name>`` as a folder of this package, ``random:<name>`` as one of the cache; anything else as it is.

    Before a name on the hub is handed on it is known whether the hub can be reached.
    """
    if random_models.is_random(path):
        return str(random_models.folder(path))
    if not path.startswith("bundled:"):
        if not Path(path).is_dir():
            hub.reachable()
        return path
    folder = ASSETS / path.removeprefix("bundled:")
    if not (folder / "config.json").is_file():
        there = sorted(p.parent.name for p in ASSETS.glob("*/config.json"))
        raise InputError(f"model.path={path}: no such bundled model; bundled are {', '.join(there)}")
    return str(folder)


def _template(file: str) -> str:
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise InputError(f"model.prompt={file}: wanted chat, plain or a file with a Jinja template ({error})") from None


class Prompts:
    """Tokenizer, and how a task's messages become the text that the model sees.

    Args:
        plain: The bare texts, each followed by a line's end, instead of the tokenizer's chat template.
        options: What the template takes beside the messages, e.g. ``{"enable_thinking": False}`` for Qwen3.
    """

    def __init__(self, tokenizer: Any, plain: bool = False, options: Mapping[str, Any] | None = None) -> None:
        self.tokenizer, self.plain, self.options = tokenizer, plain, dict(options or {})
        self._ids: dict[str, NDArray[np.int32]] = {}

    @classmethod
    def of(cls, model: Any) -> Prompts:
        """As the ``model`` group of the configuration says."""
        return cls.load(model.path, model.revision, model.prompt, model.template_options)

    @classmethod
    def load(
        cls, path: str, revision: str | None = None, prompt: str = "chat", options: Mapping[str, Any] | None = None
    ) -> Prompts:
        """``prompt`` is ``chat`` (the tokenizer's own template), ``plain`` or a file with a Jinja template."""
        source = model_source(path)  # its errors speak for themselves, and come before a slow import
        from transformers import AutoTokenizer

        try:
            tokenizer = AutoTokenizer.from_pretrained(source, revision=revision)
        except (OSError, ValueError) as error:
            raise InputError(
                f"model.path={path}: no tokenizer could be loaded ({first_line(error)}); "
                "give a folder or, with a network, a name on the hub"
            ) from error
        if prompt not in STYLES:
            tokenizer.chat_template = _template(prompt)
        elif prompt == "chat" and not tokenizer.chat_template:
            raise InputError(
                f"model.prompt=chat: {path} has no chat template; give model.prompt=plain for the bare texts, or a "
                "template of your own, model.prompt=FILE.jinja"
            )
        return cls(tokenizer, prompt == "plain", options)

    @property
    def pad(self) -> int:
        """Id that fills rows up. Padding is never attended to, so any id does, and every model has this one; a
        tokenizer's own pad token may be missing, or lie beyond the model's vocabulary."""
        return 0

    def ids(self, task: Task) -> NDArray[np.int32]:
        """Prompt tokens int32 [T], up to where the model's answer begins."""
        if task.id not in self._ids:
            self._ids[task.id] = np.asarray(self._tokens([dict(m) for m in task.prompt]), np.int32)
        return self._ids[task.id]

    def _tokens(self, messages: list[dict[str, str]]) -> list[int]:
        if self.plain:
            return self.tokenizer("\n".join(m["content"] for m in messages) + "\n")["input_ids"]
        try:
            return self.tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, return_dict=False, **self.options
            )
        except TemplateError as error:
            roles = ", ".join(m["role"] for m in messages)
            raise InputError(
                f"the chat template does not take messages of {roles} ({first_line(error)}); give model.prompt=plain, "
                "or a template of your own, model.prompt=FILE.jinja"
            ) from error

    def text(self, tokens: NDArray[np.int32]) -> str:
        return self.tokenizer.decode(tokens.tolist(), skip_special_tokens=True)

    def lengths(self, pool: TaskPool) -> NDArray[np.int64]:
        """Tokens int64 [N] of every prompt of a pool."""
        return np.array([len(self.ids(task)) for task in pool.tasks], np.int64)

    def check_fit(
        self, pools: Collection[TaskPool], context: int, max_new_tokens: int, limit: int | None = None
    ) -> None:
        """Raises ``InputError`` when a prompt and its longest completion exceed the context.

        ``limit`` is how far the model's own positions reach; None = not further than ``context``.
        """
        widest = max(context, limit or 0)
        for pool in pools:
            characters = max(sum(len(message["content"]) for message in task.prompt) for task in pool.tasks)
            if characters > TOKEN * widest:  # found before minutes of tokenising
                raise InputError(
                    f"a prompt of {pool.name} has {characters:,} characters, which no context of {widest} tokens "
                    "holds: shorten it or remove its row"
                )
        for pool in pools:
            lengths = self.lengths(pool)
            over = lengths + max_new_tokens > context
            if over.any():
                ways = _ways_to_fit([self.lengths(each) for each in pools], context, max_new_tokens, widest)
                raise InputError(
                    f"{int(over.sum())} of {len(pool)} prompts of {pool.name} do not fit: the longest has "
                    f"{lengths.max()} tokens, + model.max_new_tokens={max_new_tokens} > context {context}; {ways}"
                )


def _ways_to_fit(lengths: list[NDArray[np.int64]], context: int, max_new_tokens: int, widest: int) -> str:
    """Overrides with which all of the pools fit, a context of at most ``widest`` tokens given."""
    longest, most = max(int(own.max()) for own in lengths), context - max_new_tokens
    ways = []
    if longest + max_new_tokens <= widest:
        ways.append(f"give model.context={longest + max_new_tokens}")
    elif longest < widest:
        wider = f"model.context={widest} " if widest > context else ""
        ways.append(f"give {wider}model.max_new_tokens={widest - longest}")
    if all(own.min() <= most for own in lengths):
        ways.append(f"leave those tasks out by model.max_prompt_tokens={most}")
    return ", or ".join(ways) or "shorten the prompts"
