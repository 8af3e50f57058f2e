"""What a ``_target_`` of the configuration names: found, its options checked, built; what is wrong is one line."""

from __future__ import annotations

import inspect
import logging
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from rftlab.core import InputError
from rftlab.nearest import unknown_key

T = TypeVar("T")


def find(key: str, node: Mapping[Any, Any]) -> Any:
    """The class or function that the node ``key`` names."""
    from hydra.utils import get_object

    if not isinstance(node, Mapping) or "_target_" not in node:
        group = key.removesuffix(".check")
        choose = key.replace(".", "/") if group == key else group if group == "verifier" else f"verifier@{group}"
        raise InputError(f"{key} has no _target_: choose one with {choose}=NAME")
    try:
        logging.getLogger("hydra._internal.utils").disabled = True  # it says in three lines what follows in one
        logging.getLogger("hydra.utils").disabled = True
        found = get_object(node["_target_"])
    except Exception as error:
        cause = error.__cause__ or error
        hint = "; run from the folder that holds it, or set PYTHONPATH" if isinstance(cause, ImportError) else ""
        raise InputError(f"{key}._target_={node['_target_']} cannot be imported: {cause}{hint}") from error
    if not callable(found):
        raise InputError(f"{key}._target_={node['_target_']} is a {type(found).__name__}: wanted a class or a function")
    return found


def check_options(key: str, node: Mapping[Any, Any], labels: Sequence[str] = (), hint: str = "") -> None:
    """The keys of a node must be arguments of its target, or ``labels``, and their values of the annotated types.

    ``hint`` ends the message on an unknown key, {key} in it too.
    """
    target = find(key, node)
    parameters = inspect.signature(target).parameters
    for option, kind in _annotations(target).items():
        if option in node and not _fits(node[option], kind):
            words = [_word(each) for each in _members(kind)]
            raise InputError(f"{key}.{option}={_shown(node[option])}, wanted {' or '.join(words)}")
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    known = [*parameters, *labels]
    for option in map(str, node):
        if option not in known and not option.startswith("_"):
            full = f"{key}.{option}"
            raise InputError(unknown_key(full, [f"{key}.{other}" for other in known]) + hint.format(key=full))


WORDS: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "text",
    type(None): "null",
}
"""Types of options that are checked, as are mappings and lists of them; others are left to their class."""


MAPPINGS, LISTS = (Mapping, dict), (Sequence, list)


def _annotations(target: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(target.__init__ if isinstance(target, type) else target)
    except (NameError, TypeError, AttributeError):  # a name known to type checkers only
        return {}


def _members(kind: Any) -> list[Any]:
    """The types of a union, or the type itself."""
    return list(typing.get_args(kind)) if typing.get_origin(kind) in (typing.Union, types.UnionType) else [kind]


def _fits(value: Any, kind: Any) -> bool:
    """Whether a value is of a type that is checked; what is not checked fits."""
    for each in _members(kind):
        if typing.get_origin(each) in MAPPINGS:
            inner = typing.get_args(each)[1]
            if isinstance(value, Mapping) and all(_filled(v, inner) for v in value.values()):
                return True
        elif typing.get_origin(each) in LISTS:
            inner = typing.get_args(each)[0]
            if isinstance(value, Sequence) and not isinstance(value, str) and all(_filled(v, inner) for v in value):
                return True
        elif each not in WORDS:
            return True
        elif each is float:
            if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
                return True
        elif isinstance(value, each) and (each is bool or not isinstance(value, bool)):
            return True
    return False


def _filled(value: Any, kind: Any) -> bool:
    """Whether an element of a mapping or list fits; an empty text names nothing."""
    return _fits(value, kind) and not (kind is str and not value.strip())


def _word(kind: Any) -> str:
    """A type in words: text, [text, …], {name: text}."""
    origin = typing.get_origin(kind)
    if origin in MAPPINGS:
        return f"a mapping {{name: {_word(typing.get_args(kind)[1])}}}"
    if origin in LISTS:
        return f"a list [{_word(typing.get_args(kind)[0])}, …]"
    return WORDS.get(kind, "value")


def _shown(value: Any) -> str:
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def build(key: str, node: Mapping[Any, Any], kind: type[T]) -> T:
    """Calls what the node names with its options; the result must be a ``kind``."""
    from hydra.errors import InstantiationException
    from hydra.utils import instantiate

    target = find(key, node)
    if isinstance(target, type) and not issubclass(target, kind):
        raise InputError(f"{key}._target_={node['_target_']} is no {kind.__module__}.{kind.__qualname__}")
    check_options(key, node)
    try:
        return instantiate(node, _convert_="all")
    except InstantiationException as error:  # Hydra wraps what the constructor raises
        cause = error.__cause__ or error
        if isinstance(cause, InputError):
            raise cause from None
        raise InputError(f"{key} ({target.__name__}) cannot be built: {cause}") from error
