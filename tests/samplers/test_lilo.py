"""LILO and SFL: what is measured, what is paid, what is chosen."""

import logging

import numpy as np
import pytest

from rftlab.core import InputError, Purpose
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.lilo import LILO
from rftlab.testing import MEDLEY, check_run, make_pool


def make(n=60, **knobs) -> TaskSampler:
    return TaskSampler(make_pool(n), LILO(**knobs), Fixed(), All(), group_size=4)


def by_task(passes: dict[int, int], rest: int = 0):
    """The first so many rollouts of a task pass."""
    return lambda r: [i < passes.get(r.task, rest) for i in range(r.n)]


def test_the_most_learnable_candidates_are_the_batch_best_first(hand) -> None:
    sampler = make(20, candidates=5.0)  # 5 batches of 4 = the whole pool
    passes = {3: 2, 11: 2, 5: 1, 7: 3, 9: 1}
    rounds, batch = hand.step(sampler, hand.context(sampler, p=4), by_task(passes, rest=4))
    assert {r.task for r in rounds[0]} == set(range(20))
    assert all(r.purpose is Purpose.PROBE and r.n == 4 for r in rounds[0])
    tasks = [r.task for r in rounds[1]]
    assert set(tasks[:2]) == {3, 11} and set(tasks[2:]) < {5, 7, 9}
    assert [g.task.index for g, _ in batch] == tasks
    assert all(g.purpose is Purpose.TRAIN and len(g.completions) == 4 for g, _ in batch)


def test_unmeasured_tasks_fill_before_those_that_showed_no_variance(hand) -> None:
    sampler = make(20, candidates=2.0)
    ctx = hand.context(sampler, p=4)
    probes = sampler.ask(ctx)
    live = probes[0].task
    hand.tell(sampler, ctx, probes, by_task({live: 2}, rest=4))
    tasks = [r.task for r in sampler.ask(ctx)]
    assert tasks[0] == live and not set(tasks[1:]) & {r.task for r in probes}


