"""The name that was probably meant."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher


def nearest(name: str, known: Iterable[str], cutoff: float = 0.6) -> str | None:
    """The known name most like ``name``; None when nothing comes near.

    The last part of a dotted key weighs most, so ``sampler.lamda`` finds ``sampler.selector.lam`` and ``budget.lr``
    finds ``algo.lr``.
    """

    def likeness(other: str) -> float:
        last = SequenceMatcher(None, _last(name), _last(other)).ratio()
        return 0.7 * last + 0.3 * SequenceMatcher(None, name, other).ratio()

    best = max(known, key=likeness, default=None)
    return best if best is not None and likeness(best) >= cutoff else None


def unknown_key(key: str, known: Sequence[str]) -> str:
    """One line on a key that does not exist, with the nearest one that does."""
    last = key.rsplit(".", 1)[-1]
    if last in ("top_p", "top_k", "min_p") and not key.startswith("eval."):
        return (
            f"{key}: training samples from the whole distribution, because the log-probs of a truncated one are not "
            f"the policy's and the loss would be biased; for evaluation give eval.top_p or eval.top_k"
        )
    if guess := nearest(key, known):
        return f"{key}: no such key; did you mean {guess}?"
    beside = sorted({k.rsplit(".", 1)[-1] for k in known if k.rpartition(".")[0] == key.rpartition(".")[0]})
    where = key.rpartition(".")[0] or "the top level"
    return f"{key}: no such key; {where} has {', '.join(beside) or 'none'}"


def _last(name: str) -> str:
    return name.rsplit(".", 1)[-1]
