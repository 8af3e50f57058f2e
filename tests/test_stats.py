"""The statistics against hand-made numbers, scipy, rliable's own results, and their measured promises."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
from scipy import stats as scipy_stats

from rftlab import stats

RLIABLE = json.loads((Path(__file__).parent / "data" / "rliable.json").read_text())["cases"]


def load_check():
    path = Path(__file__).parents[1] / "scripts" / "check_statistics.py"
    spec = importlib.util.spec_from_file_location("check_statistics", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_interval_and_p_are_those_of_scipy() -> None:
    d = np.array([0.012, 0.004, 0.02, -0.003, 0.011])
    want = scipy_stats.ttest_1samp(d, 0)
    found = stats.t_interval(d)
    assert stats.paired_p(d) == pytest.approx(want.pvalue)
    assert (found.low, found.high) == pytest.approx(tuple(want.confidence_interval(0.95)))
    assert found.mean == pytest.approx(0.0088)


def test_pointwise_intervals_are_those_of_each_column_without_what_is_not_there() -> None:
    values = np.array([[0.1, 0.2, np.nan, np.nan], [0.3, np.nan, 0.5, np.nan], [0.2, 0.6, np.nan, np.nan]])
    mean, low, high = stats.pointwise_intervals(values)
    for i in range(2):
        known = values[:, i][np.isfinite(values[:, i])]
        assert (mean[i], low[i], high[i]) == pytest.approx(tuple(stats.t_interval(known)))
    assert mean[2] == 0.5
    assert np.isnan(mean[3])
    assert np.isnan([low[2], high[2], low[3], high[3]]).all()


def test_too_few_seeds_or_none_give_no_interval_and_no_p() -> None:
    assert stats.t_interval(np.array([0.3])).mean == 0.3
    assert np.isnan(stats.t_interval(np.array([0.3])).low)
    assert np.isnan(stats.t_interval(np.array([])).mean)
    assert np.isnan(stats.paired_p(np.array([0.3])))
    assert np.isnan(stats.detectable(0.1, 1))
    assert np.isnan([stats.detectable(0.0, 5), stats.detectable(1e-17, 5)]).all(), "no spread seen is none known"


def test_equal_differences_are_no_proof() -> None:
    """Scores come in steps of one rollout: the same difference thrice says nothing of the spread."""
    assert np.isnan(stats.paired_p(np.array([0.3, 0.3, 0.3]) - np.array([0.2, 0.2, 0.2])))
    assert stats.paired_p(np.zeros(5)) == 1.0
    assert stats.verdict(0.1, np.nan) == "no verdict"


def test_holm_by_hand() -> None:
    found = stats.holm(np.array([0.01, 0.04, np.nan, 0.03, 0.005]))
    assert found[[0, 1, 3, 4]] == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert np.isnan(found[2])
    assert stats.holm(np.array([0.9, 0.8])) == pytest.approx([1.0, 1.0])


def test_verdict_needs_the_adjusted_p_below_five_per_cent() -> None:
    assert stats.verdict(0.1, 0.049) == "better"
    assert stats.verdict(-0.1, 0.049) == "worse"
    assert stats.verdict(0.1, 0.05) == "not distinguishable"


@pytest.mark.parametrize(("n", "alpha"), [(3, 0.05), (5, 0.05), (10, 0.05), (5, 0.05 / 6)])
def test_detectable_difference_has_the_power_that_it_promises(n: int, alpha: float) -> None:
    arms = round(0.05 / alpha)
    true = stats.detectable(2.0, n, arms)
    critical = scipy_stats.t.isf(alpha / 2, n - 1)
    power = scipy_stats.nct.sf(critical, n - 1, true / 2.0 * np.sqrt(n))
    assert power == pytest.approx(0.8, abs=1e-6)


def test_detectable_difference_of_five_pairs_is_the_tabulated_one() -> None:
    assert stats.detectable(1.0, 5) == pytest.approx(1.682, abs=5e-4)  # dz of G*Power, two-sided, power 0.8


@pytest.mark.parametrize("case", RLIABLE, ids=lambda c: f"{np.shape(c['a'])}")
def test_agrees_with_rliable(case: dict) -> None:
    a, b = np.array(case["a"]), np.array(case["b"])
    assert stats.iqm(a) == pytest.approx(case["iqm"])
    assert stats.mean(a) == pytest.approx(case["mean"])
    by_task = [stats.improvement(a[:, i], b[:, i]) for i in range(a.shape[1])]
    assert np.mean(by_task) == pytest.approx(case["improvement"])


@pytest.mark.parametrize("case", RLIABLE, ids=lambda c: f"{np.shape(c['a'])}")
@pytest.mark.parametrize("statistic", ["iqm", "mean"])
def test_bootstrap_intervals_agree_with_rliable(case: dict, statistic: str) -> None:
    """Both draw at random: within a twentieth of the interval's width, at 20,000 draws."""
    a = np.array(case["a"])
    found = stats.stratified_bootstrap(a, getattr(stats, statistic), np.random.default_rng(3), 20_000)
    low, high = case[f"{statistic}_interval"]
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.05 * (high - low))


