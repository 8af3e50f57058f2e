"""MPTS as a selector: what it learns, whom it chooses, what it refuses."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from scipy.stats import spearmanr

from rftlab.core import Budget, InputError, Need, StepContext
from rftlab.samplers.admissions.nonzero_var import NonzeroVar
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.build import build_sampler
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.mpts import MPTS
from rftlab.samplers.selectors.uniform import Uniform
from rftlab.samplers.stats import TaskStats
from rftlab.testing import check_sampler, make_pool

SMALL = {"z_dim": 8, "hidden": 16, "warmup_steps": 0}


def context(step: int, n: int, p: int = 6, g: int = 4, seed: int = 0) -> StepContext:
    return StepContext(step, step, p, g, 0.0, Budget(1000, 8), TaskStats(n), seed)


def bound(pool, group_size: int = 4, **options) -> MPTS:
    mpts = MPTS(**SMALL | options)
    mpts.bind(pool, group_size)
    return mpts


def taught(pool, hand, steps: int = 3, **options) -> MPTS:
    """After some batches in which the tasks with a positive first feature pass."""
    mpts = bound(pool, **options)
    for step in range(steps):
        tasks = np.arange(step * 6, step * 6 + 6)
        wins = np.where(pool.features[tasks, 0] > 0, 4, 0)
        mpts.observe(hand.feedback(tasks, wins, 4), context(step, len(pool)))
    return mpts


def world(n: int = 600, share: float = 0.8, seed: int = 0):
    """A pool and its pass rates: a share of what makes a task hard is a direction of its features."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 8)).astype(np.float32)
    seen = x @ rng.normal(size=8)
    logit = 2.5 * (share * seen / seen.std() + np.sqrt(1 - share**2) * rng.normal(size=n))
    return dataclasses.replace(make_pool(n), features=x), 1 / (1 + np.exp(-logit))


def play(selector, pool, rate, hand, steps: int = 30, p: int = 24, g: int = 8) -> list[float]:
    """Share of groups with both outcomes, step by step."""
    rng = np.random.default_rng(5)
    selector.bind(pool, g)
    mixed = []
    for step in range(steps):
        ctx = context(step, len(pool), p, g)
        tasks = selector.propose(p, ctx, np.zeros(len(pool), bool))
        wins = rng.binomial(g, rate[tasks])
        mixed.append(float(((wins > 0) & (wins < g)).mean()))
        selector.observe(hand.feedback(tasks, wins, g), ctx)
    return mixed


@pytest.mark.parametrize("options", [{}, {"likelihood": "mse", "lr": 3e-3}, {"prior": "learned"}], ids=str)
def test_it_learns_which_features_pass(options, hand) -> None:
    pool, rate = world()
    mpts = MPTS(memory="none", z_dim=16, hidden=64, **options)
    play(mpts, pool, rate, hand)
    assert spearmanr(mpts.predict(), rate).statistic > 0.65


def test_it_finds_more_mixed_groups_than_uniform_and_hardest_first_does_not(hand) -> None:
    pool, rate = world()
    late = {
        name: np.mean(play(selector, pool, rate, hand)[10:])
        for name, selector in {
            "uniform": Uniform(),
            "target": MPTS(z_dim=16, hidden=64),
            "hardest": MPTS("hard_ucb", memory="none", z_dim=16, hidden=64),
        }.items()
    }
    assert late["target"] > late["uniform"] + 0.15
    assert late["hardest"] < late["uniform"] - 0.1


def test_own_counts_know_what_features_do_not(hand) -> None:
    pool, rate = world(n=200, share=0.5)
    error = {}
    for memory in ("hybrid", "none"):
        mpts = MPTS(memory=memory, z_dim=16, hidden=64, random_fraction=1.0)
        play(mpts, pool, rate, hand)
        error[memory] = np.abs(mpts.predict() - rate).mean()
    assert error["hybrid"] < 0.7 * error["none"]


def test_the_hybrid_belief_is_a_beta_whose_prior_is_the_network(hand) -> None:
    pool = make_pool(40)
    hybrid, text = (taught(pool, hand, memory=memory, kappa=3.0) for memory in ("hybrid", "none"))
    wins = np.where(pool.features[:18, 0] > 0, 4, 0)
    np.testing.assert_allclose(hybrid.predict()[:18], (3 * text.predict()[:18] + wins) / 7, rtol=1e-5)
    np.testing.assert_allclose(hybrid.predict()[18:], text.predict()[18:], rtol=1e-5)


def test_retention_forgets_at_a_visit(hand) -> None:
    pool = make_pool(40)
    mpts = bound(pool, retention=0.5)
    for step in range(2):
        mpts.observe(hand.feedback([3, 4 + step], [2, 1], 4), context(step, 40))
    assert (mpts.wins[3], mpts.trials[3], mpts.trials[4]) == (3.0, 6.0, 4.0)


