"""BOTS against the authors' numbers, and where the equation alone would break."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rftlab.core import InputError, TaskPool
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.bots import BOTS
from rftlab.samplers.selectors.ranking import lowest
from rftlab.testing import check_sampler, make_pool

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "bots.json").read_text())
W, S = np.array(VECTORS["weak"], float), np.array(VECTORS["strong"], float)


def pool_of(w=W, s=S, **more) -> TaskPool:
    return replace(make_pool(len(w)), references={"w": np.asarray(w, float), "s": np.asarray(s, float)}, **more)


def bound(pool: TaskPool, m: int = 16, **knobs) -> BOTS:
    selector = BOTS(**knobs)
    selector.bind(pool, m)
    return selector


@pytest.mark.parametrize("scenario", VECTORS["scenarios"], ids=lambda s: s["name"])
def test_paper_mode_reproduces_the_authors_numbers(scenario, hand) -> None:
    bots = bound(
        pool_of(), scenario["m"], lam=scenario["lambda"], rho=scenario["rho"], gamma=scenario["gamma"],
        adaptive_rho=scenario["adaptive_rho"], mode="paper", mu_eps=VECTORS["eps"], weak="w", strong="s",
    )  # fmt: skip
    if scenario["rho"] == 0:  # mu is then of no consequence and is not computed
        assert not bots.known.any()
    for step in scenario["steps"]:
        bots.observe(hand.feedback(step["selected"], step["pass_counts"], scenario["m"]), None)
        np.testing.assert_allclose(bots.alpha, step["alpha"], rtol=1e-9)
        np.testing.assert_allclose(bots.beta, step["beta"], rtol=1e-9)
        if scenario["rho"] > 0:
            assert bots.mu == pytest.approx(step["mu_smoothed"], rel=1e-9)
            assert bots.rho == pytest.approx(step["rho_after"])
            np.testing.assert_allclose(bots.implicit(), step["p_tilde"], rtol=1e-9, atol=1e-11)
        everyone, rng = np.arange(len(W)), np.random.default_rng(0)
        drawn = lowest(np.abs(np.array(step["thompson_theta"]) - 0.5), everyone, 5, rng)
        assert drawn.tolist() == step["thompson_next"]
        greedy = np.abs(bots.predict() - 0.5)
        chosen = lowest(greedy, everyone, 5, rng)  # equal scores may swap, so scores are compared
        np.testing.assert_allclose(np.sort(greedy[chosen]), np.sort(greedy[step["greedy_next"]]), atol=1e-12)


def test_robust_mode_gives_the_same_numbers_on_healthy_batches(hand) -> None:
    scenario = VECTORS["scenarios"][0]
    paper, robust = bound(pool_of(), mode="paper"), bound(pool_of())
    for step in scenario["steps"]:
        fb = hand.feedback(step["selected"], step["pass_counts"], 16)
        paper.observe(fb, None)
        robust.observe(fb, None)
    np.testing.assert_array_equal(paper.alpha, robust.alpha)
    assert paper.mu == robust.mu != 0


def test_a_batch_on_which_the_references_agree_does_not_move_mu(hand) -> None:
    flat = hand.feedback([11], [16], 16)  # w = s = 0.5: the paper's equation divides by nothing
    robust, paper = bound(pool_of()), bound(pool_of(), mode="paper", mu_eps=1e-6)
    for bots in (robust, paper):
        bots.observe(hand.feedback([5, 8], [4, 8], 16), None)
    before = robust.mu
    for bots in (robust, paper):
        bots.observe(flat, None)
    assert robust.mu == before
    assert abs(paper.mu) > 1000


def test_mu_stays_within_its_range_in_robust_mode(hand) -> None:
    bots = bound(pool_of(w=[0.4, 0.1], s=[0.46, 0.9]), gamma=0.0)
    bots.observe(hand.feedback([0], [16], 16), None)
    assert bots.mu == 2.0


def test_the_pseudo_count_is_the_group_size_and_the_real_count_what_came_back(hand) -> None:
    bots = bound(pool_of(w=[0.0, 0.5], s=[1.0, 0.5]), m=8, lam=0.0, rho=0.5)
    bots.observe(hand.feedback([0], [2], 3), None)
    assert (bots.alpha[0], bots.beta[0]) == (3.0, 2.0)
    assert bots.alpha[1] + bots.beta[1] - 2 == pytest.approx(0.5 * 8)


def test_every_task_decays_once_a_step_also_when_nothing_was_seen(hand) -> None:
    bots = bound(pool_of(), lam=0.25, rho=0.0)
    bots.observe(hand.feedback([0], [8], 8), None)
    bots.observe(hand.feedback([], [], []), None)
    assert bots.alpha[0] == pytest.approx(0.75 * 9 + 0.25)


def test_evidence_settles_at_n_over_lambda_when_seen_and_rho_n_over_lambda_when_not(hand) -> None:
    bots = bound(pool_of(), m=16, lam=0.1, rho=0.1)
    for _ in range(300):
        bots.observe(hand.feedback([5], [8], 16), None)
    assert bots.alpha[5] + bots.beta[5] - 2 == pytest.approx(160)
    assert bots.alpha[0] + bots.beta[0] - 2 == pytest.approx(16)


def test_unknown_rates_get_no_guess_and_poison_nobody(hand) -> None:
    w, s = W.copy(), S.copy()
    w[3] = s[5] = np.nan
    bots = bound(pool_of(w, s))
    bots.observe(hand.feedback([3, 7, 9], [3, 6, 8], 16), None)  # 3 is unknown and observed, 5 unknown and not
    assert np.isfinite(bots.alpha).all() and np.isfinite(bots.beta).all()
    assert bots.mu == pytest.approx((14 / 32 - w[[7, 9]].mean()) / (s[[7, 9]].mean() - w[[7, 9]].mean()))
    assert (bots.alpha[5], bots.beta[5]) == (1.0, 1.0)
    assert bots.alpha[3] == 1.0 + 3


@pytest.mark.parametrize("names", [[], ["w"]])
def test_without_two_references_rho_is_zero_and_said_aloud(names, caplog) -> None:
    pool = replace(make_pool(20), references=dict.fromkeys(names, W))
    with caplog.at_level(logging.WARNING):
        bots = bound(pool)
    assert bots.rho == 0.0 and bots.metrics()["rho"] == 0.0
    assert "rho = 0" in caplog.text
    assert not bots.references


def test_paper_mode_refuses_unknown_and_missing_references() -> None:
    w = W.copy()
    w[0] = np.nan
    with pytest.raises(InputError, match="robust"):
        bound(pool_of(w), mode="paper")
    with pytest.raises(InputError, match="two reference"):
        bound(replace(make_pool(20), references={}), mode="paper")
    assert BOTS(mode="paper").needs() and not BOTS(mode="paper", rho=0.0).needs() and not BOTS().needs()


def test_the_weak_reference_is_the_one_with_the_lower_mean_unless_named() -> None:
    swapped = replace(make_pool(20), references={"a": S, "b": W})
    assert bound(swapped).references == ("b", "a")
    assert bound(swapped, weak="a", strong="b").references == ("a", "b")
    with pytest.raises(InputError, match=r"sampler\.selector\.weak=c"):
        bound(swapped, weak="c")


def test_greedy_ties_fall_at_random_and_not_on_the_head_of_the_file(hand) -> None:
    sampler = TaskSampler(make_pool(200), BOTS(thompson=False), Fixed(), All(), group_size=4)
    ctx = hand.context(sampler, p=10)
    picked = {r.task for r in sampler.ask(ctx)}
    assert max(picked) > 50 and picked != set(range(10))


def test_a_temperature_draws_in_proportion_to_nearness(hand) -> None:
    sampler = TaskSampler(pool_of(W[:3], S[:3]), BOTS(thompson=False, rho=0.0, tau=0.2), Fixed(), All(), group_size=8)
    sampler.selector.observe(hand.feedback([0, 1, 2], [4, 6, 8], 8), None)
    nearness = np.exp(-np.abs(sampler.predict() - 0.5) / 0.2)
    drawn = []
    for step in range(3000):
        ctx = hand.context(sampler, step=step).view("selector/propose", frozenset())
        drawn.append(sampler.selector.propose(2, ctx, np.zeros(3, bool)))
    first, second = np.array(drawn).T
    assert np.bincount(first) / 3000 == pytest.approx(nearness / nearness.sum(), abs=0.03)
    after_0 = np.bincount(second[first == 0], minlength=3)[1:]  # without replacement: the rest in proportion
    assert after_0 / after_0.sum() == pytest.approx(nearness[1:] / nearness[1:].sum(), abs=0.05)


def test_a_tiny_temperature_is_the_nearest(hand) -> None:
    sampler = TaskSampler(pool_of(), BOTS(thompson=False, rho=0.0, tau=1e-6), Fixed(), All(), group_size=8)
    sampler.selector.observe(hand.feedback(np.arange(20), np.repeat([8, 4], 10), 8), None)
    assert {r.task for r in sampler.ask(hand.context(sampler, p=10))} == set(range(10, 20))


def test_the_prior_is_where_beliefs_start_and_what_they_forget_to(hand) -> None:
    bots = bound(pool_of(), lam=0.5, rho=0.0, alpha0=2.0, beta0=6.0)
    assert bots.predict() == pytest.approx([0.25] * 20)
    bots.observe(hand.feedback([0], [8], 8), None)
    bots.observe(hand.feedback([1], [8], 8), None)
    assert (bots.alpha[0], bots.beta[0]) == pytest.approx((0.5 * 10 + 0.5 * 2, 6.0))


def test_a_prior_from_a_reference_counts_its_rollouts(hand) -> None:
    w = np.array([0.25, np.nan, 1.0])
    pool = pool_of(w, np.ones(3), reference_rollouts={"w": 32})  # 16 for each of the two that are known
    bots = bound(pool, m=8, lam=0.5, rho=0.0, prior="reference", prior_reference="w", prior_weight=0.5)
    assert bots.alpha.tolist() == [3.0, 1.0, 9.0] and bots.beta.tolist() == [7.0, 1.0, 1.0]
    bots.observe(hand.feedback([2], [0], 8), None)
    bots.observe(hand.feedback([], [], []), None)
    assert bots.alpha.tolist() == [3.0, 1.0, 9.0] and bots.beta.tolist() == [7.0, 1.0, 5.0]
    assert bots.references == ("w",) and bots.needs()


def test_a_reference_read_twice_is_paid_once() -> None:
    sampler = TaskSampler(make_pool(10), BOTS(prior="reference"), Fixed(), All(), group_size=8)
    assert sampler.selector.references == ("weak", "strong") and sampler.reference_rollouts() == 320


@pytest.mark.parametrize(
    "knobs", [{"tau": 0.0}, {"alpha0": 0.0}, {"prior": "best"}, {"prior_weight": -1.0}, {"lam": 2.0}], ids=str
)
def test_values_out_of_range_are_named(knobs) -> None:
    with pytest.raises(InputError, match=f"sampler.selector.{next(iter(knobs))}="):
        BOTS(**knobs)


@pytest.mark.parametrize("knobs", [{"tau": 0.1}, {"prior": "reference", "tau": 0.01, "thompson": False}], ids=str)
def test_every_option_keeps_the_contract(knobs) -> None:
    check_sampler(lambda pool, g: TaskSampler(pool, BOTS(**knobs), Fixed(), All(), group_size=g), steps=4)


@settings(max_examples=50)
@given(data=st.data())
def test_no_feedback_makes_beliefs_leave_their_range(hand, data) -> None:
    n = data.draw(st.integers(1, 12))
    rates = st.lists(st.one_of(st.floats(0, 1), st.just(float("nan"))), min_size=n, max_size=n)
    bots = bound(pool_of(data.draw(rates), data.draw(rates)), m=4, lam=data.draw(st.floats(0, 1)))
    for _ in range(5):
        tasks = data.draw(st.lists(st.integers(0, n - 1), unique=True))
        trials = [data.draw(st.integers(0, 4)) for _ in tasks]
        bots.observe(hand.feedback(tasks, [data.draw(st.integers(0, k)) for k in trials], trials), None)
    assert (bots.alpha >= 1 - 1e-9).all() and (bots.beta >= 1 - 1e-9).all() and np.isfinite(bots.mu)
