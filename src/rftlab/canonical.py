"""A short hash that equal contents share: in every process, on every machine, in any order of keys."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Set
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np


def content_hash(content: Any) -> str:
    """8 hex digits of the content as JSON. What JSON does not know takes part as the nearest that it does."""
    return hashlib.blake2b(_text(content).encode(), digest_size=4).hexdigest()


def _text(value: Any) -> str:
    return json.dumps(_plain(value), sort_keys=True)


def _plain(value: Any) -> Any:
    """As JSON: keys are text, sets are sorted, arrays are lists, and no text holds an address in memory."""
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else _text(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, Set):
        return sorted((_plain(each) for each in value), key=_text)
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _plain(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, np.ndarray):  # its text leaves out the middle
        return _plain(value.tolist())
    return re.sub(r" at 0x[0-9a-fA-F]+", "", str(value))
