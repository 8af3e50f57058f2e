"""What a dataset is: a pool to train on and a disjoint pool to evaluate on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from rftlab.core import InputError, TaskPool


@dataclass(frozen=True)
class Dataset:
    """Returned by every loader under ``rftlab.datasets``."""

    training: TaskPool | None
    """None = a benchmark, for evaluation only."""
    eval: TaskPool
    counts: Mapping[str, int] = field(default_factory=dict)
    """What was done to the rows: read, duplicates dropped, …; shown at the start of a run."""
    left_out: tuple[tuple[str, str], ...] = ()
    """(where, why) of every row that cannot be a task."""

    def told(self) -> str:
        """The counts that are not 0, to be written behind the sizes."""
        return "".join(f"; {number:,} {what}" for what, number in self.counts.items() if number)

    @property
    def train(self) -> TaskPool:
        """The tasks to train on; ``InputError`` where there are none."""
        if self.training is None:
            raise InputError(
                f"dataset {self.eval.name.removesuffix('-eval')!r} is for evaluation only, there is nothing to train "
                "on: dataset.eval_fraction=0.1 trains on the rest, rftlab eval and dataset=mix evaluate on it"
            )
        return self.training

    def pools(self) -> dict[str, TaskPool]:
        """The pools that there are, by the names ``train`` and ``eval``."""
        return ({"train": self.training} if self.training is not None else {}) | {"eval": self.eval}
