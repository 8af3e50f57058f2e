"""Arms whose seeds are not the baseline's, and runs that end before the others of their arm."""

import json
from pathlib import Path

import numpy as np
import pytest

from made_runs import grid, make
from rftlab import compare


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
