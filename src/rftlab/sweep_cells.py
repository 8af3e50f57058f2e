"""The jobs of a sweep as data, and where each of them writes."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rftlab.config import RULES, run_dir, schedule_reads_progress
from rftlab.core import InputError


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

    @property
    def experiment(self) -> Path:
        """The folder of its experiment."""
        return experiment(self.cfg)


@dataclass
class Sweep:
    """What the command line and the launcher tell each other: through the task function, as Hydra has no other way."""

    dry: bool = False
    cells: list[Cell] = field(default_factory=list)
    """Of all batches."""

    @property
    def failed(self) -> int:
        return sum(cell.failed for cell in self.cells)


def experiment(cfg: Any) -> Path:
    """The folder of the experiment that ``cfg`` belongs to. Raises ``InputError`` where its name can name none."""
    name = str(cfg.name)
    for key, holds, wanted in RULES:
        if key == "name" and not holds(name):
            raise InputError(f"name={name}: wanted {wanted}")
    return Path(str(cfg.outputs_dir)) / name


def place(cell: Cell) -> Path:
    """The folder of a cell: its run's directory; of another verb than ``train`` one by its overrides.

    Raises ``InputError`` where the configuration names none.
    """
    folder = cell.experiment
    if cell.verb == "train":
        return run_dir(cell.cfg, schedule_reads_progress(cell.cfg))
    own = hashlib.blake2b("\n".join(sorted(cell.overrides)).encode(), digest_size=4).hexdigest()
    return folder / f"{cell.verb}-{own}"


def apart(cells: Iterable[Cell]) -> list[Cell]:
    """The cells. Raises ``InputError`` if two would write to the same ``out``."""
    cells, first = list(cells), {}
    for cell in cells:
        try:
            out = OmegaConf.select(cell.cfg, "out")
        except OmegaConfBaseException:  # the job says what is wrong with it
            continue
        if out is not None and (other := first.setdefault(os.path.normpath(str(out)), cell)) is not cell:
            raise InputError(
                f"out={out} is the place of more than one job, as of {other.label!r} and {cell.label!r}, which would "
                f"write over each other: {_own_out(other, cell)}"
            )
    return cells


def _own_out(one: Cell, other: Cell) -> str:
    """How two cells get an ``out`` each: with the keys in it by which they differ."""
    keys = []
    for override in other.overrides:
        key = override.split("=", 1)[0].lstrip("+")
        if override not in one.overrides and re.fullmatch(r"[\w.]+", key):
            node = OmegaConf.select(other.cfg, key)
            if not OmegaConf.is_config(node):
                keys.append(key)
            elif "name" in node:  # a choice of a group
                keys.append(f"{key}.name")
    if not keys:
        return "put into out= what differs between them"
    written = OmegaConf.to_container(other.cfg, resolve=False)["out"]  # type: ignore[call-overload,index]
    stem, suffix = re.fullmatch(r"(.*?)(\.\w+)?", str(written)).groups("")  # type: ignore[union-attr]
    return f"give 'out={stem}-{'-'.join(f'${{{key}}}' for key in keys)}{suffix}'"


def seeks(hydra_cfg: Any) -> bool:
    """Whether the sweeper looks for the best run, so that a run must have an objective."""
    return "BasicSweeper" not in hydra_cfg.sweeper._target_


def objective(cfg: Any) -> float:
    """What a sweeper makes as large as it can: of the run of ``cfg``, accuracy over the rollouts generated.

    Raises ``InputError`` if the run has none.
    """
    from rftlab.compare import objective

    return float(objective(run_dir(cfg, schedule_reads_progress(cfg))))
