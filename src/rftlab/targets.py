"""What a ``_target_`` of the configuration names: found, its options checked, built; what is wrong is one line."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from rftlab.core import InputError
from rftlab.nearest import unknown_key

T = TypeVar("T")


def find(key: str, node: Mapping[Any, Any]) -> Any:
    """The class or function that the node ``key`` names."""
    from hydra.utils import get_object

    if not isinstance(node, Mapping) or "_target_" not in node:
        raise InputError(f"{key} has no _target_: choose one with {key.replace('.', '/')}=NAME")
    try:
        return get_object(node["_target_"])
    except Exception as error:
        cause = error.__cause__ or error
        raise InputError(f"{key}._target_={node['_target_']} cannot be imported: {cause}") from error


def check_options(key: str, node: Mapping[Any, Any], labels: Sequence[str] = (), hint: str = "") -> None:
    """The keys of a node must be arguments of its target, or ``labels``. ``hint`` ends the message, {key} in it too."""
    parameters = inspect.signature(find(key, node)).parameters
    if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
        return
    known = [*parameters, *labels]
    for option in map(str, node):
        if option not in known and not option.startswith("_"):
            full = f"{key}.{option}"
            raise InputError(unknown_key(full, [f"{key}.{other}" for other in known]) + hint.format(key=full))


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
