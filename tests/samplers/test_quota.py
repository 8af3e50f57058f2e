"""Sequential quotas: who stops when, and what is refused."""

import numpy as np
import pytest

from rftlab.core import InputError, UpdateInfo
from rftlab.samplers.admissions.balanced import Balanced
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.admissions.nonzero_var import NonzeroVar
from rftlab.samplers.allocators.ar3po import AR3PO
from rftlab.samplers.allocators.dart import DART
from rftlab.samplers.allocators.reinforce_ada import ReinforceAda
from rftlab.samplers.allocators.speed import SPEED
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.uniform import Uniform
from rftlab.testing import make_pool


def bound(allocator, group_size=8, n=20):
    allocator.bind(make_pool(n), group_size)
    return allocator


def sampler_of(allocator, admission=None, n=20, group_size=4) -> TaskSampler:
    return TaskSampler(make_pool(n), Uniform(), allocator, admission or All(), group_size=group_size)


def seen(sampler, tasks, wins, trials) -> None:
    sampler.stats.wins[tasks], sampler.stats.trials[tasks] = wins, trials


# the largest numbers by hand: G = 8 and the documented multiples of it
@pytest.mark.parametrize(
    ("allocator", "first", "cap", "rounds"),
    [
        (DART(), 4, 32, 8),
        (DART(chunk=5, cap=12), 5, 12, 3),
        (DART(k=3, chunk=16, cap=6), 6, 6, 1),
        (ReinforceAda(), 8, 32, 4),
        (ReinforceAda("positive", chunk=3), 3, 32, 11),
        (AR3PO(), 4, 8, 2),
        (AR3PO(chunk=4, cap=20), 4, 20, 5),
    ],
    ids=lambda value: str(value) if isinstance(value, int) else type(value).__name__,
)
def test_sizes_and_rounds(hand, allocator, first, cap, rounds) -> None:
    bound(allocator)
    ctx = hand.context(sampler_of(AR3PO()), g=8)
    assert allocator.first(np.arange(3), ctx).tolist() == [first] * 3
    assert allocator.rounds() == rounds
    trials, asked = first, 1
    while (n := allocator.more(hand.feedback([0], [0], trials), ctx)[0]) > 0:
        trials, asked = trials + int(n), asked + 1
    assert (trials, asked) == (cap, rounds)


def test_uniform_stops_at_its_quota_and_not_one_later(hand) -> None:
    allocator = bound(DART("uniform", k=4, chunk=4))
    ctx = hand.context(sampler_of(DART("uniform")), g=8)
    assert allocator.more(hand.feedback([0, 1, 2, 3], [3, 4, 5, 0], 8), ctx).tolist() == [4, 0, 0, 4]


def test_the_last_chunk_ends_at_the_cap(hand) -> None:
    allocator = bound(DART("uniform", k=4, chunk=5, cap=12))
    ctx = hand.context(sampler_of(DART("uniform")), g=8)
    fb = hand.feedback([0, 1, 2, 3], [0, 0, 0, 0], [5, 10, 12, 13])
    assert allocator.more(fb, ctx).tolist() == [5, 2, 0, 0]


@pytest.mark.parametrize(
    ("exit", "more"),
    # wins of 8 trials: 0, 1, 3, 4, 5, 8; n = 8 wants 4 and 4
    [("balance", [8, 8, 8, 0, 8, 8]), ("positive", [8, 0, 0, 0, 0, 0])],
)
def test_reinforce_ada_exits(hand, exit, more) -> None:
    allocator = bound(ReinforceAda(exit))
    ctx = hand.context(sampler_of(AR3PO()), g=8)
    assert allocator.more(hand.feedback(np.arange(6), [0, 1, 3, 4, 5, 8], 8), ctx).tolist() == more


def test_an_odd_group_wants_the_larger_half_of_each(hand) -> None:
    allocator = bound(ReinforceAda(n=5))
    ctx = hand.context(sampler_of(AR3PO()), g=8)
    assert allocator.more(hand.feedback([0, 1], [2, 3], 6), ctx).tolist() == [8, 0]


def test_ar3po_leaves_at_the_first_pass_as_reinforce_ada_positive_does(hand) -> None:
    same = {"chunk": 3, "cap": 12}
    one, other = bound(AR3PO(**same)), bound(ReinforceAda("positive", **same))
    ctx = hand.context(sampler_of(AR3PO()), g=8)
    fb = hand.feedback(np.arange(5), [0, 1, 3, 0, 0], [3, 3, 3, 11, 12])
    assert one.more(fb, ctx).tolist() == other.more(fb, ctx).tolist() == [3, 0, 0, 1, 0]


