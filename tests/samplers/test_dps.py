"""DPS against the authors' numbers, and what is left out of a step because it changes nothing."""

import json
from pathlib import Path

import numpy as np
import pytest

from rftlab.core import InputError
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.dps import DPS
from rftlab.testing import check_sampler, make_pool

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "dps.json").read_text())


def bound(n: int, **knobs) -> DPS:
    selector = DPS(**{"candidates": None} | knobs)
    selector.bind(make_pool(n), 8)
    return selector


def pi_of(dps: DPS) -> np.ndarray:
    """Predicted states, [N, 3]."""
    return dps._predicted(np.arange(len(dps.live)))[0].T


def counts_of(dps: DPS) -> np.ndarray:
    """Transition counts, [N, to, from]."""
    return np.moveaxis(dps.counts, 2, 0)


@pytest.mark.parametrize("case", VECTORS["cases"], ids=lambda c: f"lam={c['lambda_']}")
def test_beliefs_reproduce_the_authors_numbers(case, hand) -> None:
    dps = bound(case["N"], lam=case["lambda_"], prior_alpha=case["prior_alpha"])
    for step, after in zip(case["steps"], case["trace"], strict=True):
        dps.observe(hand.feedback(step["selected"], step["successes"], case["n_rollouts"]), None)
        np.testing.assert_allclose(pi_of(dps), after["prior_next"], rtol=1e-6)
        np.testing.assert_allclose(counts_of(dps), after["dirichlet"], rtol=1e-6)


def test_what_is_kept_of_a_task_is_at_most_64_bytes() -> None:
    state = bound(1000).state_dict()
    assert sum(array.nbytes for array in state.values()) <= 64 * 1000


def test_the_first_step_by_hand(hand) -> None:
    dps = bound(2, lam=0.5)
    dps.observe(hand.feedback([0], [4], 8), None)
    counts = np.ones((3, 3))
    counts[1] += 1 / 3  # from each state alike to state 2
    np.testing.assert_allclose(counts_of(dps)[0], counts, rtol=1e-6)
    np.testing.assert_allclose(pi_of(dps)[0], [0.3, 0.4, 0.3], rtol=1e-6)
    assert (pi_of(dps)[1] == pytest.approx(1 / 3)) and not dps.live[1]


def test_a_task_out_of_sight_follows_the_chain_and_forgets(hand) -> None:
    """The recursion for one task in a plain loop, against many steps without it."""
    dps = bound(3, lam=0.6)
    dps.observe(hand.feedback([1], [8], 8), None)
    dps.observe(hand.feedback([1], [0], 8), None)
    counts, belief = counts_of(dps)[1].astype(float), np.array([1.0, 0.0, 0.0])
    for _ in range(6):
        belief = counts / counts.sum(axis=0) @ belief
        counts = 0.6 * counts + 0.4
        dps.observe(hand.feedback([0], [4], 8), None)
        np.testing.assert_allclose(pi_of(dps)[1], counts / counts.sum(axis=0) @ belief, rtol=1e-5)


def test_what_has_forgotten_everything_is_the_prior_again_and_costs_no_more(hand) -> None:
    dps = bound(3, lam=0.5)
    dps.observe(hand.feedback([1], [8], 8), None)
    for _ in range(60):
        dps.observe(hand.feedback([], [], []), None)
    assert not dps.live.any()
    assert (counts_of(dps)[1] == 1).all() and (dps.belief[:, 1] == np.float32(1 / 3)).all()


def test_without_forgetting_nothing_is_put_back(hand) -> None:
    dps = bound(2, lam=1.0)
    dps.observe(hand.feedback([1], [8], 8), None)
    for _ in range(60):
        dps.observe(hand.feedback([], [], []), None)
    assert dps.live[1] and counts_of(dps)[1].sum() == pytest.approx(10)


@pytest.mark.parametrize(("wins", "trials", "state"), [(0, 8, 0), (3, 3, 2), (1, 2, 1), (1, 1, 2)])
def test_the_state_is_read_from_what_came_back(wins, trials, state, hand) -> None:
    dps = bound(1)
    dps.observe(hand.feedback([0], [wins], [trials]), None)
    assert dps.belief[:, 0].argmax() == state


def test_a_group_that_could_not_be_graded_is_no_observation(hand) -> None:
    dps = bound(2)
    dps.observe(hand.feedback([0], [0], [0]), None)
    assert not dps.live.any()


def test_the_likely_partly_right_are_asked_for_and_the_unknown_before_the_settled(hand) -> None:
    sampler = TaskSampler(make_pool(30), DPS(), Fixed(), All(), group_size=8)
    sampler.selector.observe(hand.feedback(np.arange(20), np.repeat([4, 8], 10), 8), None)
    assert {r.task for r in sampler.ask(hand.context(sampler, p=10))} == set(range(10))
    again = TaskSampler(make_pool(30), DPS(), Fixed(), All(), group_size=8)
    again.selector.observe(hand.feedback(np.arange(20), np.repeat([0, 8], 10), 8), None)
    assert {r.task for r in again.ask(hand.context(again, p=10))} == set(range(20, 30))


def test_entropy_can_outweigh_the_prediction(hand) -> None:
    asked = []
    for weight in (0.0, 10.0):
        sampler = TaskSampler(make_pool(2), DPS(lam=1.0, entropy_weight=weight), Fixed(), All(), group_size=8)
        for _ in range(5):
            sampler.selector.observe(hand.feedback([0], [4], 8), None)
        asked.append(sampler.ask(hand.context(sampler, p=1))[0].task)
    assert asked == [0, 1]


def test_the_expected_rate_is_full_marks_plus_the_last_partial_rate(hand) -> None:
    dps = bound(3)
    dps.observe(hand.feedback([0, 1], [6, 8], 8), None)
    pi = pi_of(dps)
    assert dps.predict() == pytest.approx([pi[0, 2] + pi[0, 1] * 0.7, pi[1, 2] + pi[1, 1] * 0.5, 0.5], rel=1e-6)


@pytest.mark.parametrize("knobs", [{"lam": 1.1}, {"prior_alpha": 0.0}, {"candidates": 0.5}], ids=str)
def test_values_out_of_range_are_named(knobs) -> None:
    with pytest.raises(InputError, match=f"sampler.selector.{next(iter(knobs))}="):
        DPS(**knobs)


@pytest.mark.parametrize("knobs", [{"lam": 1.0, "candidates": 2}, {"lam": 0.0, "entropy_weight": 0.5}], ids=str)
def test_every_option_keeps_the_contract(knobs) -> None:
    check_sampler(lambda pool, g: TaskSampler(pool, DPS(**knobs), Fixed(), All(), group_size=g), steps=4)
