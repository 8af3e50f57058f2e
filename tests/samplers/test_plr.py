"""PLR: who is replayed, how often, and in which proportion to new tasks."""

from dataclasses import replace

import numpy as np
import pytest

from rftlab.core import InputError, Need
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.plr import PLR
from rftlab.testing import check_sampler, make_pool


def bound(n: int, **knobs) -> PLR:
    selector = PLR(**knobs)
    selector.bind(make_pool(n), 8)
    return selector


def draws(plr: PLR, hand, m: int, steps: int = 2000) -> np.ndarray:
    """Tasks proposed in so many steps, [steps, m]."""

    sampler = TaskSampler(make_pool(1), PLR(), Fixed(), All(), group_size=8)
    taken = np.zeros(len(plr.last), bool)
    contexts = (hand.context(sampler, step=s).view("selector/propose", frozenset()) for s in range(steps))
    return np.array([plr.propose(m, ctx, taken) for ctx in contexts])


def test_replays_follow_the_power_of_the_rank(hand) -> None:
    plr = bound(4, temperature=0.5, staleness=0.0)
    plr.observe(hand.feedback([0, 1, 2, 3], [4, 3, 2, 1], 8), None)
    weight = np.array([1, 1 / 4, 1 / 9, 1 / 16])
    assert np.bincount(draws(plr, hand, 1)[:, 0]) / 2000 == pytest.approx(weight / weight.sum(), abs=0.03)


def test_equal_scores_share_their_ranks(hand) -> None:
    plr = bound(50, staleness=0.0)
    plr.observe(hand.feedback(np.arange(50), np.full(50, 4), 8), None)
    often = np.bincount(draws(plr, hand, 5)[:, :].ravel(), minlength=50)
    assert often.min() > 100 and often.max() < 320  # 200 each


def test_age_draws_its_share_in_proportion(hand) -> None:
    plr = bound(3, staleness=1.0)
    for task in (0, 1, 2):
        plr.observe(hand.feedback([task], [4], 8), None)
    assert np.bincount(draws(plr, hand, 1)[:, 0], minlength=3) / 2000 == pytest.approx([2 / 3, 1 / 3, 0], abs=0.03)


def test_a_batch_keeps_the_share_of_age_beside_the_first_ranks(hand) -> None:
    plr = bound(100, temperature=0.1, staleness=0.25)
    plr.observe(hand.feedback(np.arange(50), np.full(50, 8), 8), None)
    plr.observe(hand.feedback(np.arange(50, 100), np.repeat([4, 8], 25), 8), None)  # 25 good and fresh
    batch = draws(plr, hand, 20, 500)
    good = ((batch >= 50) & (batch < 75)).mean()
    assert good == pytest.approx(0.75, abs=0.03)


@pytest.mark.parametrize(("schedule", "share"), [("proportionate", 0.2), ("fixed", 0.7)])
def test_new_tasks_get_their_share(schedule, share, hand) -> None:
    plr = bound(100, schedule=schedule, fresh=0.3)
    plr.observe(hand.feedback(np.arange(20), np.full(20, 4), 8), None)
    assert (draws(plr, hand, 4) < 20).mean() == pytest.approx(share, abs=0.02)


def test_nothing_is_replayed_before_the_warmup_is_over(hand) -> None:
    plr = bound(100, schedule="fixed", fresh=0.0, warmup=0.5)
    plr.observe(hand.feedback(np.arange(49), np.full(49, 4), 8), None)
    assert (draws(plr, hand, 4, 50) >= 49).all()
    plr.observe(hand.feedback([49], [4], 8), None)
    assert (draws(plr, hand, 4, 50) < 50).all()


def test_what_is_short_on_one_side_is_filled_from_the_other(hand) -> None:
    plr = bound(10, schedule="fixed", fresh=0.5)
    plr.observe(hand.feedback([0, 1], [4, 4], 8), None)
    assert sorted(draws(plr, hand, 10, 1)[0].tolist()) == list(range(10))


def test_a_very_low_temperature_is_the_order_of_the_scores(hand) -> None:
    plr = bound(5, temperature=1e-4, staleness=0.0)
    plr.observe(hand.feedback(np.arange(5), [0, 1, 2, 3, 4], 8), None)
    assert (np.sort(draws(plr, hand, 3, 50)) == [2, 3, 4]).all()


def test_the_advantage_is_the_score_where_it_is_known(hand) -> None:
    plr = bound(3, score="advantage")
    fb = replace(hand.feedback([0, 1, 2], [4, 2, 8], 8), abs_advantage=np.array([0.7, np.nan, np.nan]))
    plr.observe(fb, None)
    assert plr.scores == pytest.approx([0.7, 2 * np.sqrt(3 / 16), 0.0])
    assert plr.needs() == {Need.ADVANTAGE} and not bound(1).needs()


def test_a_group_that_could_not_be_graded_leaves_the_task_new(hand) -> None:
    plr = bound(2)
    plr.observe(hand.feedback([0], [0], [0]), None)
    assert (plr.last < 0).all()


@pytest.mark.parametrize(
    "knobs", [{"temperature": 0.0}, {"staleness": 2.0}, {"fresh": -1.0}, {"schedule": "x"}, {"score": "x"}], ids=str
)
def test_values_out_of_range_are_named(knobs) -> None:
    with pytest.raises(InputError, match=f"sampler.selector.{next(iter(knobs))}="):
        PLR(**knobs)


@pytest.mark.parametrize("knobs", [{"schedule": "fixed", "score": "advantage"}, {"staleness": 1.0}], ids=str)
def test_every_option_keeps_the_contract(knobs) -> None:
    check_sampler(lambda pool, g: TaskSampler(pool, PLR(**knobs), Fixed(), All(), group_size=g), steps=4)