def test_prop2diff_gives_the_hardest_k_and_the_easiest_one(hand) -> None:
    sampler = sampler_of(DART(), group_size=8)
    # fail rates .8, .6, .4, 0 and, beside the batch, .2
    seen(sampler, [3, 5, 7, 9, 11], [1, 2, 3, 5, 4], 5)
    ctx = hand.context(sampler, g=8)
    passes, failures = sampler.allocator.quota(hand.feedback([3, 5, 7, 9], [0, 0, 0, 0], 4), ctx)
    # 8 * .8/.8, 8 * .6/.8, 8 * .4/.8, at least 1
    assert passes.tolist() == [8, 6, 4, 1] and failures == 0


def test_prop2diff_compares_with_the_whole_pool_and_rounds_up(hand) -> None:
    sampler = sampler_of(DART(k=7), group_size=8)
    seen(sampler, [0, 1, 2], [0, 2, 3], 4)  # the hardest task, f = 1, is not in the batch
    passes, _ = sampler.allocator.quota(hand.feedback([1, 2], [0, 0], 4), hand.context(sampler, g=8))
    assert passes.tolist() == [4, 2]  # 3.5 and 1.75


def test_a_quota_does_not_move_when_the_hardest_task_is_settled(hand) -> None:
    sampler = sampler_of(DART(), group_size=8)
    seen(sampler, [0, 1], [1, 2], 4)
    ctx = hand.context(sampler, g=8)
    both, _ = sampler.allocator.quota(hand.feedback([0, 1], [0, 0], 4), ctx)
    alone, _ = sampler.allocator.quota(hand.feedback([1], [0], 8), ctx)
    assert both.tolist() == [8, 6] and alone.tolist() == [6]  # 8 * .5/.75 rounded up


def test_prop2diff_without_history_uses_the_first_chunk(hand) -> None:
    sampler = sampler_of(DART(), group_size=8)
    fb = hand.feedback([0, 1, 2], [0, 2, 4], 4)
    passes, _ = sampler.allocator.quota(fb, hand.context(sampler, g=8))
    assert passes.tolist() == [8, 4, 1]
    assert sampler.allocator.more(fb, hand.context(sampler, g=8)).tolist() == [4, 4, 0]


def test_prop2diff_starts_from_a_reference_until_a_task_was_visited(hand) -> None:
    pool = make_pool(20)
    pool.references["weak"][:] = np.nan
    pool.references["weak"][:4] = [0.0, 0.25, 0.5, 0.75]
    sampler = TaskSampler(pool, Uniform(), DART(reference="weak"), All(), group_size=8)
    seen(sampler, [3], 0, 4)
    fb = hand.feedback([0, 1, 2, 3, 4], [0, 0, 0, 0, 2], 4)
    passes, _ = sampler.allocator.quota(fb, hand.context(sampler, g=8))
    assert passes.tolist() == [8, 6, 4, 8, 4]  # task 3 by its own count, task 4 by its rollouts of this step
    assert sampler.reference_rollouts() == 16 * 20 and DART().references == ()


def test_prop2diff_of_a_pool_that_is_solved_wants_one_pass(hand) -> None:
    sampler = sampler_of(DART(), group_size=8)
    seen(sampler, np.arange(20), 8, 8)
    passes, _ = sampler.allocator.quota(hand.feedback([0, 1], [0, 3], 4), hand.context(sampler, g=8))
    assert passes.tolist() == [1, 1]


def test_a_task_that_cannot_be_graded_is_given_up_and_faults_fill_no_cap(hand) -> None:
    allocator = bound(DART("uniform", chunk=4, cap=8))
    ctx = hand.context(sampler_of(DART("uniform")), g=8)
    assert allocator.more(hand.feedback([0, 1], [0, 0], [0, 6]), ctx).tolist() == [0, 2]


def test_a_step_of_dart_counts_after_every_chunk(hand) -> None:
    sampler = sampler_of(DART("uniform", k=2, chunk=2, cap=8), Balanced(n=4))
    ctx = hand.context(sampler, p=3, g=4)
    easy, hard, dead = (r.task for r in sampler.ask(ctx))
    hand.tell(sampler, ctx, sampler._step.asked, lambda r: [r.task == easy] * r.n)
    rounds = [[(r.task, r.n) for r in sampler.ask(ctx)]]
    while sampler._step.asked:
        hand.tell(sampler, ctx, sampler._step.asked, lambda r: [r.task == hard, False])
        rounds.append([(r.task, r.n) for r in sampler.ask(ctx)])
    # the easy task had its two passes at once; the hard one makes one a chunk; the dead one runs into the cap
    assert rounds == [[(hard, 2), (dead, 2)], [(hard, 2), (dead, 2)], [(dead, 2)], []]
    (group, pick), *rest = sampler.batch(ctx)
    assert not rest and group.task.index == hard and len(group.verdicts) == 6
    assert len(pick.rollouts) == 4 and pick.baseline == pytest.approx(2 / 6)
    sampler.end_step(ctx, UpdateInfo())
    assert sampler.stats.trials[[easy, hard, dead]].tolist() == [2, 6, 8]


