"""What a comparison makes of records: steps that trained nothing, damaged lines, lost evaluations."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from made_runs import grid, make
from rftlab import compare


def edit(run: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Applies ``change`` to every row of the run's metrics."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        change(row)
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_a_step_that_trained_nothing_is_no_part_of_the_effective_task_ratio(tmp_path: Path) -> None:
    grid(tmp_path, {"uniform": 0.1, "dapo": 0.3}, [0])

    def idle(row: dict[str, Any]) -> None:
        if row["step"]:
            row["group/trained"] = 4.0 if row["step"] % 2 else 0.0
            row["group/etr"] = 1.0 if row["step"] % 2 else 0.0

    edit(make(tmp_path, "dapo", 1), idle)
    edit(make(tmp_path, "uniform", 1), idle)
    found = compare.compare([tmp_path])
    assert found.arm("dapo").shares["etr"].mean == pytest.approx((0.5 + 1.0) / 2)
    assert found.arm("dapo").shares["yield"].mean == pytest.approx(0.25)
