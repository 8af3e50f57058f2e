"""Uniform: epochs without replacement, whatever else happens."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from rftlab.samplers.admissions.everything import All
from rftlab.samplers.admissions.nonzero_var import NonzeroVar
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.uniform import Uniform
from rftlab.testing import make_pool


def order_of(hand, steps: int, n=20, p=4, seed=0, admission=None, **knobs) -> list[int]:
    sampler = TaskSampler(make_pool(n), Uniform(**knobs), Fixed(), admission or All(), group_size=4)
    turns = [hand.step(sampler, hand.context(sampler, i, p, seed=seed), hand.mixed)[0] for i in range(steps)]
    return [r.task for rounds in turns for turn in rounds for r in turn]


def test_every_epoch_visits_every_task_once_in_an_order_of_its_own(hand) -> None:
    order = order_of(hand, steps=15)
    epochs = [order[i : i + 20] for i in (0, 20, 40)]
    assert all(sorted(epoch) == list(range(20)) for epoch in epochs)
    assert epochs[0] != epochs[1] != epochs[2] != epochs[0]


def test_the_order_is_the_seeds_and_not_the_batch_sizes(hand) -> None:
    assert order_of(hand, steps=10) == order_of(hand, steps=4, p=10)
    assert order_of(hand, steps=10) != order_of(hand, steps=10, seed=1)


def test_a_batch_over_the_end_of_an_epoch_holds_no_task_twice(hand) -> None:
    order = order_of(hand, steps=40, n=7, p=5)
    for i in range(0, len(order), 5):
        assert len(set(order[i : i + 5])) == 5
    assert np.bincount(order).max() - np.bincount(order).min() <= 1


def test_replacement_draws_every_batch_from_the_whole_pool(hand) -> None:
    order = order_of(hand, steps=10, replacement=True)
    assert len(set(order[:20])) < 20
    assert all(len(set(order[i : i + 4])) == 4 for i in range(0, 40, 4))


@settings(max_examples=30)
@given(n=st.integers(1, 30), p=st.integers(1, 12), dead=st.floats(0, 1))
def test_refills_and_rejects_put_no_task_two_turns_ahead_of_another(hand, n, p, dead) -> None:
    sampler = TaskSampler(make_pool(n), Uniform(), Fixed(), NonzeroVar(oversample=1.5), group_size=4)
    rng = np.random.default_rng(0)
    for step in range(12):
        ctx = hand.context(sampler, step, p, rollouts=60)
        hand.step(sampler, ctx, lambda r: hand.right(r) if rng.random() < dead else hand.mixed(r))
        assert np.ptp(sampler.selector.turns) <= 1