def test_speed_continues_only_what_its_screening_qualified(hand) -> None:
    allocator = bound(SPEED(4, 20))
    ctx = hand.context(sampler_of(SPEED()), g=8)
    assert allocator.first(np.arange(2), ctx).tolist() == [4, 4] and allocator.rounds() == 2
    fb = hand.feedback(np.arange(6), [0, 1, 3, 4, 2, 0], [4, 4, 4, 4, 24, 0])
    assert allocator.more(fb, ctx).tolist() == [0, 20, 20, 0, 0, 0]


@pytest.mark.parametrize(("group_size", "sizes"), [(8, (4, 4)), (5, (2, 3)), (3, (2, 1)), (2, (2, 0))])
def test_speed_splits_the_group_by_default(group_size, sizes) -> None:
    allocator = bound(SPEED(), group_size)
    assert (allocator.screen, allocator.rest) == sizes


def test_speed_screens_replacements_while_it_continues_the_qualified(hand) -> None:
    sampler = sampler_of(SPEED(), NonzeroVar(carry=1))
    ctx = hand.context(sampler)
    first = sampler.ask(ctx)
    good = {r.task for r in first[:2]}
    hand.tell(sampler, ctx, first, lambda r: hand.mixed(r) if r.task in good else hand.right(r))
    second = sampler.ask(ctx)
    assert {r.task for r in second[:2]} == good and len(second) > 2 and {r.n for r in second} == {2}
    hand.tell(sampler, ctx, second, hand.mixed)
    while requests := sampler.ask(ctx):
        hand.tell(sampler, ctx, requests, hand.mixed)
    assert len(sampler.batch(ctx)) == 4 and all(len(p.rollouts) == 4 for _, p in sampler.batch(ctx))
    sampler.end_step(ctx, UpdateInfo())
    assert sampler.carried and all(len(g.verdicts) == 4 for g in sampler.carried)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: DART(k=33), r"cap=32 is below the quota of 33 passes and 0 failures.*at least 33"),
        (lambda: DART("uniform", k=5, cap=4), r"cap=4 is below the quota of 5 passes"),
        (lambda: DART(cap=6), r"cap=6 is below the quota of 8 passes"),
        (lambda: ReinforceAda(cap=7), r"cap=7 is below the quota of 4 passes and 4 failures"),
        (lambda: DART("even"), "variant=even"),
        (lambda: DART(k=0), "k=0"),
        (lambda: DART(chunk=0), "chunk=0"),
        (lambda: DART(cap=1), "cap=1"),
        (lambda: DART("uniform", reference="weak"), "reference=weak is not read"),
        (lambda: DART(reference="Nobody"), "reference=Nobody.*no such reference"),
        (lambda: ReinforceAda("both"), "exit=both"),
        (lambda: ReinforceAda(n=1), "n=1"),
        (lambda: SPEED(n_init=1), "n_init=1"),
        (lambda: SPEED(n_cont=0), "n_cont=0"),
    ],
)
def test_what_can_never_work_is_refused(make, words) -> None:
    with pytest.raises(InputError, match=rf"sampler\.allocator\.{words}"):
        bound(make())


def test_a_reference_that_knows_nothing_is_refused() -> None:
    pool = make_pool(20)
    pool.references["weak"][:] = np.nan
    with pytest.raises(InputError, match="reference=weak has no known rate"):
        DART(reference="weak").bind(pool, 8)


def test_the_share_of_tasks_at_the_cap_is_reported(hand) -> None:
    sampler = TaskSampler(make_pool(20), Uniform(), ReinforceAda(chunk=4, cap=8), Balanced(), group_size=4)
    requested: dict[int, int] = {}

    def answer(request):  # one task of four never passes
        requested.setdefault(request.task, len(requested))
        return [requested[request.task] > 0 and i % 2 == 0 for i in range(request.n)]

    hand.step(sampler, hand.context(sampler), answer)
    assert sampler.metrics()["sampler/capped"] == 0.25
    hand.step(sampler, hand.context(sampler, step=1, rollouts=0), answer)
    assert "sampler/capped" not in sampler.metrics()
