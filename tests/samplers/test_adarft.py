"""AdaRFT: the controller, and no batch twice while it stands still."""

import math
from dataclasses import replace

import numpy as np
import pytest

from rftlab.core import InputError
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.adarft import AdaRFT
from rftlab.testing import make_pool


def pool(rates):
    rates = np.asarray(rates, float)
    return replace(make_pool(len(rates)), references={"a": rates}, reference_rollouts={"a": 16 * len(rates)})


def bound(rates, **knobs) -> AdaRFT:
    selector = AdaRFT(**knobs)
    selector.bind(pool(rates), 8)
    return selector


def test_the_target_moves_by_the_accuracy_of_the_batch(hand) -> None:
    ada = bound([0.5] * 4, start=20.0)
    ada.observe(hand.feedback([0, 1, 2], [8, 4, 0], [8, 8, 0]), None)  # 0.75 of what was graded
    expected = 20 + 50 * math.tanh(2 * 0.25)
    assert ada.level == pytest.approx(expected)
    ada.observe(hand.feedback([0], [0], 8), None)
    assert ada.level == pytest.approx(expected - 50 * math.tanh(1.0))


def test_the_target_stays_within_the_scale_and_where_nothing_was_graded(hand) -> None:
    ada = bound([0.5])
    ada.observe(hand.feedback([0], [0], 8), None)
    assert ada.level == 0.0
    for _ in range(5):
        ada.observe(hand.feedback([0], [8], 8), None)
    assert ada.level == 100.0
    ada.observe(hand.feedback([0], [0], [0]), None)
    assert ada.level == 100.0


def test_the_nearest_difficulties_are_asked_for(hand) -> None:
    rates = np.linspace(1, 0, 41)
    sampler = TaskSampler(pool(rates), AdaRFT(start=50.0, spread=1.0), Fixed(), All(), group_size=8)
    assert {r.task for r in sampler.ask(hand.context(sampler, p=5))} == {18, 19, 20, 21, 22}


def test_a_standing_target_goes_round_its_neighbourhood(hand) -> None:
    sampler = TaskSampler(pool(np.linspace(1, 0, 41)), AdaRFT(start=51.0, eta=0.0), Fixed(), All(), group_size=8)
    asked = []
    for step in range(8):
        rounds, _ = hand.step(sampler, hand.context(sampler, step=step, p=5), hand.mixed)
        asked += [r.task for r in rounds[0]]
        assert len(set(asked)) == min(5 * (step + 1), 20)
    assert sorted(asked) == sorted(2 * list(range(11, 31)))  # 4 batches of 5 lie nearest to 51


def test_unknown_rates_come_last(hand) -> None:
    sampler = TaskSampler(pool([np.nan, 0.0, np.nan, 0.1]), AdaRFT(spread=1.0), Fixed(), All(), group_size=8)
    order = [r.task for r in sampler.ask(hand.context(sampler, p=4))]
    assert set(order) == {0, 1, 2, 3}
    again = TaskSampler(pool([np.nan, 0.0, np.nan, 0.1]), AdaRFT(spread=1.0), Fixed(), All(), group_size=8)
    assert {r.task for r in again.ask(hand.context(again, p=2))} == {1, 3}


def test_its_reference_is_shown_and_its_cost_counted() -> None:
    sampler = TaskSampler(make_pool(10), AdaRFT(reference="strong"), Fixed(), All(), group_size=8)
    assert sampler.selector.references == ("strong",) and sampler.reference_rollouts() == 160


@pytest.mark.parametrize("knobs", [{"target": 2.0}, {"eta": -1.0}, {"start": 101.0}, {"spread": 0.5}], ids=str)
def test_values_out_of_range_are_named(knobs) -> None:
    with pytest.raises(InputError, match=f"sampler.selector.{next(iter(knobs))}="):
        AdaRFT(**knobs)
