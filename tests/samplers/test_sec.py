"""SEC: the moving average of a category's advantage, and what is drawn from it."""

from dataclasses import replace

import numpy as np
import pytest

from rftlab.core import InputError, Need
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.sec import SEC
from rftlab.testing import MEDLEY, check_run, make_pool

POOL = replace(make_pool(40), category=np.arange(40) % 3)


def bound(**knobs) -> SEC:
    sec = SEC(**knobs)
    sec.bind(POOL, 8)
    return sec


def told(hand, tasks, advantages, wins=4, trials=8):
    fb = hand.feedback(tasks, np.broadcast_to(wins, len(tasks)), trials)
    return replace(fb, abs_advantage=np.array(advantages, float))


def test_q_follows_the_mean_absolute_advantage_of_the_arms_that_were_drawn(hand) -> None:
    sec = bound(alpha=0.5)
    sec.observe(told(hand, [0, 3, 1], [0.8, 0.4, 0.2]), None)  # tasks 0 and 3: arm 0, task 1: arm 1
    np.testing.assert_allclose(sec.q, [0.3, 0.1, 0.0])
    assert sec.tried.tolist() == [True, True, False]
    sec.observe(told(hand, [1, 2], [1.0, 0.6]), None)
    np.testing.assert_allclose(sec.q, [0.3, 0.55, 0.3])


def test_the_release_lets_arms_decay_that_were_not_drawn(hand) -> None:
    sec = bound(alpha=0.5, decay_unseen=True)
    sec.observe(told(hand, [0], [0.8]), None)
    sec.observe(told(hand, [1], [0.8]), None)
    np.testing.assert_allclose(sec.q, [0.2, 0.4, 0.0])


def test_a_step_without_a_graded_rollout_teaches_nothing_but_turns(hand) -> None:
    sec = bound()
    sec.observe(told(hand, [0, 1], [np.nan, np.nan], wins=0, trials=0), None)
    assert not sec.q.any() and not sec.tried.any()
    assert sec.turns[:3].tolist() == [1, 1, 0]


@pytest.mark.parametrize(
    ("objective", "reward"), [("advantage", 0.9), ("normalized", 2 * np.sqrt(0.1875)), ("unnormalized", 0.375)]
)
def test_objectives(hand, objective, reward) -> None:
    sec = bound(alpha=1.0, objective=objective)
    sec.observe(told(hand, [0], [0.9], wins=2), None)
    np.testing.assert_allclose(sec.q, [reward, 0, 0])
    assert (Need.ADVANTAGE in sec.needs()) == (objective == "advantage")
    assert Need.CATEGORY in sec.needs()


def test_probabilities_of_the_three_methods() -> None:
    q = np.array([0.1, 0.3, 0.2])
    for knobs, wanted in (
        ({"method": "boltzmann", "tau": 0.2}, np.exp(q / 0.2) / np.exp(q / 0.2).sum()),
        ({"method": "normalized_q"}, [1 / 6, 1 / 2, 1 / 3]),
        ({"method": "greedy", "epsilon": 0.3}, [0.1, 0.8, 0.1]),
    ):
        sec = bound(**knobs)
        sec.q, sec.tried = q.copy(), np.ones(3, bool)
        np.testing.assert_allclose(sec.probabilities(None), wanted)


def test_normalized_q_gives_every_arm_a_first_try() -> None:
    sec = bound(method="normalized_q")
    np.testing.assert_allclose(sec.probabilities(None), [1 / 3] * 3)
    sec.q, sec.tried = np.array([0.4, 0.2, 0.0]), np.array([True, True, False])
    np.testing.assert_allclose(sec.probabilities(None), [0.4, 0.2, 0.4])
    sec.q, sec.tried = np.zeros(3), np.ones(3, bool)
    np.testing.assert_allclose(sec.probabilities(None), [1 / 3] * 3)


def test_a_batch_comes_from_the_categories_that_teach(hand) -> None:
    sampler = TaskSampler(POOL, SEC(tau=0.05), Fixed(), All(), group_size=4)
    sampler.selector.q = np.array([0.0, 0.9, 0.0])
    assert {r.task % 3 for r in sampler.ask(hand.context(sampler, p=10))} == {1}


@pytest.mark.parametrize("knobs", [{"method": "normalized_q"}, {"method": "greedy"}, {"decay_unseen": True}], ids=str)
def test_every_method_keeps_the_contract(knobs) -> None:
    check_run(lambda pool, g: TaskSampler(pool, SEC(**knobs), Fixed(), All(), group_size=g), MEDLEY)


@pytest.mark.parametrize(
    "knobs", [{"alpha": 0.0}, {"tau": 0.0}, {"method": "best"}, {"epsilon": 1.5}, {"objective": "progress"}], ids=str
)
def test_values_out_of_range_are_named(knobs) -> None:
    with pytest.raises(InputError, match=f"sampler.selector.{next(iter(knobs))}="):
        SEC(**knobs)
