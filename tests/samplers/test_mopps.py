"""MoPPS against the authors' numbers."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rftlab.core import InputError
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.mopps import MoPPS
from rftlab.samplers.selectors.ranking import lowest
from rftlab.testing import check_sampler, make_pool

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "mopps.json").read_text())


@pytest.mark.parametrize("case", VECTORS["updates"], ids=lambda c: f"lam={c['lambda_']}")
def test_updates_reproduce_the_authors_numbers(case, hand) -> None:
    mopps = MoPPS(lam=case["lambda_"], alpha0=case["prior_alpha"], beta0=case["prior_beta"])
    mopps.bind(make_pool(case["N"]), case["n_rollouts"])
    for step, after in zip(case["steps"], case["trace"], strict=True):
        mopps.observe(hand.feedback(step["selected"], step["successes"], case["n_rollouts"]), None)
        np.testing.assert_allclose(mopps.alpha, after["official_alpha"], rtol=1e-5)
        np.testing.assert_allclose(mopps.beta, after["official_beta"], rtol=1e-5)
        np.testing.assert_allclose(mopps.predict(), after["posterior_mean"], rtol=1e-5)


@pytest.mark.parametrize("case", VECTORS["selection"], ids=lambda c: f"{c['strategy']}-{c['batch_size']}-{c['target']}")
def test_selection_reproduces_the_authors_choice(case) -> None:
    mopps = MoPPS(target=case["target"], strategy=case["strategy"], lower=case["lower"], upper=case["upper"])
    rates = np.array(case["gammas"])
    chosen = lowest(mopps.score(rates), np.arange(len(rates)), case["batch_size"], np.random.default_rng(0)).tolist()
    if case["strategy"] == "topk":
        assert chosen == case["selected"]
    elif case["batch_size"] > len(case["in_range"]):
        assert set(chosen) == set(case["selected"])
    else:
        assert set(chosen) <= set(case["in_range"])


def test_only_visited_tasks_forget(hand) -> None:
    mopps = MoPPS(lam=0.5)
    mopps.bind(make_pool(3), 8)
    mopps.observe(hand.feedback([0, 1], [4, 4], 8), None)
    mopps.observe(hand.feedback([1, 2], [4, 0], [8, 0]), None)
    assert mopps.alpha.tolist() == [5.0, 0.5 * 5 + 0.5 + 4, 1.0]


def test_a_visit_without_trials_forgets_nothing(hand) -> None:
    mopps = MoPPS(lam=0.5)
    mopps.bind(make_pool(1), 8)
    mopps.observe(hand.feedback([0], [4], 8), None)
    mopps.observe(hand.feedback([0], [0], 0), None)
    assert (mopps.alpha[0], mopps.beta[0]) == (5.0, 5.0)


def test_candidates_bound_the_choice_to_a_fresh_subset_each_step(hand) -> None:
    sampler = TaskSampler(make_pool(200), MoPPS(candidates=1), Fixed(), All(), group_size=4)
    asked = []
    for step in range(2):
        rounds, _ = hand.step(sampler, hand.context(sampler, step=step, p=10), hand.mixed)
        asked.append({r.task for r in rounds[0]})
    assert all(len(tasks) == 10 for tasks in asked) and asked[0] != asked[1]


def test_tasks_near_the_target_are_preferred(hand) -> None:
    sampler = TaskSampler(make_pool(30), MoPPS(thompson=False), Fixed(), All(), group_size=8)
    wins = np.repeat([0, 8, 4], 10)
    sampler.selector.observe(hand.feedback(np.arange(30), wins, 8), None)
    assert {r.task for r in sampler.ask(hand.context(sampler, p=10))} == set(range(20, 30))


def test_an_offline_prior_counts_each_rollout_three_times(hand) -> None:
    rates = np.array([0.25, np.nan, 1.0])
    pool = replace(make_pool(3), references={"base": rates}, reference_rollouts={"base": 16})  # 8 each
    mopps = MoPPS(lam=0.5, prior="reference")
    mopps.bind(pool, 8)
    assert mopps.alpha.tolist() == [7.0, 1.0, 25.0] and mopps.beta.tolist() == [19.0, 1.0, 1.0]
    for _ in range(2):
        mopps.observe(hand.feedback([0], [8], 8), None)
    assert (mopps.alpha[0], mopps.beta[0]) == (7.0 + 12, 19.0)  # forgetting returns to the task's own prior
    assert mopps.references == ("base",) and mopps.needs()


def test_an_offline_prior_without_references_is_refused() -> None:
    with pytest.raises(InputError, match=r"sampler\.selector\.prior_reference: .*rftlab profile"):
        MoPPS(prior="reference").bind(replace(make_pool(3), references={}), 8)


def test_a_fitted_prior_starts_from_the_options_and_goes_to_the_pool(hand) -> None:
    rng = np.random.default_rng(0)
    mopps = MoPPS(prior="moments")
    mopps.bind(make_pool(4000), 8)
    assert mopps.predict()[-1] == pytest.approx(0.5) and mopps.alpha[-1] == pytest.approx(1.0)
    for step in range(30):
        tasks = np.arange(128) + 128 * step
        mopps.observe(hand.feedback(tasks, rng.binomial(8, rng.beta(0.41, 0.14, 128)), 8), None)
    found = mopps.metrics()
    assert found["prior_mean"] == pytest.approx(0.41 / 0.55, abs=0.02)
    assert found["prior_weight"] == pytest.approx(0.55, abs=0.08)
    assert mopps.predict()[-1] == found["prior_mean"]


def test_a_fitted_prior_moves_every_belief_and_keeps_its_evidence(hand) -> None:
    mopps = MoPPS(prior="moments")
    mopps.bind(make_pool(100), 8)
    mopps.observe(hand.feedback([0], [5], 8), None)
    before = mopps.alpha[0]
    mopps.observe(hand.feedback(np.arange(1, 60), np.full(59, 8), 8), None)
    alpha0, beta0 = mopps.base()
    assert (mopps.alpha[0], mopps.beta[0]) == pytest.approx((alpha0 + 5, beta0 + 3))
    assert mopps.alpha[0] != before and alpha0 / (alpha0 + beta0) > 0.85


def test_only_the_first_group_of_a_task_enters_the_fit(hand) -> None:
    once, again = MoPPS(prior="moments"), MoPPS(prior="moments")
    for mopps in (once, again):
        mopps.bind(make_pool(10), 8)
        mopps.observe(hand.feedback([0, 1], [2, 8], [8, 8]), None)
    for _ in range(20):
        again.observe(hand.feedback([0, 2], [8, 0], [8, 0]), None)  # 2 could not be graded: not tried yet
        once.observe(hand.feedback([], [], []), None)
    assert again.base() == once.base()
    again.observe(hand.feedback([2], [0], [8]), None)
    assert again.base() != once.base()


def test_a_fit_without_new_tasks_goes_back_to_the_options(hand) -> None:
    mopps = MoPPS(prior="moments", alpha0=2.0, beta0=6.0)
    mopps.bind(make_pool(100), 8)
    mopps.observe(hand.feedback(np.arange(90), np.full(90, 8), 8), None)
    means = [mopps.metrics()["prior_mean"]]
    for _ in range(200):
        mopps.observe(hand.feedback([], [], []), None)
        means.append(mopps.metrics()["prior_mean"])
    assert means[0] > 0.9 and means == sorted(means, reverse=True)
    assert mopps.base() == pytest.approx((2.0, 6.0), rel=0.02)


def test_the_fixed_prior_is_not_touched_by_what_is_seen(hand) -> None:
    mopps = MoPPS()
    mopps.bind(make_pool(10), 8)
    mopps.observe(hand.feedback([0, 1], [8, 8], 8), None)
    assert mopps.base() == (1.0, 1.0) and "prior_mean" not in mopps.metrics()


@pytest.mark.parametrize(
    "knobs", [{"prior": "reference", "lam": 0.5}, {"prior": "moments", "thompson": False, "candidates": 2}], ids=str
)
def test_every_option_keeps_the_contract(knobs) -> None:
    check_sampler(lambda pool, g: TaskSampler(pool, MoPPS(**knobs), Fixed(), All(), group_size=g), steps=4)


@pytest.mark.parametrize(
    "knobs",
    [{"lam": 1.1}, {"strategy": "best"}, {"lower": 0.8}, {"candidates": 0.5}, {"alpha0": 0.0}, {"prior": "x"}],
    ids=str,
)
def test_values_out_of_range_are_named(knobs) -> None:
    with pytest.raises(InputError, match=f"sampler.selector.{next(iter(knobs))}="):
        MoPPS(**knobs)
