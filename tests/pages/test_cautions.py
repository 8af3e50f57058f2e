"""A reader is warned of what is wrong with a run, and of nothing else."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from rftlab.pages.cautions import cautions
from rftlab.pages.record import Record, load


def changed(run: Path, **values: float) -> Record:
    record = load(run)
    return dataclasses.replace(record, metrics=record.metrics.assign(**values))


CASES = {
    "completion/truncated": (0.3, "Up to 30.0 % of the training completions were cut"),
    "eval/truncated": (0.21, "of the evaluation completions were cut"),
    "verdict/fault": (0.01, "could not be graded"),
    "sync/logp_gap": (0.05, "disagreed by 0.05 nat"),
    "sampler/underfilled_share": (0.5, "50.0 % of the steps trained on fewer groups"),
    "train/skipped": (1.0, "optimiser steps were left out"),
    "eval/unparsable": (0.4, "no answer was found"),
}
QUIET = {"completion/truncated": 0.2, "eval/truncated": 0.2, "verdict/fault": 0.0, "sync/logp_gap": 1e-6}


@pytest.mark.parametrize("key", CASES)
def test_each_fault_is_told_and_only_beyond_its_limit(run: Path, key: str) -> None:
    value, says = CASES[key]
    told = [caution.text for caution in cautions(changed(run, **QUIET | {key: value}))]
    quiet = [caution.text for caution in cautions(changed(run, **QUIET | {key: QUIET.get(key, 0.0)}))]
    assert sum(says in text for text in told) == 1 and not any(says in text for text in quiet)


def test_the_worst_comes_first(run: Path) -> None:
    severities = [c.severity for c in cautions(changed(run, **{"verdict/fault": 0.5, "eval/truncated": 0.9}))]
    assert severities == sorted(severities, key=("bad", "look", "note").index) and severities[0] == "bad"
