"""DUMP: window means and the bonus."""

import math
from collections import deque
from dataclasses import replace

import numpy as np
import pytest

from rftlab.core import InputError, Need
from rftlab.samplers.selectors.dump import DUMP
from rftlab.testing import make_pool

POOL = replace(make_pool(40), category=np.arange(40) % 3)


def bound(**knobs) -> DUMP:
    dump = DUMP(**knobs)
    dump.bind(POOL, 8)
    return dump


def test_the_bound_against_a_plain_loop(hand) -> None:
    dump = bound(window=20)
    windows, counts = [deque(maxlen=20) for _ in range(3)], [0, 0, 0]
    rng = np.random.default_rng(0)
    for _ in range(12):
        tasks = rng.choice(40, size=int(rng.integers(1, 9)), replace=False)
        trials = rng.integers(1, 26, len(tasks))
        advantages = rng.random(len(tasks))
        fb = hand.feedback(tasks, trials // 2, trials)
        dump.observe(replace(fb, abs_advantage=advantages), None)
        for task, n, a in zip(tasks, trials, advantages, strict=True):
            windows[task % 3].extend([a] * n)
            counts[task % 3] += int(n)
        for arm in range(3):
            mean = sum(windows[arm]) / len(windows[arm]) if windows[arm] else 0.0
            bonus = math.sqrt(2 * math.log(sum(counts) + 1) / (counts[arm] + 1))
            assert dump.bound()[arm] == pytest.approx(mean + bonus)


def test_probabilities_are_a_sharp_softmax_of_the_bound(hand) -> None:
    dump = bound()
    np.testing.assert_allclose(dump.probabilities(None), [1 / 3] * 3)
    fb = hand.feedback(np.arange(36), [4] * 36, 8)
    dump.observe(replace(fb, abs_advantage=np.where(np.arange(36) % 3 == 1, 0.5, 0.4)), None)
    np.testing.assert_allclose(dump.probabilities(None), np.array([1, math.e, 1]) / (2 + math.e))


def test_an_arm_that_was_tried_less_has_the_larger_bonus(hand) -> None:
    dump = bound()
    dump.observe(replace(hand.feedback([0, 3, 1], [4] * 3, 8), abs_advantage=np.full(3, 0.5)), None)
    mean, n = np.array([0.5, 0.5, 0.0]), np.array([16, 8, 0])
    np.testing.assert_allclose(dump.bound(), mean + np.sqrt(2 * np.log(25) / (n + 1)))
    flat = bound(explore=0.0)
    flat.observe(replace(hand.feedback([0], [4], 8), abs_advantage=np.array([0.5])), None)
    np.testing.assert_allclose(flat.bound(), [0.5, 0, 0])


def test_it_needs_categories_and_advantages_and_counts_stand_in_for_untold_ones(hand) -> None:
    dump = bound()
    assert dump.needs() == {Need.CATEGORY, Need.ADVANTAGE}
    dump.observe(hand.feedback([0, 1], [4, 0], 8), None)
    np.testing.assert_allclose(dump.recent.sum(1), [8.0, 0.0, 0.0])


@pytest.mark.parametrize("knobs", [{"window": 0}, {"tau": 0.0}, {"explore": -1.0}], ids=str)
def test_values_out_of_range_are_named(knobs) -> None:
    with pytest.raises(InputError, match=f"sampler.selector.{next(iter(knobs))}="):
        DUMP(**knobs)
