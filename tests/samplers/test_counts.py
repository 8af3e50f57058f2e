"""What a visit is worth by a task's own counts."""

import numpy as np
import pytest

from rftlab.core import InputError
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.counts import Counts
from rftlab.testing import check_sampler, make_pool


def bound(n: int, **knobs) -> Counts:
    selector = Counts(**knobs)
    selector.bind(make_pool(n), 8)
    return selector


def test_learnability_and_failure_by_hand(hand) -> None:
    for utility, worth in (("learnability", [25 / 110, 9 / 110, 1 / 6]), ("failure", [0.5, 0.9, 0.5])):
        counts = bound(3, utility=utility)
        counts.observe(hand.feedback([0, 1], [4, 0], 8), None)
        assert counts.worth() == pytest.approx(worth)


def test_learnability_is_the_expectation_over_the_belief(hand) -> None:
    counts = bound(1, alpha0=0.5, beta0=2.0)
    counts.observe(hand.feedback([0], [3], [5]), None)
    p = np.random.default_rng(0).beta(3.5, 4.0, 400_000)
    assert counts.worth()[0] == pytest.approx((p * (1 - p)).mean(), rel=1e-3)


def test_old_counts_are_discounted_at_a_visit_only(hand) -> None:
    counts = bound(2, lam=0.5)
    counts.observe(hand.feedback([0, 1], [8, 8], 8), None)
    counts.observe(hand.feedback([0, 1], [0, 0], [8, 0]), None)
    assert counts.passes.tolist() == [4.0, 8.0] and counts.failures.tolist() == [8.0, 0.0]
    assert counts.predict() == pytest.approx([5 / 14, 0.9])


def test_top_takes_the_learnable_then_the_unknown_then_the_settled(hand) -> None:
    sampler = TaskSampler(make_pool(30), Counts(), Fixed(), All(), group_size=8)
    sampler.selector.observe(hand.feedback(np.arange(20), np.repeat([4, 8], 10), 8), None)
    order = [r.task for r in sampler.ask(hand.context(sampler, p=30))]
    assert [set(order[i : i + 10]) for i in (0, 10, 20)] == [set(range(10)), set(range(20, 30)), set(range(10, 20))]
    assert order[10:20] != sorted(order[10:20])


def test_proportional_draws_as_often_as_the_worth_says(hand) -> None:
    sampler = TaskSampler(make_pool(3), Counts("failure", "proportional"), Fixed(), All(), group_size=8)
    sampler.selector.observe(hand.feedback([0, 1], [0, 8], 8), None)  # worth 0.9, 0.1, 0.5
    first = []
    for step in range(3000):
        ctx = hand.context(sampler, step=step).view("selector/propose", frozenset())
        first.append(sampler.selector.propose(1, ctx, np.zeros(3, bool))[0])
    assert np.bincount(first) / 3000 == pytest.approx([0.6, 1 / 15, 1 / 3], abs=0.03)


@pytest.mark.parametrize("knobs", [{"utility": "x"}, {"rule": "x"}, {"lam": -0.1}, {"alpha0": 0.0}], ids=str)
def test_values_out_of_range_are_named(knobs) -> None:
    with pytest.raises(InputError, match=f"sampler.selector.{next(iter(knobs))}="):
        Counts(**knobs)


@pytest.mark.parametrize("rule", ["top", "proportional"])
@pytest.mark.parametrize("utility", ["learnability", "failure"])
def test_every_option_keeps_the_contract(utility, rule) -> None:
    check_sampler(lambda pool, g: TaskSampler(pool, Counts(utility, rule), Fixed(), All(), group_size=g), steps=4)
