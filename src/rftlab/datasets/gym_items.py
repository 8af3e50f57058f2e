"""Items of the package ``reasoning_gym`` by family, parameters, seed and index: built anew wherever one is needed."""

from __future__ import annotations

import ast
import contextlib
import dataclasses
import importlib
import io
import json
import random
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from rftlab.core import InputError
from rftlab.first_line import first_line
from rftlab.nearest import nearest

STREAM = 10_000
"""Items of a family, its parameters and a seed: more makes some families slow to start, or fails."""
OWN = ("seed", "size")
"""Parameters that every family has and that are set here."""
EVALUATED = ("binary_matrix", "n_queens", "spiral_matrix", "string_insertion")
"""Families that call ``eval`` on an answer, to see whether it is a list."""
FORMULAS = ("countdown", "intermediate_integration", "polynomial_multiplication", "puzzle24", "simple_integration")
"""Families that hand an answer to sympy's parser, which calls ``eval``."""

NUMBERS = ("complex_arithmetic",)
"""Families that hold any text with a NaN in it for right, as min(1, NaN) is 1."""

_FUNCTIONS = ("Abs", "acos", "asin", "atan", "cos", "cosh", "cot", "exp", "log", "sin", "sinh", "sqrt", "tan", "tanh")
_ARITHMETIC = (
    *(ast.Expression, ast.BinOp, ast.UnaryOp, ast.Add, ast.Sub, ast.Mult, ast.Div, ast.Pow, ast.UAdd, ast.USub),
    *(ast.Constant, ast.Name, ast.Load, ast.Call),
)
# Where a family keeps an example of a right answer when it stores no answer.
_EXAMPLES = {
    "graph_color": lambda metadata: json.dumps(metadata["possible_answer"]),
    "propositional_logic": lambda metadata: metadata["example_answer"],
    "rubiks_cube": lambda metadata: metadata["example_correct_answer"],
}


def families() -> dict[str, type]:
    """Every family with the dataclass of its parameters."""
    try:
        from reasoning_gym.factory import DATASETS
    except ImportError:
        raise InputError('the package reasoning-gym is missing: pip install "reasoning-gym>=0.1.25"') from None
    return {name: config for name, (_, config) in sorted(DATASETS.items()) if name != "composite"}


def check(family: str, parameters: Mapping[str, Any]) -> None:
    """``InputError`` unless the family is there and takes these parameters."""
    known = families()
    if family not in known:
        guess = nearest(family, known)
        hint = f"did you mean {guess}?" if guess else f"there are {', '.join(known)}"
        raise InputError(f"dataset.families.{family}: reasoning_gym has no such family; {hint}")
    there = [field.name for field in dataclasses.fields(known[family]) if field.name not in OWN]
    for name in parameters:
        if name not in there:
            guess = nearest(name, there)
            hint = f"did you mean {guess}?" if guess else f"it has {', '.join(there) or 'none'}"
            own = "; use dataset.seed, dataset.train_size" if name in OWN else ""
            raise InputError(f"dataset.families.{family}.{name}: no such parameter; {hint}{own}")
    try:
        source(family, parameters, 0)
    except Exception as error:  # families assert, raise ValueError, or stumble over a wrong type
        raise InputError(
            f"dataset.families.{family}={dict(parameters)}: the family refuses it, {first_line(error)}"
        ) from None


def source(family: str, parameters: Mapping[str, Any], seed: int) -> Any:
    """The family's own object, which makes items by index and scores answers."""
    return _source(family, json.dumps(parameters, sort_keys=True), seed)


def item(family: str, parameters: Mapping[str, Any], seed: int, index: int) -> Mapping[str, Any]:
    """``question``, ``answer`` (text, None where the family knows none) and ``metadata`` of one item.

    The same in all processes of equal hashes: some families go by the order of a set of texts.
    """
    return _item(family, json.dumps(parameters, sort_keys=True), seed, index)


def score(family: str, parameters: Mapping[str, Any], seed: int, index: int, answer: str) -> float:
    """What the family says of an answer, in [0, 1].

    Nothing in the answer is executed: families that would are given a parser of literals, or answers in which only
    arithmetic and elementary functions stand. Scores that are no number in [0, 1] count as 0.
    """
    if (family in FORMULAS and not _is_arithmetic(answer)) or (family in NUMBERS and "nan" in answer.casefold()):
        return 0.0
    said = float(source(family, parameters, seed).score_answer(answer, item(family, parameters, seed, index)))
    return said if 0.0 <= said <= 1.0 else 0.0


@lru_cache(maxsize=256)
def _source(family: str, parameters: str, seed: int) -> Any:
    from reasoning_gym import create_dataset

    made = create_dataset(family, **json.loads(parameters), seed=seed, size=STREAM)
    if family in EVALUATED:
        importlib.import_module(type(made).__module__).eval = ast.literal_eval  # type: ignore[attr-defined]
    return made


@lru_cache(maxsize=4096)  # of each item once for all rollouts of its task
def _item(family: str, parameters: str, seed: int, index: int) -> Mapping[str, Any]:
    state = random.getstate()
    random.seed(seed + index)  # one family draws from the generator that the whole process shares
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # one family prints dots
            made = _source(family, parameters, seed)[index]
    except Exception as error:  # parameters that it does not check are seen here
        raise InputError(
            f"dataset.families.{family}={parameters}: the family cannot make items, {first_line(error)}"
        ) from error
    finally:
        random.setstate(state)
    answer = made["answer"]
    if answer is None and family in _EXAMPLES:
        answer = _EXAMPLES[family](made["metadata"])
    return {**made, "answer": answer}


def _is_arithmetic(text: str) -> bool:
    if len(text) > 10_000:
        return False
    try:
        nodes = list(ast.walk(ast.parse(text.strip(), mode="eval")))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return all(
        isinstance(node, _ARITHMETIC)
        and (not isinstance(node, ast.Constant) or isinstance(node.value, int | float))
        and (not isinstance(node, ast.Name) or not node.id.startswith("_"))
        and (not isinstance(node, ast.Call) or _is_function(node))
        for node in nodes
    )


def _is_function(call: ast.Call) -> bool:
    return isinstance(call.func, ast.Name) and call.func.id in _FUNCTIONS and not call.keywords
