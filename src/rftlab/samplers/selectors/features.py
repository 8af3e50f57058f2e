"""Features of the tasks as predictors take them."""

from __future__ import annotations

import numpy as np

from rftlab.core import InputError, TaskPool
from rftlab.samplers.networks.flat import Flat


def scaled(pool: TaskPool) -> Flat:
    """The pool's features, each column centred, the whole divided by one number: mean variance 1, float32 [N, D].

    One number for all, so that what the features hold to be large stays large; networks and ridge penalties need only
    that the unit does not matter. Columns without differences are 0 and don't count.
    """
    x = pool.features
    if x is None or x.ndim != 2 or x.shape[1] == 0:
        found = "none" if x is None else f"an array of shape {x.shape}"
        raise InputError(f"dataset {pool.name!r} has {found} for features, wanted numbers [N, D]: give features=...")
    bad = int((~np.isfinite(x)).any(axis=1).sum())
    if bad:
        raise InputError(
            f"features of dataset {pool.name!r} are not finite numbers in {bad} of {len(x)} rows: "
            "repair them or choose others, features=..."
        )
    mean, spread = x.mean(0, dtype=np.float64), x.std(0, dtype=np.float64)
    live = spread > 1e-6 * np.abs(mean)
    unit = np.sqrt((spread[live] ** 2).mean()) if live.any() else 1.0
    centred = (x - mean.astype(np.float32)) / np.float32(unit)
    centred[:, ~live] = 0.0
    return np.ascontiguousarray(centred, np.float32)
