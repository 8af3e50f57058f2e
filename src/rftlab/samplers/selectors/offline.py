"""Offline pass rates, as selectors read them: which reference, and what evidence its rates are."""

from __future__ import annotations

import numpy as np

from rftlab.core import Float, InputError, TaskPool
from rftlab.samplers.references import by_strength, named


def reference_rates(pool: TaskPool, name: str | None, key: str) -> tuple[str, Float]:
    """Name and rates float64 [N] (NaN = unknown) of one reference; None = the weakest.

    Args:
        pool: The tasks.
        name: Name of the reference, or None.
        key: The option that a refusal asks to repair.
    """
    known = by_strength(pool)
    chosen = named(pool, name, key) if name is not None else known[0] if known else None
    if chosen is None:
        raise InputError(
            f"{key}: dataset {pool.name!r} has no known reference pass rate: "
            "measure a model's with rftlab profile, then give +references.NAME=FILE"
        )
    if chosen not in known:
        raise InputError(f"{key}={chosen}: dataset {pool.name!r} knows none of its rates; it knows {known or 'none'}")
    return chosen, pool.references[chosen].astype(np.float64)


def offline_evidence(pool: TaskPool, name: str | None, weight: float, key: str) -> tuple[str, Float, Float]:
    """Name of the reference, and passes and failures float64 [N] of its rollouts, each counted ``weight`` times.

    How many rollouts stand behind a rate is what the reference has cost, divided by its known rates. An unknown rate is
    no evidence: 0 and 0.

    Args:
        pool: The tasks.
        name: Name of the reference; None = the weakest.
        weight: What an offline rollout counts in rollouts of the run.
        key: The option that a refusal asks to repair.
    """
    chosen, rate = reference_rates(pool, name, key)
    cost = pool.reference_rollouts.get(chosen, 0)
    if cost <= 0:
        raise InputError(
            f"{key}={chosen}: dataset {pool.name!r} does not say how many rollouts its rates have cost: "
            f"give dataset.reference_samples.{chosen}"
        )
    known = ~np.isnan(rate)
    rollouts = weight * cost / known.sum()
    rate = np.where(known, rate, 0.0)
    return chosen, rollouts * rate, rollouts * (known - rate)
