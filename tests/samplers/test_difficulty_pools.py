"""Difficulty pools: whose weight is whose."""

import numpy as np
import pytest

from rftlab.core import InputError
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.difficulty_pools import DifficultyPools
from rftlab.testing import make_pool

RATES = np.array([0.0, 0.25, 0.26, 0.75, 0.76, 1.0, np.nan])  # hard, hard, normal, normal, easy, easy, unseen


def first(hand, seeds: int, p=1, **knobs) -> np.ndarray:
    sampler = TaskSampler(make_pool(7), DifficultyPools(**knobs), Fixed(), All(), group_size=4)
    sampler.stats.last_rate[:] = RATES
    drawn = []
    for seed in range(seeds):
        ctx = hand.context(sampler, p=p, seed=seed).view("selector/propose", frozenset())
        drawn += sampler.selector.propose(p, ctx, np.zeros(7, bool)).tolist()
    return np.bincount(drawn, minlength=7) / seeds


def test_tasks_are_drawn_by_the_weight_of_the_pool_of_their_last_rate(hand) -> None:
    weights = np.array([0.2, 0.2, 1, 1, 0.2, 0.2, 1])
    np.testing.assert_allclose(first(hand, 4000), weights / weights.sum(), atol=0.025)
    weights = np.array([3, 1, 1, 2, 2, 2, 5])
    knobs = {"hard": 3, "normal": 1, "easy": 2, "unseen": 5, "hard_up_to": 0.0, "normal_up_to": 0.5}
    np.testing.assert_allclose(first(hand, 4000, **knobs), weights / weights.sum(), atol=0.025)


def test_a_pool_of_weight_zero_comes_last(hand) -> None:
    found = first(hand, 50, p=3, hard=0.0, easy=0.0)
    assert found.tolist() == [0, 0, 1, 1, 0, 0, 1]
    assert first(hand, 50, p=5, hard=0.0, easy=0.0)[[2, 3, 6]].tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    "knobs", [{"hard": -0.1}, {"unseen": float("inf")}, {"easy": float("nan")}, {"hard_up_to": 0.8}], ids=str
)
def test_values_out_of_range_are_named(knobs) -> None:
    with pytest.raises(InputError, match=f"sampler.selector.{next(iter(knobs))}="):
        DifficultyPools(**knobs)
