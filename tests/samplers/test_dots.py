"""DOTS: what is measured, what is inferred from it, and the draw."""

import dataclasses

import numpy as np
import pytest
from scipy.stats import spearmanr

from rftlab.core import Budget, InputError, Need, Purpose, StepContext
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.dots import DOTS, attention, calibration
from rftlab.samplers.selectors.features import scaled
from rftlab.samplers.stats import TaskStats
from rftlab.testing import check_sampler, make_pool

FREE = np.zeros(40, bool)


def context(step: int = 0, p: int = 6, g: int = 4, rollouts: int = 1000, seed: int = 0) -> StepContext:
    return StepContext(step, step, p, g, 0.0, Budget(rollouts, 8), TaskStats(1), seed)


def measured(hand, tasks, wins, trials=8, n: int = 40, **options) -> DOTS:
    dots = DOTS(**options)
    dots.bind(make_pool(n), 4)
    dots.on_probe(hand.feedback(tasks, wins, trials), context())
    return dots


def logistic(x):
    return 1 / (1 + np.exp(-x))


def logit(p):
    p = np.clip(p, 0.01, 0.99)
    return np.log(p / (1 - p))


def test_it_measures_every_second_step_what_the_budget_leaves() -> None:
    dots = DOTS(probes=5.0, rollouts=8)
    dots.bind(make_pool(40), 4)
    tasks, n = dots.probe(context(), FREE)
    assert (len(set(tasks.tolist())), n) == (30, 8)
    assert len(dots.probe(context(rollouts=24 + 5 * 8 + 7), FREE)[0]) == 5  # 24 rollouts are a batch
    for rollouts in (0, 24, 31):
        assert len(dots.probe(context(rollouts=rollouts), FREE)[0]) == 0
    assert dots.probe(context(seed=1), FREE)[0].tolist() != tasks.tolist()


def test_a_measurement_holds_for_mu_steps_and_one_that_failed_is_repeated(hand) -> None:
    dots = DOTS(probes=5 / 6, every=3)
    dots.bind(make_pool(40), 4)
    dots.on_probe(hand.feedback([1, 2], [0, 0], 0), context(step=0))
    due = []
    for step in range(1, 8):
        tasks, _ = dots.probe(context(step), FREE)
        due.append(len(tasks) > 0)
        if due[-1]:
            dots.on_probe(hand.feedback(tasks, [2] * 5, 4), context(step))
    assert due == [True, False, False, True, False, False, True]


def test_probes_are_asked_for_first_and_never_trained_on(hand) -> None:
    sampler = TaskSampler(make_pool(40), DOTS(probes=1.25), Fixed(), All(), group_size=4)
    assert sampler.needs() == {Need.FEATURES, Need.PROBE}
    rounds, batch = hand.step(sampler, hand.context(sampler), hand.mixed)
    assert [{r.purpose for r in turn} for turn in rounds] == [{Purpose.PROBE}, {Purpose.TRAIN}]
    assert len(batch) == 4 and all(g.purpose is Purpose.TRAIN for g, _ in batch)


def test_ridge_is_the_penalised_regression_on_the_measured_tasks(hand) -> None:
    tasks, wins = np.arange(12), np.arange(12) % 9
    dots = measured(hand, tasks, wins, penalty=3.0)
    x, rate = scaled(make_pool(40)).astype(float), wins / 8
    centred = x[tasks] - x[tasks].mean(0)
    slope = np.linalg.solve(centred.T @ centred + 3 * np.eye(4), centred.T @ (rate - rate.mean()))
    base = rate.mean() + (x - x[tasks].mean(0)) @ slope
    np.testing.assert_allclose(dots.predict(), logistic(dots.scale * logit(base) + dots.shift), rtol=1e-4)


def test_attention_is_the_softmax_average(hand) -> None:
    tasks, wins = [3, 17, 30], np.array([0, 4, 8])
    dots = measured(hand, tasks, wins, predictor="attention", temperature=0.7)
    x = scaled(make_pool(40)).astype(float)
    weight = np.exp(x @ x[tasks].T / (2.0 * 0.7))  # sqrt(D) is 2
    base = weight @ (wins / 8) / weight.sum(1)
    np.testing.assert_allclose(dots.predict(), logistic(dots.scale * logit(base) + dots.shift), rtol=1e-4, atol=1e-9)
    assert attention(np.array([[1000.0, 0.0]]), np.array([0.25, 1.0])).tolist() == [0.25]


@pytest.mark.parametrize("predictor", ["ridge", "attention"])
def test_left_out_is_what_the_others_say(predictor, hand) -> None:
    tasks, wins = np.arange(9), np.arange(9)
    found = measured(hand, tasks, wins, predictor=predictor)._left_out()
    for i in range(9):
        others = np.delete(tasks, i)
        alone = measured(hand, others, np.delete(wins, i), predictor=predictor)
        np.testing.assert_allclose(found[i], alone._infer(np.array([i]))[0], atol=1e-5)


