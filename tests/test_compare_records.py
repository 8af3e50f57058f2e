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


def test_a_pool_that_was_drawn_from_once_and_more_is_not_called_wide(tmp_path: Path) -> None:
    def drawn(groups: float) -> Callable[[dict[str, Any]], None]:
        return lambda row: row.update({"sampler/eligible": 200.0, "group/generated": groups, "group/trained": 4.0})

    edit(make(tmp_path, "uniform", 0), drawn(4))
    edit(make(tmp_path, "dapo", 0), drawn(6))
    notes = [c.arms for c in compare.compare([tmp_path]).caveats if c.code == "one_pass"]
    assert notes == [["uniform"]], "41 rows of 4 groups are fewer than 200 tasks, of 6 they are not"


@pytest.mark.parametrize("name", ["groups.jsonl", "panel/step_000010.jsonl", "evals/step_000010.jsonl"])
def test_a_damaged_line_is_counted_wherever_it_stands(tmp_path: Path, name: str) -> None:
    grid(tmp_path, {"uniform": 0.1, "bots": 0.3}, [0])
    path = make(tmp_path, "bots", 1) / name
    path.parent.mkdir(exist_ok=True)
    with path.open("a") as file:
        file.write('{"broken\n')
    skipped = next(c for c in compare.compare([tmp_path]).caveats if c.code == "skipped")
    assert (skipped.arms, skipped.text[-4:]) == (["bots"], ": 1.")


def test_a_lost_evaluation_is_told_in_red_and_what_was_spent_stays(tmp_path: Path) -> None:
    grid(tmp_path, {"uniform": 0.1, "bots": 0.3}, [0, 1])
    assert "lost_evaluation" not in {c.code for c in compare.compare([tmp_path]).caveats}
    run = tmp_path / "tiny_ladder" / "bots-plain" / "seed1"
    lines = (run / "metrics.jsonl").read_text().splitlines(keepends=True)
    lines[40] = "{broken\n"
    (run / "metrics.jsonl").write_text("".join(lines))
    found = compare.compare([tmp_path])
    lost = next(c for c in found.caveats if c.code == "lost_evaluation")
    assert (lost.severity, lost.arms) == ("error", ["bots"])
    assert "bots, seed 1: step 40" in lost.text
    assert found.common == [0, 480]
    assert found.arm("bots").runs[1].rollouts == 39 * 16, "of the last row, not of the last evaluation"
    assert found.arm("bots").cost["rollouts"] == (39 + 40) / 2 * 16


def test_facts_are_what_all_runs_share(tmp_path: Path) -> None:
    versions = {"starts": [{"versions": {"numpy": "2.0", "rftlab": "1"}}]}
    later = {"starts": [{"versions": {"numpy": "2.0", "rftlab": "2"}}]}
    make(tmp_path, "uniform", 0, facts=versions)
    make(tmp_path, "uniform", 1, facts=later)
    facts = compare.compare([tmp_path]).facts
    assert (facts["algo.lr"], facts["budget.steps"], facts["versions"]) == (0.001, 40, {"numpy": "2.0"})
    make(tmp_path, "uniform", 0, facts=versions, algo__lr=0.01)
    make(tmp_path, "uniform", 0, facts=versions, budget__steps=80)
    by_rate = compare.compare([tmp_path], ["algo.lr"], "0.001").facts
    assert "algo.lr" not in by_rate
    assert by_rate["budget.prompts"] == 4
    lengths = compare.compare([tmp_path], ["budget.steps"], "40").facts
    assert "budget.steps" not in lengths
    assert lengths["algo.lr"] == 0.001
