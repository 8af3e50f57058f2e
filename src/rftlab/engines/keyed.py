"""Randomness by key, not by stream: one uniform for each (stream, task, rollout, position).

A counter-based generator: the uniform is a hash of its key, so it does not depend on the order of generation, on the
batch a rollout is decoded in, on dropped rows, on ranks or on a restart. Two runs of one seed that reach the same
logits draw the same tokens, which pairs the arms of a comparison.

The hash is SplitMix64's output function (Steele, Lea and Flood, OOPSLA 2014) applied to key + position * gamma: for a
fixed key this is exactly SplitMix64's stream, entered at any point.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

_GAMMA = np.uint64(0x9E3779B97F4A7C15)


def row_key(stream: tuple[Any, ...], task_id: str, ordinal: int) -> int:
    """The 64-bit key of one rollout; ``stream`` is e.g. ``("train", seed, step)``."""
    text = "\x1f".join([*map(str, stream), task_id, str(ordinal)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little")


def uniforms(keys: Sequence[int] | NDArray[np.uint64], positions: Sequence[int] | NDArray[np.int64]) -> np.ndarray:
    """Uniforms float64 [B, T] in [0, 1), 53 random bits each, for ``keys`` [B] and token ``positions`` [T] >= 0."""
    with np.errstate(over="ignore"):
        counter = (np.asarray(positions).astype(np.uint64) + np.uint64(1)) * _GAMMA
        x = np.asarray(keys, dtype=np.uint64)[:, None] + counter[None, :]
        x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        x = x ^ (x >> np.uint64(31))
    return (x >> np.uint64(11)).astype(np.float64) * 2.0**-53
