"""The fast draw is the Beta distribution; the fitted prior is the one that made the counts."""

import numpy as np
import pytest
from scipy import stats

from rftlab.samplers.selectors.beliefs import WEIGHTS, draw, expected_moments, fitted, moments


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.41, 0.14), (1.0, 3.5), (12.0, 4.0)])
def test_the_draw_is_the_beta_distribution(alpha, beta) -> None:
    drawn = draw(np.full(20_000, alpha), np.full(20_000, beta), np.random.default_rng(3))
    assert stats.kstest(drawn, stats.beta(alpha, beta).cdf).pvalue > 0.01


def test_fresh_and_informed_tasks_are_drawn_side_by_side() -> None:
    alpha = np.tile([1.0, 500.0], 5000)
    beta = np.tile([1.0, 500.0], 5000)
    drawn = draw(alpha, beta, np.random.default_rng(0))
    assert stats.kstest(drawn[::2], "uniform").pvalue > 0.01
    assert np.abs(drawn[1::2] - 0.5).max() < 0.1


def test_beliefs_so_thin_that_gammas_would_vanish_are_still_numbers() -> None:
    drawn = draw(np.full(1000, 1e-4), np.full(1000, 1e-4), np.random.default_rng(0))
    assert np.isfinite(drawn).all() and 0.3 < (drawn > 0.5).mean() < 0.7


def test_moments_by_hand(hand) -> None:
    assert moments(hand.feedback([4, 9], [3, 0], [8, 2])).tolist() == [3.0, 10.0, 6.0, 58.0]
    assert moments(hand.feedback([], [], [])).tolist() == [0.0] * 4


@pytest.mark.parametrize(("alpha", "beta"), [(1.0, 1.0), (0.41, 0.14), (3.0, 9.0)])
def test_a_fit_to_expected_moments_gives_the_prior_back(alpha, beta) -> None:
    assert fitted(expected_moments(alpha, beta, 8)) == pytest.approx((alpha, beta))
    assert fitted(expected_moments(alpha, beta, 1)) == pytest.approx((alpha, beta))


@pytest.mark.parametrize("sizes", [[8], [2, 4, 16]])
def test_the_fit_finds_the_prior_behind_many_groups(sizes, hand) -> None:
    rng = np.random.default_rng(1)
    n = rng.choice(sizes, 20_000)
    wins = rng.binomial(n, rng.beta(0.41, 0.14, len(n)))
    alpha, beta = fitted(moments(hand.feedback(np.arange(len(n)), wins, n)))
    assert alpha == pytest.approx(0.41, rel=0.05) and beta == pytest.approx(0.14, rel=0.05)


def test_equal_tasks_and_opposite_tasks_are_kept_within_bounds(hand) -> None:
    alike = moments(hand.feedback(np.arange(50), np.full(50, 4), 8))
    opposite = moments(hand.feedback(np.arange(50), np.repeat([0, 8], 25), 8))
    assert fitted(alike) == pytest.approx((WEIGHTS[1] / 2,) * 2)
    assert fitted(opposite) == pytest.approx((WEIGHTS[0] / 2,) * 2)


@pytest.mark.parametrize("wins", [0, 8])
def test_all_right_or_all_wrong_leaves_a_proper_prior(wins, hand) -> None:
    sums = expected_moments(1.0, 1.0, 8)
    for step in range(50):
        sums = sums + moments(hand.feedback(np.arange(32) + 32 * step, np.full(32, wins), 8))
        alpha, beta = fitted(sums)
        assert alpha > 0 and beta > 0
    assert alpha / (alpha + beta) == pytest.approx(wins / 8, abs=0.01)