def test_before_any_outcome_it_believes_one_half_and_draws_uniformly() -> None:
    pool = make_pool(40)
    mpts = bound(pool)
    assert mpts.predict().tolist() == [0.5] * 40
    counts = np.zeros(40)
    for step in range(400):
        counts[mpts.propose(6, context(step, 40), np.zeros(40, bool))] += 1
    assert counts.min() > 30 and counts.max() < 95  # 60 expected, deviation 7.1


@pytest.mark.parametrize(
    ("warmup", "taught_for", "warm"), [(4, 3, True), (3, 3, False), (100, 6, True), (100, 7, False)]
)
def test_the_warm_up_is_as_long_as_it_says_but_covers_the_pool_once(
    warmup, taught_for, warm, hand, monkeypatch
) -> None:
    mpts = bound(make_pool(40), warmup_steps=warmup)  # 40 tasks are 7 batches of 6
    for step in range(taught_for):
        mpts.observe(hand.feedback(np.arange(6), [2] * 6, 4), context(step, 40))
    draws, scored = mpts.learner.draws, []
    monkeypatch.setattr(mpts.learner, "draws", lambda *a: scored.append(a) or draws(*a))
    assert len(mpts.propose(6, context(9, 40), np.zeros(40, bool))) == 6
    assert (scored == []) is warm


def test_a_batch_without_trials_teaches_nothing(hand) -> None:
    mpts = taught(make_pool(40), hand)
    before = mpts.state_dict()
    mpts.observe(hand.feedback([1, 2], [0, 0], 0), context(3, 40))
    after = mpts.state_dict()
    assert after["trained"] == before["trained"] == 3 and len(after["batches"]) == 3
    np.testing.assert_array_equal(after["learner"]["theta"], before["learner"]["theta"])


def test_what_is_learnt_does_not_depend_on_the_order_of_the_batch_before_training(hand) -> None:
    pool = make_pool(40)
    mpts = taught(pool, hand)
    believed = mpts.predict()
    mpts.batches[-1] = {name: values[::-1].copy() for name, values in mpts.batches[-1].items()}
    mpts._believed = None
    np.testing.assert_allclose(mpts.predict(), believed, atol=1e-5)


@pytest.mark.parametrize(
    ("replay", "prior", "kept"), [(0, "streaming", 1), (1, "streaming", 2), (0, "learned", 2), (1, "learned", 3)]
)
def test_it_keeps_as_many_batches_as_it_trains_on(replay, prior, kept, hand) -> None:
    assert len(taught(make_pool(40), hand, steps=5, replay_batches=replay, prior=prior).batches) == kept


def test_a_share_of_the_batch_is_random(hand) -> None:
    pool = make_pool(400)
    mpts = taught(pool, hand, random_fraction=0.5, n_z=64, gamma_1=0.0)
    batches = [mpts.propose(20, context(9, 400, p=20, seed=s), np.zeros(400, bool)) for s in range(20)]
    assert all(len(set(b.tolist())) == 20 for b in batches)
    chosen, random = (len({t for b in batches for t in b[part]}) for part in (slice(0, 10), slice(10, 20)))
    assert chosen < 60 < 130 < random


def test_random_alone_never_scores(hand) -> None:
    mpts = taught(make_pool(40), hand, random_fraction=1.0)
    assert len(set(mpts.propose(6, context(9, 40), np.zeros(40, bool)).tolist())) == 6


@pytest.mark.parametrize("diversity", ["none", "max_min", "max_sum"])
def test_the_batch_is_filled_and_taken_tasks_are_left(diversity, hand) -> None:
    mpts = taught(make_pool(40), hand, diversity=diversity, candidates=1.0, inter=0.0 if diversity == "none" else 1.0)
    taken = np.zeros(40, bool)
    taken[5:] = True
    assert sorted(mpts.propose(6, context(9, 40), taken)) == [0, 1, 2, 3, 4]
    assert len(mpts.propose(12, context(9, 40), ~taken)) == 12  # more than one batch of candidates
    assert mpts.propose(3, context(9, 40), np.ones(40, bool)).tolist() == []


def test_diverse_batches_lie_farther_apart(hand) -> None:
    pool = make_pool(300)

    def spread(**options) -> float:
        mpts = taught(pool, hand, random_fraction=0.0, **options)
        x = pool.features[mpts.propose(12, context(9, 300, p=12), np.zeros(300, bool))]
        return float(np.linalg.norm(x[:, None] - x[None], axis=2).mean())

    near = spread()
    for diversity in ("max_min", "max_sum"):
        assert spread(diversity=diversity, diversity_weight=1.0) > 1.2 * near


