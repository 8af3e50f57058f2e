"""Reference pass rates: which model is the weak one, and the offline accuracy filter."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np

from rftlab.core import Bool, InputError, TaskPool

log = logging.getLogger(__name__)


def by_strength(pool: TaskPool) -> list[str]:
    """Names of the pool's references, the lowest mean pass rate first; models without a known rate are left out."""
    means = {name: float(np.nanmean(r)) for name, r in pool.references.items() if not np.isnan(r).all()}
    return sorted(means, key=lambda name: (means[name], name))


def named(pool: TaskPool, name: str, key: str) -> str:
    """``name`` if the pool has that reference; ``key`` is the option that the message asks to repair."""
    if name not in pool.references:
        have = ", ".join(sorted(pool.references)) or "none"
        raise InputError(f"{key}={name}: dataset {pool.name!r} has no such reference (it has: {have})")
    return name


@dataclass(frozen=True)
class Filter:
    """The offline accuracy filter: a task stays when ``lo <= rate <= hi`` (closed) for one reference.

    An unknown rate (NaN) is no evidence that a task fits the band, so the task is kept out.
    """

    reference: str | None = None
    """Name of the reference; None = the weakest."""
    lo: float = 0.0
    hi: float = 1.0

    def __post_init__(self) -> None:
        if not 0.0 <= self.lo <= self.hi <= 1.0:
            raise InputError(f"sampler.filter has the band [{self.lo:g}, {self.hi:g}], wanted 0 <= lo <= hi <= 1")

    def source(self, pool: TaskPool) -> str:
        """Name of the reference that is read."""
        if self.reference is not None:
            return named(pool, self.reference, "sampler.filter.reference")
        if names := by_strength(pool):
            return names[0]
        raise InputError(
            f"sampler.filter needs reference pass rates, dataset {pool.name!r} has none: "
            "give +references.NAME=FILE, made by rftlab profile, or sampler.filter=null"
        )

    def out(self, pool: TaskPool) -> Bool:
        """Tasks that are kept out, bool [N]; at least one stays."""
        name = self.source(pool)
        rates = pool.references[name]
        inside = (rates >= self.lo) & (rates <= self.hi)
        if not inside.any():
            raise InputError(
                f"sampler.filter leaves no task: none of {len(pool)} rates of {name!r} is in "
                f"[{self.lo:g}, {self.hi:g}] ({_histogram(rates)}); widen sampler.filter.lo and sampler.filter.hi"
            )
        log.info(
            "sampler.filter keeps %d of %d tasks (%d have no known rate)",
            inside.sum(),
            len(pool),
            np.isnan(rates).sum(),
        )
        return ~inside


def _histogram(rates: np.ndarray) -> str:
    """Counts by tenths, in words."""
    known = rates[~np.isnan(rates)]
    counts, edges = np.histogram(known, bins=10, range=(0.0, 1.0))
    tenths = [f"{low:.1f}-{high:.1f}: {c}" for c, low, high in zip(counts, edges, edges[1:], strict=False) if c]
    return ", ".join([*tenths, f"unknown: {len(rates) - len(known)}"])
