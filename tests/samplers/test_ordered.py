"""Offline orders: one end first, every task once an epoch, unknown rates at the end."""

from dataclasses import replace

import numpy as np
import pytest

from rftlab.core import InputError
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.ordered import Ordered
from rftlab.testing import make_pool

NAN = float("nan")


def sampler_of(rates, **knobs) -> TaskSampler:
    rates = np.asarray(rates, float)
    pool = replace(make_pool(len(rates)), references={"a": rates}, reference_rollouts={"a": 8})
    return TaskSampler(pool, Ordered(**knobs), Fixed(), All(), group_size=4)


def asked(sampler: TaskSampler, hand, steps: int, p: int, **more) -> list[int]:
    tasks = []
    for step in range(steps):
        rounds, _ = hand.step(sampler, hand.context(sampler, step=step, p=p, **more), hand.mixed)
        tasks += [r.task for r in rounds[0]]
    return tasks


@pytest.mark.parametrize(("hard_first", "order"), [(False, [3, 1, 4, 0, 2]), (True, [0, 4, 1, 3, 2])])
def test_the_order_is_that_of_the_rates_and_unknown_ones_end_it(hard_first, order, hand) -> None:
    assert asked(sampler_of([0.1, 0.7, NAN, 0.9, 0.4], hard_first=hard_first), hand, 5, 1) == order


def test_a_pool_that_is_through_is_begun_anew(hand) -> None:
    assert asked(sampler_of([0.1, 0.7, 0.9]), hand, 3, 2) == [2, 1, 0, 2, 1, 0]


def test_equal_rates_fall_at_random_and_differently_in_every_epoch(hand) -> None:
    tasks = asked(sampler_of(np.repeat([0.5, 0.25], 50)), hand, 4, 50)
    first, again = tasks[:50], tasks[100:150]
    assert set(first) == set(again) == set(range(50))
    assert first != sorted(first) and first != again


def test_another_seed_is_another_order_among_equals(hand) -> None:
    one, two = (asked(sampler_of(np.full(50, 0.5)), hand, 1, 50, seed=seed) for seed in (0, 1))
    assert one != two


def test_without_a_known_rate_it_is_refused() -> None:
    with pytest.raises(InputError, match=r"sampler\.selector\.reference: .*rftlab profile"):
        sampler_of([NAN, NAN])
    with pytest.raises(InputError, match=r"sampler\.selector\.reference=b"):
        sampler_of([0.5], reference="b")
