"""The jobs of a sweep as data, and where each of them writes."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rftlab.config import run_dir, schedule_reads_progress


@dataclass
class Cell:
    """A job of a sweep and what became of it."""

    number: int
    overrides: list[str]
    label: str
    """The overrides in which it differs from the command line of the sweep."""
    cfg: Any
    verb: str = "train"
    path: Path | None = None
    """Where its ``console.log`` is (``place``); None while the configuration names none."""
    outcome: str = "not begun"
    """done, done before, failed, stopped, elsewhere (another process works at it), not begun."""
    reason: str = ""
    seconds: float | None = None
    objective: float | None = None

    @property
    def failed(self) -> bool:
        """Whether it is not done. Its own failure or not: the sweep lacks it."""
        return not self.outcome.startswith("done")

    @property
    def run(self) -> Path | None:
        """The directory of its run; None of other verbs than ``train``."""
        return self.path if self.verb == "train" else None


@dataclass
class Sweep:
    """What the command line and the launcher tell each other: through the task function, as Hydra has no other way."""

    dry: bool = False
    cells: list[Cell] = field(default_factory=list)
    """Of all batches."""

    @property
    def failed(self) -> int:
        return sum(cell.failed for cell in self.cells)


def place(cell: Cell) -> Path:
    """The folder of a cell: its run's directory; of another verb than ``train`` one by its overrides.

    Raises ``InputError`` where the configuration names no run.
    """
    if cell.verb == "train":
        return run_dir(cell.cfg, schedule_reads_progress(cell.cfg))
    own = hashlib.blake2b("\n".join(sorted(cell.overrides)).encode(), digest_size=4).hexdigest()
    return Path(str(cell.cfg.outputs_dir)) / str(cell.cfg.name) / f"{cell.verb}-{own}"


def seeks(hydra_cfg: Any) -> bool:
    """Whether the sweeper looks for the best run, so that a run must have an objective."""
    return "BasicSweeper" not in hydra_cfg.sweeper._target_


def objective(cfg: Any) -> float:
    """What a sweeper makes as large as it can: of the run of ``cfg``, accuracy over the rollouts generated.

    Raises ``InputError`` if the run has none.
    """
    from rftlab.compare import objective

    return float(objective(run_dir(cfg, schedule_reads_progress(cfg))))