def test_the_inter_term_leads_away_from_the_last_batch(hand) -> None:
    pool = make_pool(300)
    for inter in (0.0, 1.0):
        options = {"diversity": "max_sum", "diversity_weight": 100.0, "intra": 0.0, "inter": inter}
        mpts = taught(pool, hand, random_fraction=0.0, **options)
        away = mpts.near.mean_to(mpts.x[12:18])  # the last batch that it was taught
        chosen = mpts.propose(12, context(9, 300, p=12), np.zeros(300, bool))
        farthest = set(np.argsort(-away)[:12].tolist())
        assert (set(chosen.tolist()) == farthest) is (inter > 0)


def test_auto_candidates_shrink_with_the_pool(monkeypatch) -> None:
    mpts = bound(make_pool(40), n_z=10)
    assert mpts._batches_looked_at() is None
    monkeypatch.setattr("rftlab.samplers.selectors.mpts.AUTO_ROWS", 399)
    assert mpts._batches_looked_at() == 16.0


def test_a_restored_belief_is_the_saved_one_to_the_bit(hand) -> None:
    pool = make_pool(40)
    mpts, other = taught(pool, hand), bound(pool)
    other.predict()
    other.load_state_dict(mpts.state_dict())
    assert other.predict().tolist() == mpts.predict().tolist() and other.metrics() == mpts.metrics() != {}
    for selector in (mpts, other):
        selector.observe(hand.feedback([1, 20], [3, 0], 4), context(3, 40))
    assert other.predict().tolist() == mpts.predict().tolist()
    np.testing.assert_array_equal(other.learner.moment2, mpts.learner.moment2)


def test_weights_follow_the_seed_of_the_run(hand) -> None:
    pool = make_pool(40)
    first = []
    for seed in (0, 0, 1):
        mpts = bound(pool)
        mpts.observe(hand.feedback([0, 1], [1, 2], 4), context(0, 40, seed=seed))
        first.append(mpts.learner.theta.tolist())
    assert first[0] == first[1] != first[2]


def test_a_caller_cannot_change_the_belief(hand) -> None:
    mpts = taught(make_pool(40), hand)
    mpts.predict()[:] = 2
    assert mpts.predict().max() <= 1


@pytest.mark.parametrize(
    "options",
    [
        {"prior": "learned", "replay_batches": 2, "diversity": "max_sum", "likelihood": "mse", "n_z_train": 3},
        {"context": "replay", "acquisition": "expected_yield", "diversity": "max_min", "prior_update": "per_grad_step"},
        {
            "acquisition": "expected_var",
            "reduction": "sum",
            "retention": 0.5,
            "candidates": 1.5,
            "random_fraction": 1.0,
        },
    ],
    ids=lambda options: next(iter(options.values())),
)
def test_modes_keep_the_contract(options) -> None:
    def make(pool, group_size):
        return TaskSampler(pool, MPTS(**SMALL | options), Fixed(), NonzeroVar(), group_size=group_size)

    check_sampler(make, steps=4)


@pytest.mark.parametrize(
    "knobs",
    [
        {"acquisition": "easiest"}, {"target": 1.5}, {"n_z": 0}, {"candidates": 0.5}, {"candidates": "all"},
        {"random_fraction": -0.1}, {"memory": "beta"}, {"kappa": 0.0}, {"lr": 0.0}, {"beta": -1.0},
        {"replay_batches": -1}, {"likelihood": "gauss"}, {"prior": "none"}, {"diversity": "some"}, {"hidden": 0},
    ],
    ids=str,
)  # fmt: skip
def test_values_out_of_range_are_named(knobs) -> None:
    name, value = next(iter(knobs.items()))
    with pytest.raises(InputError, match=f"sampler.selector.{name}={value}, wanted"):
        MPTS(**knobs)


def test_the_presets_say_what_they_are() -> None:
    pool = make_pool(12)
    wanted = {
        "mpts": {"acquisition": "target", "memory": "hybrid", "likelihood": "binomial", "replay_batches": 16},
        "mpts_faithful": {"acquisition": "hard_ucb", "gamma_0": 1, "gamma_1": 3, "n_z": 50, "random_fraction": 0.5},
        "pdts": {"acquisition": "thompson_target", "n_z": 1, "diversity": "max_min", "candidates": 32},
        "gps": {"acquisition": "target", "gamma_1": 0, "diversity": "max_sum", "candidates": None, "memory": "none"},
    }
    conf = str(Path(__file__).resolve().parents[2] / "conf")
    for preset, options in wanted.items():
        with initialize_config_dir(conf, version_base="1.3"):
            sampler = build_sampler(compose("train", overrides=[f"sampler={preset}"]).sampler, pool, 4)
        assert {name: getattr(sampler.selector, name) for name in options} == options
        assert sampler.needs() == {Need.FEATURES}