def test_calibration_is_the_penalised_maximum_of_the_likelihood() -> None:
    rng = np.random.default_rng(0)
    base, trials = rng.uniform(0.3, 0.7, 50), np.full(50, 8)
    wins = rng.binomial(8, logistic(3 * logit(base) - 1))

    def loss(scale: float, shift: float) -> float:
        p = logistic(scale * logit(base) + shift)
        penalty = (scale - 1) ** 2 / 2 + shift**2 / 2
        return float(-(wins * np.log(p) + (trials - wins) * np.log(1 - p)).sum() + penalty)

    scale, shift = calibration(base, wins, trials)
    assert 2 < scale < 4 and -1.3 < shift < -0.7
    for other in ((scale + 0.01, shift), (scale - 0.01, shift), (scale, shift + 0.01), (scale, shift - 0.01)):
        assert loss(*other) > loss(scale, shift)


@pytest.mark.parametrize("right", [0, 8])
def test_calibration_survives_answers_without_differences(right) -> None:
    scale, shift = calibration(np.full(300, right / 8), np.full(300, right), np.full(300, 8))
    p = logistic(scale * logit(right / 8) + shift)
    assert np.isfinite([scale, shift]).all() and abs(p - right / 8) < 0.01


def test_features_that_say_nothing_are_not_turned_round() -> None:
    wins = 8 * np.random.default_rng(0).binomial(1, 0.3, 100)
    rate = wins / 8
    mean_of_others = (rate.sum() - rate) / 99  # falls where the task's own rate rises
    scale, shift = calibration(mean_of_others, wins, np.full(100, 8))
    assert scale == 0 and logistic(shift) == pytest.approx(rate.mean(), abs=0.01)


def test_one_measured_task_speaks_for_all_as_it_is(hand) -> None:
    assert measured(hand, [4], [6]).predict().tolist() == pytest.approx([0.75] * 40)


def test_the_draw_prefers_one_half_and_tau_widens_it(hand) -> None:
    tasks = np.arange(30)
    wins = np.where(make_pool(300).features[tasks, 0] > 0, 8, 0)
    away, drawn = {}, {}
    for tau in (1e-3, 1e3):
        dots = measured(hand, tasks, wins, n=300, tau=tau)
        batches = [dots.propose(6, context(s), np.zeros(300, bool)) for s in range(50)]
        away[tau] = float(np.mean([np.abs(dots.predict()[b] - 0.5).mean() for b in batches]))
        drawn[tau] = len({t for b in batches for t in b.tolist()})
        everywhere = np.abs(dots.predict() - 0.5).mean()
    assert away[1e-3] < 0.25 * everywhere and away[1e3] == pytest.approx(everywhere, rel=0.1)
    assert drawn[1e-3] < 60 < 150 < drawn[1e3]


def test_before_a_measurement_all_tasks_are_alike() -> None:
    dots = DOTS()
    dots.bind(make_pool(40), 4)
    assert dots.predict().tolist() == [0.5] * 40
    counts = np.zeros(40)
    for step in range(400):
        counts[dots.propose(6, context(step), np.zeros(40, bool))] += 1
    assert counts.min() > 30 and counts.max() < 95  # 60 expected, deviation 7.1


def test_far_from_one_half_a_batch_is_still_filled(hand) -> None:
    dots = measured(hand, np.arange(30), [8] * 30, tau=1e-5)
    assert len(set(dots.propose(6, context(1), np.zeros(40, bool)).tolist())) == 6


def test_it_infers_what_it_did_not_measure(hand) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(600, 8)).astype(np.float32)
    rate = logistic(2 * x[:, 0])
    for predictor, least in (("ridge", 0.9), ("attention", 0.5)):
        dots = DOTS(predictor=predictor, probes=40.0)
        dots.bind(dataclasses.replace(make_pool(600), features=x), 8)
        tasks, n = dots.probe(context(rollouts=2000), np.zeros(600, bool))
        dots.on_probe(hand.feedback(tasks, rng.binomial(n, rate[tasks]), n), context())
        rest = np.delete(np.arange(600), tasks)
        assert len(tasks) > 200 and spearmanr(dots.predict()[rest], rate[rest]).statistic > least


def test_attention_keeps_the_contract() -> None:
    def make(pool, group_size):
        return TaskSampler(pool, DOTS(predictor="attention", every=1), Fixed(), All(), group_size=group_size)

    check_sampler(make, steps=4)


def test_a_restored_belief_replaces_the_one_that_was_held(hand) -> None:
    one, other = measured(hand, [1, 2, 3], [0, 8, 4]), measured(hand, [4, 5], [0, 0])
    other.predict()
    other.load_state_dict(one.state_dict())
    assert other.predict().tolist() == one.predict().tolist() and other.metrics() == one.metrics()


@pytest.mark.parametrize(
    "knobs",
    [
        {"probes": 0}, {"rollouts": 0}, {"every": 0}, {"target": 2}, {"tau": 0}, {"predictor": "lm"}, {"penalty": 0},
        {"temperature": 0},
    ],
    ids=str,
)  # fmt: skip
def test_values_out_of_range_are_named(knobs) -> None:
    name, value = next(iter(knobs.items()))
    with pytest.raises(InputError, match=f"sampler.selector.{name}={value}, wanted"):
        DOTS(**knobs)
