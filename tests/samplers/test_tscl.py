"""TSCL: how fast a category's pass rate moves."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

from rftlab.core import InputError
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.tscl import TSCL
from rftlab.testing import MEDLEY, check_run, make_pool

POOL = replace(make_pool(40), category=np.arange(40) % 3)
OPEN = np.ones(3, bool)


def bound(**knobs) -> TSCL:
    tscl = TSCL(**knobs)
    tscl.bind(POOL, 8)
    return tscl


def watch(hand, tscl: TSCL, seen: list[tuple[int, dict[int, int]]]) -> TSCL:
    """Each step: passes of 8 by arm; the first task of the arm stands for it."""
    for step, wins in seen:
        tscl.observe(hand.feedback(list(wins), list(wins.values()), 8), SimpleNamespace(step=step))
    return tscl


def test_online_is_a_moving_average_of_the_changes_of_the_arms_that_were_drawn(hand) -> None:
    tscl = watch(hand, bound(), [(0, {0: 4, 1: 2}), (1, {0: 2})])
    first = 0.1 * 0.5
    np.testing.assert_allclose(tscl.q, [first + 0.1 * (0.25 - 0.5 - first), 0.1 * 0.25, 0])


def test_window_is_the_least_squares_slope_of_the_last_pairs(hand) -> None:
    steps, wins = [0, 1, 4, 5, 9, 10, 12], [0, 1, 5, 3, 6, 8, 7]
    tscl = watch(hand, bound(method="window", window=5), [(t, {0: w}) for t, w in zip(steps, wins, strict=True)])
    slope = np.polyfit(steps[-5:], np.array(wins[-5:]) / 8, 1)[0]
    np.testing.assert_allclose(tscl.slopes(), [slope, 1, 1])
    watch(hand, tscl, [(13, {1: 3})])
    assert tscl.slopes()[1] == 1, "one pair has no slope"
    watch(hand, tscl, [(15, {1: 2})])
    assert tscl.slopes()[1] == pytest.approx(-1 / 16)


def test_sampling_redraws_one_of_the_last_changes_for_every_slot(hand) -> None:
    tscl = bound(method="sampling", window=2)
    # changes of arm 0: 0.5 (forgotten), -0.25, 0.25; of arm 1: 0, 0.5; arm 2 gets 0 and 0
    watch(hand, tscl, [(0, {0: 4, 1: 0, 2: 0}), (1, {0: 2, 1: 4, 2: 0}), (2, {0: 4})])
    arms = tscl.draw(4000, OPEN, None, np.random.default_rng(0))
    share = np.bincount(arms, minlength=3) / 4000
    np.testing.assert_allclose(share, [0.5, 0.5, 0], atol=0.03)  # arm 1 wins with its 0.5, half of the time
    only = tscl.draw(100, np.array([True, False, True]), None, np.random.default_rng(0))
    assert set(only) == {0}


def test_sampling_prefers_what_was_never_tried_and_ties_are_random(hand) -> None:
    tscl = watch(hand, bound(method="sampling"), [(0, {0: 4})])
    assert set(tscl.draw(50, OPEN, None, np.random.default_rng(0))) == {1, 2}


def test_falling_counts_as_much_as_rising_unless_told_otherwise(hand) -> None:
    seen = [(0, {0: 8, 1: 2}), (1, {0: 0, 1: 4})]
    assert watch(hand, bound(lr=1.0, epsilon=0.0), seen).probabilities(None).tolist() == [1, 0, 0]
    assert watch(hand, bound(lr=1.0, epsilon=0.0, absolute=False), seen).probabilities(None).tolist() == [0, 1, 0]


def test_rules(hand) -> None:
    seen = [(0, {0: 1, 1: 4})]
    q = np.array([0.0125, 0.05, 0.0])
    np.testing.assert_allclose(watch(hand, bound(epsilon=0.3), seen).probabilities(None), [0.1, 0.8, 0.1])
    soft = np.exp(q / 0.05) / np.exp(q / 0.05).sum()
    found = watch(hand, bound(rule="boltzmann", tau=0.05), seen).probabilities(None)
    np.testing.assert_allclose(found, soft)


@pytest.mark.parametrize(
    "knobs", [{"method": "window"}, {"method": "sampling"}, {"rule": "boltzmann"}, {"absolute": False}], ids=str
)
def test_every_method_keeps_the_contract(knobs) -> None:
    check_run(lambda pool, g: TaskSampler(pool, TSCL(**knobs), Fixed(), All(), group_size=g), MEDLEY)


@pytest.mark.parametrize(
    "knobs",
    [{"method": "naive"}, {"lr": 0.0}, {"window": 1}, {"rule": "best"}, {"epsilon": -0.1}, {"tau": 0.0}],
    ids=str,
)
def test_values_out_of_range_are_named(knobs) -> None:
    with pytest.raises(InputError, match=f"sampler.selector.{next(iter(knobs))}="):
        TSCL(**knobs)
