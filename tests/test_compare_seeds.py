"""Arms whose seeds are not the baseline's, and runs that end before the others of their arm."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from made_runs import grid, make
from rftlab import compare, verdict_text
from rftlab.comparison import Estimate
from rftlab.pages import compare_tables


def slower(run: Path, factor: float) -> None:
    """Every step of ``run`` takes ``factor`` times as long."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        row["ledger/seconds"] *= factor
    (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.mark.parametrize("metric", ["eval/accuracy", "group/etr"])
def test_a_mean_curve_ends_where_the_first_of_its_seeds_ends(tmp_path: Path, metric: str) -> None:
    grid(tmp_path, {"uniform": 0.1, "bots": 0.3}, range(3))
    slower(make(tmp_path, "bots", 3, 0.0), 2)
    found = compare.compare([tmp_path])
    seconds = np.array(found.grid["seconds"])
    mean = np.array(found.arm("bots").curves["seconds"][metric].mean)
    assert seconds[-1] == 160
    assert np.isfinite(mean[(seconds > 6) & (seconds <= 80)]).all()
    assert np.isnan(mean[seconds > 80]).all(), "three seeds of four have ended there"
    assert np.isfinite(found.arm("bots").curves["rollouts"][metric].mean[-1])


def test_time_to_baseline_and_best_so_far_hold_equal_seeds_against_each_other(tmp_path: Path) -> None:
    grid(tmp_path, {"uniform": 0.1, "bots": 0.3}, range(3))
    alone = compare.compare([tmp_path]).arm("bots")
    grid(tmp_path, {"uniform": 0.6}, [3, 4])
    grid(tmp_path, {"bots": -0.1}, [5, 6])
    found = compare.compare([tmp_path])
    assert found.arm("bots").ttb == alone.ttb
    assert found.arm("bots").bsf == alone.bsf


def test_without_a_pair_there_is_no_time_to_baseline(tmp_path: Path) -> None:
    grid(tmp_path, {"uniform": 0.1}, [0, 1])
    grid(tmp_path, {"bots": 0.3}, [2, 3])
    bots = compare.compare([tmp_path]).arm("bots")
    assert bots.ttb == []
    assert np.isnan(list(bots.bsf.values())).all()


def test_seeds_that_only_the_baseline_has_are_told(tmp_path: Path) -> None:
    grid(tmp_path, {"uniform": 0.1, "dart": 0.2}, range(4))
    grid(tmp_path, {"bots": 0.3}, range(2))
    missing = next(c for c in compare.compare([tmp_path]).caveats if c.code == "missing_seeds")
    assert missing.arms == ["bots"]
    assert missing.text.endswith("bots: 2, 3.")


def test_equal_runs_say_nothing_of_what_could_be_seen(tmp_path: Path) -> None:
    grid(tmp_path, {"uniform": 0.1, "dart": 0.1}, range(3))
    found = compare.compare([tmp_path])
    against = found.arm("dart").against
    assert against is not None
    assert (against.verdict, np.isnan(against.detectable)) == ("not distinguishable", True)
    assert found.answer[-1] == "Not distinguishable from uniform: dart."


def test_every_table_counts_seeds_and_says_not_reached_alike(tmp_path: Path) -> None:
    grid(tmp_path, {"uniform": 0.1}, range(3))
    grid(tmp_path, {"kimi": -0.1}, range(1, 4))
    found = compare.compare([tmp_path])
    head, rows = verdict_text.table(found)
    page = compare_tables.results(found)
    assert [row[1] for row in rows] == [row[1] for row in page.rows] == ["3", "3 (2 pairs)"]
    assert [line.startswith("kimi     3 (2 pairs)  ") for line in verdict_text.terminal(found)].count(True) == 1
    assert [line.startswith("uniform            3  ") for line in verdict_text.terminal(found)].count(True) == 1
    assert rows[1][head.index("TTB 50 %")] == "not reached (0 of 2)"
    assert compare_tables.speed(found).rows[0][1] == "not reached"


def test_what_is_zero_when_rounded_has_no_sign(tmp_path: Path) -> None:
    assert verdict_text.points(Estimate(-0.0001, -0.01, 0.01, 5), sign=True) == "0.0 ± 1.0"
    found = compare.compare([grid(tmp_path, {"uniform": 0.1, "bots": 0.3}, range(5))])
    bots = found.arm("bots")
    assert bots.against is not None
    d = replace(bots.against.difference, low=-0.0001)
    told = verdict_text.answer([found.arms[0], replace(bots, against=replace(bots.against, difference=d))], "auc", "u")
    assert "interval 0.0 to +" in told[0]


def test_one_run_differs_and_several_do(tmp_path: Path) -> None:
    grid(tmp_path, {"uniform": 0.1, "bots": 0.3}, range(2))
    make(tmp_path, "bots", 5, algo__lr=0.01)
    assert compare.compare([tmp_path]).caveats[0].text.startswith("1 run is left out because it differs from")
    make(tmp_path, "bots", 6, algo__lr=0.01)
    assert compare.compare([tmp_path]).caveats[0].text.startswith("2 runs are left out because they differ from")
    assert "--baseline" not in compare.compare([tmp_path]).caveats[0].text


def test_a_baseline_that_more_runs_could_be_held_against_is_named(tmp_path: Path) -> None:
    make(tmp_path, "uniform", 0)
    grid(tmp_path, {"bots": 0.3, "dart": 0.2}, range(2), algo__lr=0.01)
    found = compare.compare([tmp_path])
    assert found.caveats[0].text.endswith("With --baseline 'dart' 4 would take part.")
    again = compare.compare([tmp_path], baseline="dart")
    assert sum(len(arm.runs) for arm in again.arms) == 4


def test_the_one_arm_whose_sampler_is_uniform_is_the_baseline_of_several_axes(tmp_path: Path) -> None:
    make(tmp_path, "uniform", 0)
    make(tmp_path, "bots", 0, algo__lr=0.01)
    found = compare.compare([tmp_path], ["sampler", "algo.lr"])
    assert found.baseline == "uniform, algo.lr=0.001"
    assert compare.compare([tmp_path], ["algo.lr", "sampler"]).baseline == "algo.lr=0.001, uniform"
