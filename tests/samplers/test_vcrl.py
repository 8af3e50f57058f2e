"""VCRL: what is in the bank, and when it is asked."""

import numpy as np
import pytest

from rftlab.core import InputError
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.admissions.kappa import Kappa
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.vcrl import VCRL
from rftlab.testing import MEDLEY, check_run, make_pool


def bound(hand, n=6, **knobs) -> VCRL:
    vcrl = VCRL(**knobs)
    vcrl.bind(make_pool(n), 8)
    return vcrl


def context(hand, seed=0):
    sampler = TaskSampler(make_pool(6), VCRL(), Fixed(), All(), group_size=4)
    return hand.context(sampler, seed=seed).view("selector/observe", frozenset())


def test_tasks_enter_by_their_variance_move_with_momentum_and_leave(hand) -> None:
    vcrl, ctx = bound(hand, kappa=0.8, momentum=0.5), context(hand)
    vcrl.observe(hand.feedback([0, 1, 2, 3], [4, 3, 2, 8], 8), ctx)  # v = 1, 15/16, 12/16, 0
    np.testing.assert_allclose(vcrl.priority, [1, 15 / 16, 0, 0, 0, 0])
    vcrl.observe(hand.feedback([0, 1, 2], [3, 8, 4], 8), ctx)
    np.testing.assert_allclose(vcrl.priority, [(1 + 15 / 16) / 2, 0, 1, 0, 0, 0])
    assert vcrl.metrics()["bank"] == 2
    vcrl.observe(hand.feedback([0, 2], [1, 0], [1, 0]), ctx)
    assert vcrl.metrics()["bank"] == 2, "one rollout or none has no variance"


def test_the_bank_keeps_its_best_when_it_is_full(hand) -> None:
    vcrl = bound(hand, kappa=0.1, capacity=2)
    vcrl.observe(hand.feedback([0, 1, 2, 3], [1, 4, 3, 2], 8), context(hand))
    assert np.flatnonzero(vcrl.priority).tolist() == [1, 2]
    kept = set()
    for seed in range(30):
        vcrl = bound(hand, kappa=0.1, capacity=1)
        vcrl.observe(hand.feedback([0, 1], [4, 4], 8), context(hand, seed))
        kept |= set(np.flatnonzero(vcrl.priority).tolist())
    assert kept == {0, 1}, "ties are random"


def test_refills_come_from_the_bank_the_best_first_then_from_the_epoch(hand) -> None:
    sampler = TaskSampler(make_pool(40), VCRL(), Fixed(), Kappa(0.8, switch=None), group_size=8)
    bank = np.array([30, 31, 32])
    sampler.selector.priority[bank] = [0.9, 1.0, 0.85]
    sampler.selector.turns[bank] = 1
    rounds, batch = hand.step(
        sampler, hand.context(sampler, p=6), lambda r: hand.mixed(r) if r.task in bank else hand.right(r)
    )
    assert not {r.task for r in rounds[0]} & set(bank)
    assert [r.task for r in rounds[1]][:3] == [31, 30, 32] and len(rounds[1]) > 3
    assert {g.task.index for g, _ in batch} == set(bank)


def test_the_first_round_is_that_of_uniform_but_for_the_share(hand) -> None:
    def first(selector):
        sampler = TaskSampler(make_pool(40), selector, Fixed(), All(), group_size=4)
        selector.priority[:8] = 0.9
        return [r.task for r in sampler.ask(hand.context(sampler, p=10))]

    order = VCRL()
    order.bind(make_pool(40), 4)
    assert first(VCRL()) == order._permutation(0, 0)[:10].tolist()
    shared = first(VCRL(share=0.4))
    assert set(shared[:4]) <= set(range(8)) and len(set(shared)) == 10


@pytest.mark.parametrize("knobs", [{"share": 0.5, "kappa": 0.2}, {"capacity": 2}, {"momentum": 0.0}], ids=str)
def test_every_setting_keeps_the_contract(knobs) -> None:
    def make(pool, group_size):
        return TaskSampler(pool, VCRL(**knobs), Fixed(), Kappa(switch=None, carry=1), group_size=group_size)

    check_run(make, MEDLEY)


@pytest.mark.parametrize("knobs", [{"kappa": 0.0}, {"momentum": 1.0}, {"share": 1.1}, {"capacity": 0}], ids=str)
def test_values_out_of_range_are_named(knobs) -> None:
    with pytest.raises(InputError, match=f"sampler.selector.{next(iter(knobs))}="):
        VCRL(**knobs)
