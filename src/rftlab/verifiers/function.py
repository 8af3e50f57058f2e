"""A function of one's own as the verifier: ours, or a reward function written for TRL."""

from __future__ import annotations

import importlib.util
import inspect
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rftlab.core import InputError, Task, Verdict
from rftlab.verifiers.base import Verifier

HINT = "give verifier.check.function=package.module.function or verifier.check.function=file.py:function"
TOKENS = ("completion_ids", "trainer_state")
"""What TRL passes to reward functions and a verifier does not have."""


class Function(Verifier):
    """Calls a function on every completion, one at a time, in the worker processes.

    Which of two signatures it has is read from its parameter names:

    * ``f(text, task)`` returns a ``Verdict``, a score or true/false. ``task`` is an ``rftlab.core.Task``.
    * ``f(completions, **columns)``, as TRL's GRPOTrainer calls it, returns a list with one score. It gets lists of one
      element: ``completions``, ``prompts`` if it asks for them, and of the columns (the rest of the dataset's row, and
      the gold answer under the name ``answer_column``) those that it names, or all where it takes ``**kwargs``. None
      in the list means that the function does not apply to the task: the rollout is a fault then, no trial.

    A function that compares the completions of a batch with each other cannot be used: it sees them one by one. Tokens
    (``completion_ids``) and the trainer's state are not there. An exception is a fault, never a score of 0.

    Args:
        function: ``package.module.function``, or ``file.py:function``.
        threshold: least score that passes, in (0, 1]; true and false pass and fail by themselves.
        range: the lowest and the highest score that the function returns, mapped linearly to 0 and 1; null = [0, 1]. A
            score outside is a fault.
        messages: TRL's signature only: prompts and completions as lists of chat messages, else as texts.
        answer_column: TRL's signature only: the name under which the gold answer is passed.
        gold: a completion that must pass, {answer} in it: what ``rftlab validate`` tries.
    """

    def __init__(
        self,
        function: str,
        threshold: float = 1.0,
        range: Sequence[float] | None = None,
        messages: bool = False,
        answer_column: str = "answer",
        gold: str = "{answer}",
    ) -> None:
        if not function:
            raise InputError(f"verifier=python needs your function: {HINT}")
        if range is not None and not (len(range) == 2 and all(map(_finite, range)) and range[0] < range[1]):
            raise InputError(
                f"verifier.check.range={list(range)}: wanted two finite numbers, lowest and highest, as in [-1,1]"
            )
        if not 0 < threshold <= 1:
            raise InputError(
                f"threshold={threshold:g}: wanted a score in (0, 1], after the range: verifier.check.threshold=1"
            )
        self.function, self.threshold, self.range = function, threshold, (0.0, 1.0) if range is None else tuple(range)
        self.messages, self.answer_column, self.gold_text = messages, answer_column, gold
        self._load()

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key not in ("_call", "_named")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._load()

    def _load(self) -> None:
        """Finds the function; in a worker once more, as a function of a file cannot be pickled."""
        self._call = _found(self.function)
        parameters = inspect.signature(self._call).parameters
        takes_all = any(p.kind is p.VAR_KEYWORD for p in parameters.values())
        self._named = None if takes_all else frozenset(parameters)
        """Parameters of TRL's signature; None = it takes whatever there is."""
        self.trl = "completions" in parameters
        if inspect.iscoroutinefunction(self._call):
            raise InputError(f"{self.function} is async: wanted a plain function")
        if not self.trl and not {"text", "task"} <= set(parameters):
            raise InputError(
                f"{self.function}({', '.join(parameters)}): wanted f(text, task) or TRL's f(completions, **columns)"
            )
        wanted = [name for name in TOKENS if name in parameters and parameters[name].default is inspect.Parameter.empty]
        if self.trl and wanted:
            raise InputError(f"{self.function} asks for {wanted[0]}, which a verifier does not have: give it a default")

    def grade(self, text: str, task: Task) -> Verdict:
        said = self._trl(text, task) if self.trl else self._call(text=text, task=task)
        if isinstance(said, Verdict):
            return said
        if isinstance(said, bool):
            return Verdict(float(said), said)
        low, high = self.range
        score = float(said)
        if not low <= score <= high:
            raise ValueError(f"score {score:g} is outside of [{low:g}, {high:g}]: set verifier.check.range")
        score = (score - low) / (high - low)
        return Verdict(score, score >= self.threshold)

    def gold(self, task: Task) -> str:
        return self.gold_text.replace("{answer}", task.answer)

    def _trl(self, text: str, task: Task) -> Any:
        given: dict[str, Any] = {key: [value] for key, value in task.meta.items() if key.isidentifier()}
        given[self.answer_column] = [task.answer]
        given["prompts"] = [[dict(m) for m in task.prompt] if self.messages else task.prompt[-1]["content"]]
        given["completions"] = [[{"role": "assistant", "content": text}] if self.messages else text]
        if self._named is not None:
            given = {key: value for key, value in given.items() if key in self._named}
        try:
            inspect.signature(self._call).bind(**given)
        except TypeError as error:
            raise ValueError(f"{error}; this task has {_columns(task.meta, self.answer_column)}") from None
        said = self._call(**given)
        if not isinstance(said, Sequence) or len(said) != 1:
            raise ValueError(f"returned {said!r:.80} for one completion, wanted a list with one score")
        if said[0] is None:
            raise ValueError("returned None: the function does not apply to this task")
        return said[0]


def _finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _columns(meta: Mapping[str, Any], answer: str) -> str:
    return ", ".join(["prompts", "completions", answer, *(key for key in meta if key != answer)])


def _found(spec: str) -> Callable[..., Any]:
    """The function that ``package.module.function`` or ``file.py:function`` names."""
    path, colon, name = spec.rpartition(":")
    try:
        if colon:
            module: Any = _module_of(Path(path))
        else:
            module_name, _, name = spec.rpartition(".")
            module = importlib.import_module(module_name)
        function = getattr(module, name)
    except (Exception, SystemExit) as error:  # a file may end the process where it should only define
        reason = f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
        raise InputError(f"verifier.check.function={spec} cannot be loaded ({reason}): {HINT}") from error
    if not callable(function):
        raise InputError(f"verifier.check.function={spec} is a {type(function).__name__}, no function: {HINT}")
    return function


def _module_of(file: Path) -> Any:
    """The module of a file, which may import what lies beside it."""
    file = file.resolve()
    if not file.is_file():
        raise FileNotFoundError(f"no such file {file}")
    if str(file.parent) not in sys.path:
        sys.path.append(str(file.parent))
    found = importlib.util.spec_from_file_location(f"rftlab_function_{file.stem}", file)
    if found is None or found.loader is None:
        raise ImportError(f"{file.name} is no Python file")
    module = importlib.util.module_from_spec(found)
    sys.modules[found.name] = module  # dataclasses and pickles look a class's module up by name
    found.loader.exec_module(module)
    return module
