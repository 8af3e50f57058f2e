"""MoPPS against the authors' numbers."""

import json
from pathlib import Path

import numpy as np
import pytest

from rftlab.core import InputError
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.mopps import MoPPS
from rftlab.samplers.selectors.ranking import lowest
from rftlab.testing import make_pool

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


@pytest.mark.parametrize(
    "knobs", [{"lam": 1.1}, {"strategy": "best"}, {"lower": 0.8}, {"candidates": 0.5}, {"alpha0": 0.0}], ids=str
)
def test_values_out_of_range_are_named(knobs) -> None:
    with pytest.raises(InputError, match=f"sampler.selector.{next(iter(knobs))}="):
        MoPPS(**knobs)
