"""The second round of DARS against the published schedule and its closed forms."""

import math

import numpy as np
import pytest

from rftlab.core import InputError
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.allocators.dars import DARS
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.uniform import Uniform
from rftlab.testing import make_pool


def totals(hand, allocator, wins, g=8) -> list[int]:
    pool = make_pool(12)
    allocator.bind(pool, g)
    ctx = hand.context(TaskSampler(pool, Uniform(), Fixed(), All(), group_size=g), g=g)
    assert allocator.first(np.arange(len(wins)), ctx).tolist() == [g] * len(wins)
    return (g + allocator.more(hand.feedback(np.arange(len(wins)), wins, g), ctx)).tolist()


# worked by hand for N = 8 and k = 0..4 passes; the first of each row is the cap, the release's n_max
@pytest.mark.parametrize(
    ("allocator", "expected"),
    [
        (DARS("et", std=False), [32, 19, 11, 9, 8]),
        (DARS("hw", std=False), [64, 32, 16, 11, 8]),
        # S = 2 sqrt(a (1 - a)): k = 1: S = .6614, (8 - 5.2915) / .6614 = 4.09; k = 0 has a = 1/16, S = .4841
        (DARS("et", std=True), [8 + 9, 8 + 5, 8 + 2, 8 + 1, 8]),
        (DARS("hw", std=True), [8 + 23, 8 + 14, 8 + 6, 8 + 3, 8]),
    ],
    ids=["et", "hw", "et std", "hw std"],
)
def test_totals_of_eight(hand, allocator, expected) -> None:
    assert totals(hand, allocator, [0, 1, 2, 3, 4]) == expected
    assert totals(hand, allocator, [5, 6, 7, 8]) == [8, 8, 8, 8]


@pytest.mark.parametrize("g", [4, 6, 7, 10, 16])
def test_hw_without_std_makes_half_a_group_of_expected_passes(hand, g) -> None:
    wins = [k for k in range(1, g) if 2 * k < g][:12]
    found = totals(hand, DARS("hw", std=False, cap=1000), wins, g)
    assert found == [math.ceil(g * g / (2 * k)) for k in wins]  # N / (2a), a = k / N


def test_et_evens_out_the_cumulative_advantage(hand) -> None:
    wins = np.array([1, 2, 3])
    a = wins / 8
    found = totals(hand, DARS("et", std=False, cap=1000), wins)
    weight = np.array(found) * a * (1 - a)
    assert (weight >= 2 - 1e-9).all() and (weight < 2 + a * (1 - a)).all()  # N / 4, and at most one rollout above


def test_a_second_round_is_the_last_and_faults_do_not_count(hand) -> None:
    allocator = DARS(std=False)
    pool = make_pool(12)
    allocator.bind(pool, 8)
    ctx = hand.context(TaskSampler(pool, Uniform(), Fixed(), All(), group_size=8), g=8)
    more = allocator.more(hand.feedback([0, 1, 2], [1, 0, 1], [19, 0, 4]), ctx)
    assert more.tolist() == [0, 0, 3]  # a = 1/4 as of 2 in 8
    assert allocator.rounds() == 2


@pytest.mark.parametrize(("make", "words"), [(lambda: DARS("at"), "variant=at"), (lambda: DARS(cap=7), "cap=7")])
def test_refusals(make, words) -> None:
    with pytest.raises(InputError, match=f"sampler.allocator.{words}"):
        make().bind(make_pool(4), 8)