def test_item_bootstrap_is_as_wide_as_the_standard_error_says() -> None:
    d = np.random.default_rng(5).normal(0.02, 0.3, 800)
    found = stats.item_bootstrap(d, np.random.default_rng(0), 4000)
    half = 1.96 * d.std(ddof=1) / np.sqrt(800)
    assert found.mean == pytest.approx(d.mean())
    assert (found.low, found.high) == pytest.approx((d.mean() - half, d.mean() + half), abs=0.1 * half)
    assert np.isnan(stats.item_bootstrap(np.array([]), np.random.default_rng(0)).mean)


REPEATS = 800


def within(share: float, low: float, high: float) -> bool:
    """Whether a share of ``REPEATS`` may come from a probability in [low, high]: four standard errors."""
    return low - 4 * (low * (1 - low) / REPEATS) ** 0.5 <= share <= high + 4 * (high * (1 - high) / REPEATS) ** 0.5


@pytest.mark.parametrize("seeds", [3, 5, 10])
def test_intervals_and_verdicts_keep_their_promises(seeds: int) -> None:
    """The quick version of ``scripts/check_statistics.py``; the long one's table is what the page shows."""
    check = load_check()
    for row in check.rows(REPEATS, [seeds]):
        assert within(row["t"], 0.94, 0.96), row
        assert within(row["family_wise_error"], 0.0, 0.06), row
        assert within(row["power"], 0.78, 0.84), row
        low, high = {3: (0.70, 0.78), 5: (0.81, 0.86), 10: (0.88, 0.92)}[seeds]
        assert within(row["bootstrap"], low, high), row


def test_a_verdict_without_holm_would_be_found_out() -> None:
    """The check can fail: without the correction seven identical arms are told apart far too often."""
    check = load_check()
    rng = np.random.default_rng(1)
    wrong = 0
    for _ in range(400):
        arms = check.draw("normal", rng, (7, 5))
        wrong += any(stats.paired_p(arm - arms[0]) < 0.05 for arm in arms[1:])
    assert wrong / 400 > 0.12


def test_the_table_on_the_page_is_of_enough_repeats_and_says_what_was_promised() -> None:
    found = json.loads((Path(stats.__file__).parent / "assets" / "coverage.json").read_text())
    assert int(found["command"].split("--repeats ")[1].split()[0]) >= 2000
    assert {(row["kind"], row["seeds"]) for row in found["rows"]} == {
        (kind, seeds) for kind in ("normal", "skewed") for seeds in (3, 5, 10)
    }
    assert all(0.94 <= row["t"] <= 0.96 and row["family_wise_error"] <= 0.06 for row in found["rows"])
