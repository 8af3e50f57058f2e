"""What a dataset is: a pool to train on and a disjoint pool to evaluate on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rftlab.core import TaskPool


@dataclass(frozen=True)
class Dataset:
    """Returned by every loader under ``rftlab.datasets``."""

    train: TaskPool
    eval: TaskPool
    counts: Mapping[str, int] = field(default_factory=dict)
    """What was done to the rows: read, duplicates dropped, …; shown at the start of a run."""
