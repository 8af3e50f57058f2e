"""Best, weighted and subset draws, against sorts and closed forms."""

import numpy as np
import pytest

from rftlab.core import Budget, StepContext
from rftlab.samplers.selectors.ranking import BLOCKS, _smallest, lowest, subset, weighted
from rftlab.samplers.stats import TaskStats

ALL = np.arange(6)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_the_lowest_come_first_and_only_from_among() -> None:
    score = np.array([5.0, 1, 4, 0, 3, 2])
    assert lowest(score, ALL, 3, rng()).tolist() == [3, 1, 5]
    assert lowest(score, np.array([0, 2, 4]), 2, rng()).tolist() == [4, 2]
    assert lowest(score, ALL, 9, rng()).tolist() == [3, 1, 5, 4, 2, 0]
    assert lowest(score, ALL[:0], 3, rng()).tolist() == [] and lowest(score, ALL, 0, rng()).tolist() == []


def test_ties_at_the_cut_are_drawn_evenly_and_stand_in_random_order() -> None:
    score = np.array([0.0, 1, 1, 1, 1, 9])
    drawn = [lowest(score, ALL, 3, rng(seed)).tolist() for seed in range(4000)]
    assert all(d[0] == 0 and 5 not in d for d in drawn)
    counts = np.bincount(np.ravel([d[1:] for d in drawn]), minlength=6)[1:5]
    np.testing.assert_allclose(counts / 4000, 0.5, atol=0.03)
    second = np.bincount([d[1] for d in drawn], minlength=6)[1:5]
    np.testing.assert_allclose(second / 4000, 0.25, atol=0.03)


def test_infinite_scores_come_last() -> None:
    assert set(lowest(np.array([np.inf, 1, np.inf, 0, np.inf, 2]), ALL, 4, rng())[:3]) == {1, 3, 5}


@pytest.mark.parametrize("values", ["random", "levels", "constant", "few below a tie", "infinite"])
@pytest.mark.parametrize("n", [1, 100, 4 * BLOCKS - 1, 4 * BLOCKS, 5 * BLOCKS + 37])
def test_the_smallest_is_that_of_a_sort(values: str, n: int) -> None:
    draw = rng(n)
    x = {
        "random": draw.random(n),
        "levels": draw.integers(0, 4, n) / 4,
        "constant": np.full(n, 0.5),
        "few below a tie": np.where(draw.random(n) < 0.001, draw.random(n) - 1, 0.5),
        "infinite": np.where(draw.random(n) < 0.9, np.inf, draw.random(n)),
    }[values]
    ordered = np.sort(x)
    for m in {1, min(n, 7), min(n, 256), min(n, 1500), n}:
        assert _smallest(x, m) == ordered[m - 1]


def test_a_weighted_draw_goes_in_proportion_one_after_another() -> None:
    weight = np.array([1.0, 2, 5, 0, 0, 2])
    drawn = np.array([weighted(weight, ALL, 2, rng(seed)) for seed in range(8000)])
    first = np.bincount(drawn[:, 0], minlength=6) / 8000
    np.testing.assert_allclose(first, weight / 10, atol=0.015)
    after_two = np.bincount(drawn[drawn[:, 0] == 2, 1], minlength=6)
    np.testing.assert_allclose(after_two / after_two.sum(), [0.2, 0.4, 0, 0, 0, 0.4], atol=0.02)


def test_weightless_tasks_fill_up_at_random() -> None:
    weight = np.array([0.0, 3, 0, 0, 0, 1])
    drawn = [weighted(weight, ALL, 4, rng(seed)).tolist() for seed in range(3000)]
    assert all(set(d[:2]) == {1, 5} for d in drawn)
    counts = np.bincount(np.ravel([d[2:] for d in drawn]), minlength=6)
    np.testing.assert_allclose(counts[[0, 2, 3, 4]] / 3000, 0.5, atol=0.04)


def test_a_subset_counts_in_batches_and_suffices() -> None:
    ctx = StepContext(0, 0, 4, 8, 0.0, Budget(1, 1), TaskStats(100), 0)
    among = np.arange(0, 100, 2)
    assert subset(among, 4, None, ctx, rng()) is among
    chosen = subset(among, 4, 2.5, ctx, rng())
    assert len(chosen) == 10 == len(set(chosen.tolist())) and set(chosen.tolist()) <= set(among.tolist())
    assert len(subset(among, 20, 2.5, ctx, rng())) == 20 and len(subset(among, 4, 99, ctx, rng())) == 50
