"""PCL: the regression against numpy's least squares, and the choice."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import spearmanr

from rftlab.core import Budget, InputError, StepContext
from rftlab.samplers.selectors.features import scaled
from rftlab.samplers.selectors.pcl import PCL
from rftlab.samplers.stats import TaskStats
from rftlab.testing import make_pool


def context(step: int = 0, p: int = 6) -> StepContext:
    return StepContext(step, step, p, 4, 0.0, Budget(1000, 8), TaskStats(1), 0)


def test_the_value_is_the_discounted_ridge_regression(hand) -> None:
    pool = make_pool(30)
    pcl = PCL(retention=0.5, ridge=2.0)
    pcl.bind(pool, 4)
    x = np.column_stack([scaled(pool), np.ones(30)])
    rows, rates, weights = [], [], []
    for age, tasks in ((2, [0, 1, 2]), (1, [3, 4]), (0, [0, 5, 6, 7])):
        wins = np.arange(len(tasks))
        pcl.predict()
        pcl.observe(hand.feedback(tasks, wins, 4), context())
        rows, rates = rows + tasks, [*rates, *(wins / 4 - 0.5)]
        weights += [0.5**age] * len(tasks)
    root = np.sqrt(weights)
    design = np.vstack([root[:, None] * x[rows], np.sqrt(2.0) * np.eye(5)])  # a penalty is rows of zeros observed
    wanted = np.linalg.lstsq(design, np.concatenate([root * rates, np.zeros(5)]), rcond=None)[0]
    np.testing.assert_allclose(pcl.predict(), np.clip(0.5 + x @ wanted, 0, 1), atol=1e-5)


def test_it_begins_at_one_half_and_a_batch_without_trials_changes_nothing(hand) -> None:
    pcl = PCL()
    pcl.bind(make_pool(30), 4)
    assert pcl.predict().tolist() == [0.5] * 30
    pcl.observe(hand.feedback([1, 2], [0, 0], 0), context())
    assert not pcl.gram.any() and pcl.predict().tolist() == [0.5] * 30


def test_the_best_of_all_candidates_are_chosen_and_candidates_bound_them(hand) -> None:
    pool = make_pool(300)
    for candidates in (None, 4.0):
        pcl = PCL(candidates=candidates)
        pcl.bind(pool, 4)
        seen = np.arange(100)
        pcl.observe(hand.feedback(seen, np.where(pool.features[seen, 0] > 0, 4, 0), 4), context())
        away = np.abs(pcl.predict() - 0.5)
        batches = [pcl.propose(6, context(step), np.zeros(300, bool)) for step in range(30)]
        best = set(np.argsort(away)[:6].tolist())
        assert all(set(b.tolist()) == best for b in batches) is (candidates is None)
        assert np.mean([away[b].mean() for b in batches]) < 0.6 * away.mean()
        for b in batches:
            assert away[b].tolist() == sorted(away[b])


def test_it_learns_which_features_pass(hand) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 8)).astype(np.float32)
    rate = 1 / (1 + np.exp(-2.5 * (x @ rng.normal(size=8)) / 2.5))
    pcl = PCL()
    pcl.bind(dataclasses.replace(make_pool(600), features=x), 8)
    mixed = []
    for step in range(20):
        tasks = pcl.propose(24, context(step, 24), np.zeros(600, bool))
        wins = rng.binomial(8, rate[tasks])
        mixed.append(((wins > 0) & (wins < 8)).mean())
        pcl.observe(hand.feedback(tasks, wins, 8), context(step, 24))
    assert spearmanr(pcl.predict(), rate).statistic > 0.9
    uniform = (1 - rate**8 - (1 - rate) ** 8).mean()
    assert np.mean(mixed[5:]) > uniform + 0.15


def test_a_restored_belief_replaces_the_one_that_was_held(hand) -> None:
    pool = make_pool(30)
    one, other = PCL(), PCL()
    for pcl in (one, other):
        pcl.bind(pool, 4)
    one.observe(hand.feedback([1, 2], [4, 0], 4), context())
    other.predict()
    other.load_state_dict(one.state_dict())
    assert other.predict().tolist() == one.predict().tolist() != [0.5] * 30


@pytest.mark.parametrize(
    "knobs", [{"candidates": 0.5}, {"target": -1}, {"retention": 0}, {"retention": 1.5}, {"ridge": 0}], ids=str
)
def test_values_out_of_range_are_named(knobs) -> None:
    name, value = next(iter(knobs.items()))
    with pytest.raises(InputError, match=f"sampler.selector.{name}={value:g}, wanted"):
        PCL(**knobs)
