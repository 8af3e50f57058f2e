"""Real runs of the simulated engine, and a browser where there is one."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import browser as chromium

from rftlab import loop
from rftlab.config import compose

SMALL = ["engine=sim", "tracking=none", "budget=smoke", "eval.limit=8", "eval.every_rollouts=32", "panel.tasks=20"]


def train(outputs: Path, sampler: str, seed: int, *more: str) -> Path:
    """A run of six steps in about a tenth of a second."""
    where = [f"outputs_dir={outputs}", "name=demo", "dataset.train_size=60", "tracking.save_completions=8"]
    return loop.train(compose([*SMALL, *where, f"sampler={sampler}", f"seed={seed}", *more]))


@pytest.fixture(scope="session")
def outputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three samplers with three seeds each."""
    folder = tmp_path_factory.mktemp("outputs")
    for sampler in ("uniform", "bots", "dapo"):
        for seed in (0, 1, 2):
            train(folder, sampler, seed)
    return folder / "demo"


@pytest.fixture(scope="session")
def run(outputs: Path) -> Path:
    """A run of BOTS, whose sampler predicts."""
    return next(outputs.glob("*/bots-*/seed0"))


@pytest.fixture(scope="session")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[chromium.Browser]:
    program = chromium.find()
    if program is None:
        pytest.skip(f"needs a Chromium: none of {', '.join(chromium.NAMES)} is here (Debian: apt-get install chromium)")
    one = chromium.Browser(program, tmp_path_factory.mktemp("profile"))
    yield one
    one.close()
