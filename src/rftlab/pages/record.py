"""Everything that a run left, read once for its page."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from rftlab import curves, runs
from rftlab.core import Float, InputError, TaskPool
from rftlab.pages.words import AXES
from rftlab.runs import RunState


@dataclass(frozen=True)
class Record:
    """One run; nothing of it is required to be there but ``metrics.jsonl``."""

    state: RunState
    metrics: pd.DataFrame
    """A row a line of ``metrics.jsonl``; NaN where a number was not logged."""

    @property
    def path(self) -> Path:
        return self.state.path

    @cached_property
    def groups(self) -> pd.DataFrame:
        return curves.groups(self.path)

    @cached_property
    def panel(self) -> pd.DataFrame:
        return curves.panel(self.path)

    @property
    def config(self) -> dict[str, Any]:
        return self.state.config

    @property
    def identity(self) -> dict[str, Any]:
        return self.state.identity

    def setting(self, key: str, default: Any = None) -> Any:
        """A value of the configuration by its dotted key."""
        node: Any = self.config
        for part in key.split("."):
            if not isinstance(node, Mapping) or part not in node:
                return default
            node = node[part]
        return node

    @property
    def sampler(self) -> str:
        return str(self.setting("sampler.name", self.state.arm))

    def column(self, key: str) -> Float:
        """A metric over all rows; NaN where it was not logged."""
        if key not in self.metrics:
            return np.full(len(self.metrics), np.nan)
        return self.metrics[key].to_numpy(np.float64, na_value=np.nan)

    def known(self, key: str) -> Float:
        """The logged values of a metric, in order."""
        values = self.column(key)
        return values[np.isfinite(values)]

    def last(self, key: str) -> float:
        """The last logged value; NaN if there is none."""
        values = self.known(key)
        return float(values[-1]) if len(values) else float("nan")

    def against(self, axis: str, key: str) -> tuple[Float, Float]:
        """A metric where it was logged, and the x of these rows; ``axis`` as in ``words.AXES``."""
        x, y = self.column(AXES[axis][0]), self.column(key)
        there = np.isfinite(x) & np.isfinite(y)
        return x[there], y[there]

    def keys(self, prefix: str) -> list[str]:
        """The logged metrics that begin so."""
        return [key for key in self.metrics.columns if str(key).startswith(prefix)]


def load(folder: Path) -> Record:
    """``InputError`` when there is no run, or nothing was logged yet."""
    if not (folder / "metrics.jsonl").is_file():
        raise InputError(
            f"{folder}: no metrics.jsonl there; give the directory of a run that has begun, as outputs/NAME/…/seed0 "
            "(rftlab runs DIR lists them)"
        )
    metrics = curves.read(folder)
    if not len(metrics):
        raise InputError(f"{folder}/metrics.jsonl holds no readable line yet: train first, rftlab train …")
    return Record(runs.read(folder), metrics)


def pool_of(record: Record) -> TaskPool | None:
    """The training tasks with their categories and levels; None when the data set isn't here, or is another by now."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")  # a page is made of what is here
    from rftlab.config import build_dataset
    from rftlab.rescore import configuration, training_pool

    with contextlib.suppress(Exception):  # every loader has errors of its own for what is missing
        cfg = configuration(str(record.path), {})
        pool = build_dataset(cfg).train
        if pool.fingerprint == record.identity.get("pool"):
            return pool
        return training_pool(cfg, str(record.path))  # less the prompts that are too long for the model
    return None