def test_probes_are_bought_from_what_a_batch_leaves_over(hand) -> None:
    for rollouts, wanted in ((1000, 8), (16 + 4 * 5 + 3, 5), (16 + 3, 0), (16, 0), (5, 0)):
        sampler = make(candidates=2.0)
        requests = sampler.ask(hand.context(sampler, p=4, rollouts=rollouts))
        probes = [r for r in requests if r.purpose is Purpose.PROBE]
        assert len(probes) == wanted
        assert probes or len(requests) == min(4, max(1, rollouts // 4))


def test_a_run_without_probes_says_so_once_and_draws_evenly(hand, caplog) -> None:
    sampler = make(12)
    with caplog.at_level(logging.WARNING):
        seen = {r.task for i in range(40) for r in sampler_step(hand, sampler, i)}
    assert seen == set(range(12))
    said = [r.message for r in caplog.records if "no rollouts are left for probes" in r.message]
    assert len(said) == 1 and said[0].endswith("raise budget.step_rollouts, or budget.rollouts")


def sampler_step(hand, sampler, i):
    return hand.step(sampler, hand.context(sampler, i, 4, rollouts=16), hand.mixed)[0][0]


def test_a_measure_is_not_used_beyond_its_time(hand) -> None:
    sampler = make(200, candidates=2.0)
    first, _ = hand.step(sampler, hand.context(sampler, 0, 4), hand.mixed)
    measured = {r.task for r in first[0]}
    assert {r.task for r in first[1]} <= measured
    rounds, _ = hand.step(sampler, hand.context(sampler, 1, 4, rollouts=16), hand.mixed)
    assert not {r.task for r in rounds[0]} <= measured


def test_sfl_measures_now_and_then_and_draws_a_share_from_the_buffer(hand) -> None:
    sampler = make(400, candidates=10.0, every=3, buffer=2.0, share=0.5)
    passes = {t: 2 if t % 4 == 0 else 1 for t in range(400)}
    probed, buffers = [], []
    for step in range(7):
        ctx = hand.context(sampler, step, 10)
        rounds, _ = hand.step(sampler, ctx, by_task(passes))
        probed.append(rounds[0][0].purpose is Purpose.PROBE)
        buffer = np.flatnonzero(sampler.selector.score > 0)
        assert len(buffer) == 20
        if probed[-1]:
            seen = {r.task for r in rounds[0]}
            best = {t for t in seen if t % 4 == 0}
            assert set(buffer) <= best if len(best) >= 20 else best <= set(buffer)
        tasks = [r.task for r in rounds[-1]]
        assert set(tasks[:5]) <= set(buffer) and len(tasks) == 10
        assert not set(tasks[5:]) <= set(buffer)
        buffers.append(frozenset(buffer.tolist()))
    assert probed == [True, False, False, True, False, False, True]
    assert len(set(buffers)) == 3 and buffers[0] == buffers[2]


def test_the_rest_of_an_sfl_batch_is_random_and_not_the_unmeasured_alone(hand) -> None:
    sampler = make(12, candidates=3.0, every=5, buffer=0.5, share=0.5)
    chosen = []
    for step in range(40):
        rounds, _ = hand.step(sampler, hand.context(sampler, step, 4), by_task({0: 2, 1: 2}, rest=4))
        chosen += [r.task for r in rounds[-1]]
    assert set(chosen) == set(range(12))
    assert np.bincount(chosen)[:2].min() == 40, "a buffer of two is in every batch of this share"


def test_the_buffer_is_drawn_from_evenly_whatever_its_scores(hand) -> None:
    sampler = make(8, candidates=2.0, every=100, buffer=1.0)
    chosen = []
    for step in range(200):
        hand.step(sampler, hand.context(sampler, step, 4), by_task({0: 2, 1: 2, 2: 1, 3: 1}, rest=4))
        ctx = hand.context(sampler, step, 2).view("selector/propose", frozenset())
        chosen += sampler.selector.propose(2, ctx, np.zeros(8, bool)).tolist()
    np.testing.assert_allclose(np.bincount(chosen, minlength=8)[:4] / len(chosen), 0.25, atol=0.06)


def test_probes_whose_grading_failed_measure_nothing(hand) -> None:
    sampler = make(20)
    rounds, _ = hand.step(sampler, hand.context(sampler, p=4), lambda r: [None] * r.n)
    assert len(rounds[1]) == 4 and not sampler.selector.score.any()


@pytest.mark.parametrize(
    "knobs", [{"every": 2}, {"every": 3, "buffer": 1.0, "share": 0.5}, {"probes": 2, "candidates": 0.5}], ids=str
)
def test_every_setting_keeps_the_contract(knobs) -> None:
    check_run(lambda pool, g: TaskSampler(pool, LILO(**knobs), Fixed(), All(), group_size=g), MEDLEY)


@pytest.mark.parametrize(
    "knobs", [{"candidates": 0.0}, {"probes": 1}, {"every": 0}, {"buffer": 0.0}, {"share": -0.1}], ids=str
)
def test_values_out_of_range_are_named(knobs) -> None:
    with pytest.raises(InputError, match=f"sampler.selector.{next(iter(knobs))}="):
        LILO(**knobs)


def test_tasks_that_are_kept_out_are_not_paid_for(hand) -> None:
    sampler = TaskSampler(
        make_pool(40), LILO(), Fixed(), All(), group_size=4, filter={"reference": "weak", "lo": 0.3, "hi": 1.0}
    )
    probed = set()
    for step in range(4):
        rounds, _ = hand.step(sampler, hand.context(sampler, step=step), hand.mixed)
        probed |= {r.task for r in rounds[0] if r.purpose is hand.probe}
    assert probed and not sampler.filtered[list(probed)].any()
