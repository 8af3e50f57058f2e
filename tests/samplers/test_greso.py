"""GRESO: streaks, skips and how they adjust."""

from types import SimpleNamespace

import numpy as np
import pytest

from rftlab.core import InputError
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.admissions.nonzero_var import NonzeroVar
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.greso import GRESO
from rftlab.testing import MEDLEY, check_run, make_pool

CTX = SimpleNamespace(seed=0)


def bound(n=8, **knobs) -> GRESO:
    greso = GRESO(**knobs)
    greso.bind(make_pool(n), 8)
    return greso


def asked(hand, n: int, steps: int, answer, p=10, **knobs) -> list[list[int]]:
    sampler = TaskSampler(make_pool(n), GRESO(**knobs), Fixed(), All(), group_size=4)
    return [
        [r.task for turn in hand.step(sampler, hand.context(sampler, i, p), answer)[0] for r in turn]
        for i in range(steps)
    ]


def test_streaks_count_visits_of_one_side_and_end_with_any_other(hand) -> None:
    greso = bound(5)
    for wins in ([8, 8, 0, 0, 0], [8, 0, 0, 3, 0], [8, 0, 0, 0, 8]):
        greso.observe(hand.feedback(range(5), wins, 8), CTX)
    assert greso.streak.tolist() == [3, -2, -3, -1, 1]
    greso.observe(hand.feedback(range(5), [0, 0, 0, 4, 0], [0, 0, 0, 8, 0]), CTX)
    assert greso.streak.tolist() == [3, -2, -3, 0, 1], "a visit without a graded rollout says nothing"


def test_the_chance_of_a_turn_is_a_power_of_the_sides_own_p_and_never_below_one_in_a_hundred() -> None:
    greso = bound(6, p_easy=0.5, p_hard=0.8)
    greso.streak[:] = [0, 1, 3, -1, -3, 300]
    np.testing.assert_allclose(greso.chance(np.arange(6)), [1, 0.5, 0.125, 0.8, 0.512, 0.01])


def test_thresholds_for_a_reward_with_a_format_credit(hand) -> None:
    greso = bound(3, easy=0.98, hard=0.11)
    greso.observe(hand.feedback([0, 1, 2], [99, 11, 12], 100), CTX)
    assert greso.streak.tolist() == [1, -1, 0]


def test_the_first_epoch_skips_nothing(hand) -> None:
    steps = asked(hand, 100, 10, hand.right)
    assert sorted(t for step in steps for t in step) == list(range(100))


def test_later_epochs_skip_at_the_rate_of_the_equation(hand) -> None:
    """400 tasks, 200 of them always right: in the second epoch they keep their turn with p_easy = 0.5."""

    def answer(r):
        return hand.right(r) if r.task < 200 else hand.mixed(r)

    steps = asked(hand, 400, 45, answer, p=20, delta=0.0)
    first = [t for step in steps[:20] for t in step]
    assert sorted(first) == list(range(400))
    second = [t for step in steps[20:] for t in step][:300]
    live = [t for t in second if t >= 200]
    dead = [t for t in second if t < 200]
    assert abs(len(dead) / len(live) - 0.5) < 0.12


def test_what_was_skipped_has_had_its_turn(hand) -> None:
    greso = GRESO(delta=0.0)
    sampler = TaskSampler(make_pool(40), greso, Fixed(), All(), group_size=4)
    greso.turns[:] = 1
    greso.streak[:20] = 6
    taken = np.zeros(40, bool)
    proposed = greso.propose(10, hand.context(sampler, 3, 10).view("selector/propose", frozenset()), taken)
    order, luck = greso._epoch(1, 0)
    kept = [t for t in order.tolist() if t >= 20 or luck[t] < 0.5**6]
    assert proposed.tolist() == kept[:10]
    greso.observe(hand.feedback(proposed, [4] * 10, 8), CTX)
    last = order.tolist().index(kept[9])
    assert set(np.flatnonzero(greso.turns == 2)) == set(order[: last + 1].tolist())
    assert greso.skipped == last + 1 - 10


def test_a_pool_of_skipped_tasks_still_fills_the_batch(hand) -> None:
    greso = GRESO()
    sampler = TaskSampler(make_pool(6), greso, Fixed(), All(), group_size=4)
    greso.turns[:], greso.streak[:] = 1, -100
    assert len(sampler.ask(hand.context(sampler, p=5))) == 5


def test_p_adjusts_itself_from_the_second_epoch_on(hand) -> None:
    greso = bound(12)
    greso.observe(hand.feedback(range(12), [8] * 12, 8), CTX)
    assert (greso.p_easy, greso.p_hard) == (0.5, 0.5)
    greso.observe(hand.feedback(range(12), [8] + [0] * 2 + [4] * 9, 8), CTX)  # 1/12 easy, 2/12 hard: both at target
    assert (greso.p_easy, greso.p_hard) == (0.49, 0.49)
    greso.observe(hand.feedback(range(12), [0] + [4] * 11, 8), CTX)
    assert (greso.p_easy, greso.p_hard) == pytest.approx((0.5, 0.5))
    for _ in range(60):
        greso.observe(hand.feedback(range(12), [4] * 12, 8), CTX)
    assert (greso.p_easy, greso.p_hard) == (0.95, 0.95)


def test_refills_go_on_in_the_order_of_the_epoch(hand) -> None:
    pool = make_pool(60)
    sampler = TaskSampler(pool, GRESO(), Fixed(), NonzeroVar(oversample=1.25), group_size=4)
    dead = set(range(0, 60, 2))
    seen: list[int] = []
    for step in range(3):
        rounds, _ = hand.step(
            sampler, hand.context(sampler, step, 8), lambda r: hand.right(r) if r.task in dead else hand.mixed(r)
        )
        seen += [r.task for turn in rounds for r in turn]
    order = GRESO._epoch(sampler.selector, 0, 0)[0].tolist()
    assert seen[:60] == order[: len(seen)]


@pytest.mark.parametrize("knobs", [{"p_easy": 0.05, "p_hard": 0.05}, {"easy": 0.6, "hard": 0.4}], ids=str)
def test_every_setting_keeps_the_contract(knobs) -> None:
    check_run(lambda pool, g: TaskSampler(pool, GRESO(**knobs), Fixed(), NonzeroVar(carry=1), group_size=g), MEDLEY)


@pytest.mark.parametrize(
    "knobs", [{"p_easy": 1.0}, {"p_hard": 0.0}, {"target": 1.5}, {"delta": -0.1}, {"easy": 0.0}], ids=str
)
def test_values_out_of_range_are_named(knobs) -> None:
    with pytest.raises(InputError, match=f"sampler.selector.{next(iter(knobs))}="):
        GRESO(**knobs)
