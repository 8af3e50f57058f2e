"""Handing out a fixed number of rollouts: exact, complete, within bounds, and each method's numbers."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest

from rftlab.core import InputError
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.admissions.nonzero_var import NonzeroVar
from rftlab.samplers.allocators.e3 import E3
from rftlab.samplers.allocators.greedy import hand_out
from rftlab.samplers.allocators.hora import HORA
from rftlab.samplers.allocators.knapsack import Knapsack
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.uniform import Uniform
from rftlab.testing import make_pool


def sampler_of(allocator, admission=None, n=20, group_size=8) -> TaskSampler:
    return TaskSampler(make_pool(n), Uniform(), allocator, admission or All(), group_size=group_size)


def seen(sampler, tasks, wins, trials) -> None:
    sampler.stats.wins[tasks], sampler.stats.trials[tasks] = wins, trials


def best_by_dp(value, room, total) -> float:
    """The largest sum of values[i](x_i) with sum x = total, by dynamic programming over tasks."""
    best = [0.0] + [-math.inf] * total
    for i, most in enumerate(room):
        best = [max(best[t - x] + value(i, x) for x in range(min(most, t) + 1)) for t in range(total + 1)]
    return best[total]


@pytest.mark.parametrize("seed", range(20))
def test_greedy_is_as_good_as_dynamic_programming(seed) -> None:
    rng = np.random.default_rng(seed)
    rate = rng.uniform(0.01, 0.99, 6)
    room = rng.integers(0, 13, 6)
    total = int(rng.integers(0, room.sum() + 1))
    method = Knapsack()

    def value(i, n):
        p = float(rate[i])
        return (1 - p**n - (1 - p) ** n) * p * (1 - p) ** 2

    given = hand_out(lambda i, x: method.gain(rate[i : i + 1], 2 + x), room, total, rng)
    assert given.sum() == total and (given <= room).all()
    found = sum(value(i, 2 + int(x)) - value(i, 2) for i, x in enumerate(given))
    assert found == pytest.approx(best_by_dp(lambda i, x: value(i, 2 + x) - value(i, 2), room.tolist(), total))


def test_equal_gains_are_spread_evenly_and_the_odd_ones_fall_at_random() -> None:
    odd = set()
    for seed in range(20):
        given = hand_out(lambda i, x: 0.0, np.full(4, 9), 10, np.random.default_rng(seed))
        assert sorted(given.tolist()) == [2, 2, 3, 3]
        odd.add(tuple(given.tolist()))
    assert len(odd) > 2


def test_what_finds_no_room_is_left_over() -> None:
    given = hand_out(lambda i, x: 1.0, np.array([2, 0, 1]), 9, np.random.default_rng(0))
    assert given.tolist() == [2, 0, 1]


# ---- Knapsack-RL


def test_knapsack_gains_are_the_differences_of_its_value() -> None:
    p, n = Fraction(1, 4), 3
    value = [(1 - p**k - (1 - p) ** k) * p * (1 - p) ** 2 for k in (n, n + 1)]
    assert Knapsack().gain(np.array([0.25]), n) == pytest.approx(float(value[1] - value[0]), rel=1e-12)
    gains = [Knapsack().gain(np.array([0.25]), k) for k in range(1, 50)]
    assert all(a > b for a, b in itertools.pairwise(gains))


def test_knapsack_values_a_third_the_most_when_a_gradient_is_certain() -> None:
    rate = np.linspace(0.01, 0.99, 99)
    worth = [sum(Knapsack().gain(np.array([p]), k) for k in range(1, 3000)) for p in rate]
    assert rate[int(np.argmax(worth))] == pytest.approx(0.33) and max(worth) == pytest.approx(0.148, abs=5e-4)


def test_knapsack_gives_unknown_tasks_the_group_size(hand) -> None:
    sampler = sampler_of(Knapsack())
    seen(sampler, [0], 1, 7.9)  # below min_trials
    assert sampler.allocator.first(np.arange(5), hand.context(sampler, g=8)).tolist() == [8] * 5


def test_knapsack_by_hand(hand) -> None:
    sampler = sampler_of(Knapsack(), group_size=8)
    seen(sampler, [0, 1, 2, 3], [4, 1, 0, 8], 8)  # .5, .125, never, always; task 4 is unknown
    n = sampler.allocator.first(np.arange(5), hand.context(sampler, g=8))
    # 40 in all: 8 for task 4, 2 each for the others, 24 left. What .5 can use: ln .1 / ln .5 = 3.3, so 4;
    # .125: ln .1 / ln .875 = 17.2, so 18. 2 of the 24 are surplus and go to the task that never passed.
    assert n[[2, 3, 4]].tolist() == [4, 2, 8] and n.sum() == 40

    def value(p, k):
        return (1 - p**k - (1 - p) ** k) * p * (1 - p) ** 2

    best = max(range(23), key=lambda x: value(0.5, 2 + x) + value(0.125, 24 - x))
    assert n[:2].tolist() == [2 + best, 24 - best]


def test_knapsack_gives_the_surplus_to_solved_tasks_when_none_is_unsolved(hand) -> None:
    sampler = sampler_of(Knapsack())
    seen(sampler, [0, 1, 2], [4, 8, 8], 8)
    n = sampler.allocator.first(np.arange(3), hand.context(sampler, g=8))
    # 24 in all, 2 each, 18 left; the live task can use 4
    assert n[0] == 6 and n[1:].tolist() == [9, 9]


@pytest.mark.parametrize(("wins", "expected"), [([0, 0, 8], [11, 11, 2]), ([8, 8, 8], [8, 8, 8])])
def test_knapsack_without_a_live_task(hand, wins, expected) -> None:
    sampler = sampler_of(Knapsack())
    seen(sampler, [0, 1, 2], wins, 8)
    assert sampler.allocator.first(np.arange(3), hand.context(sampler, g=8)).tolist() == expected


def test_knapsack_takes_a_pass_long_ago_for_none(hand) -> None:
    sampler = sampler_of(Knapsack())
    seen(sampler, [0, 1], [0.2, 7.8], 8)  # 1/40 and 39/40
    seen(sampler, [2], 4, 8)
    n = sampler.allocator.first(np.arange(3), hand.context(sampler, g=8))
    assert n.tolist() == [16, 2, 6]  # 4 for the live task beside its 2, 14 of surplus for the first


def test_two_rollouts_a_visit_keep_a_knapsack_task_known() -> None:
    trials = 8.0
    for _ in range(50):
        trials = 0.75 * trials + 2
        assert trials >= Knapsack().min_trials


# ---- HORA


def test_hora_hit_probabilities_by_the_product() -> None:
    a, b = 2, 5
    miss, misses = Fraction(1), [Fraction(1)]
    for j in range(6):
        miss *= Fraction(b + j, a + b + j)
        misses.append(miss)
    gains = [HORA().gain(np.array([2.0, 5.0]), m) for m in range(6)]
    np.testing.assert_allclose(gains, [float(x - y) for x, y in itertools.pairwise(misses)], rtol=1e-12)
    assert gains[0] == pytest.approx(2 / 7)


@pytest.mark.parametrize("belief", [(1.0, 1.0), (1.0, 9.0), (5.0, 1.0), (0.3, 4.2)])
def test_hora_gains_fall(belief) -> None:
    gains = [HORA().gain(np.array(belief), m) for m in range(60)]
    assert all(x > y for x, y in itertools.pairwise(gains)) and sum(gains) < 1


def test_hora_shares_out_the_rest_where_a_hit_is_likeliest(hand) -> None:
    sampler = sampler_of(HORA())
    ctx = hand.context(sampler, g=8)
    assert sampler.allocator.first(np.arange(3), ctx).tolist() == [4, 4, 4]
    wins, room, total = [0, 1, 4], 28, 12

    def hit(k, m):
        return 1 - math.prod((1 + 4 - k + j) / (2 + 4 + j) for j in range(m))

    found = sampler.allocator.more(hand.feedback(np.arange(3), wins, 4), ctx)
    assert found.sum() == total
    best = best_by_dp(lambda i, x: hit(wins[i], x), [room] * 3, total)
    assert sum(hit(k, int(x)) for k, x in zip(wins, found, strict=True)) == pytest.approx(best)
    assert found[0] >= found[1] > found[2]


def test_hora_gives_a_task_its_part_once_and_nothing_to_what_cannot_be_graded(hand) -> None:
    sampler = sampler_of(HORA())
    more = sampler.allocator.more(hand.feedback([0, 1, 2], [1, 1, 0], [9, 4, 0]), hand.context(sampler, g=8))
    assert more.tolist() == [0, 4, 0] and sampler.allocator.rounds() == 2


# ---- E3


def test_e3_shares_in_proportion_to_the_rank(hand) -> None:
    sampler = sampler_of(E3(n_max=64, n_min=4, widen=None))
    seen(sampler, np.arange(5), [0, 1, 2, 3, 4], 4)  # ranks 1, 3/4, 1/2, 1/4, 0
    ctx = hand.context(sampler, g=8)
    np.testing.assert_allclose(sampler.allocator.rank(np.arange(6), ctx), [1, 0.75, 0.5, 0.25, 0, 0.5])
    # 20 beyond 5 * 4, over ranks that add up to 2.5: 8, 6, 4, 2, 0 exactly
    assert sampler.allocator.first(np.arange(5), ctx).tolist() == [12, 10, 8, 6, 4]


def test_e3_holds_n_max_and_gives_others_what_it_cuts_off(hand) -> None:
    sampler = sampler_of(E3(widen=None))  # 4 to 12 at G = 8
    seen(sampler, np.arange(4), [0, 4, 4, 4], 4)
    n = sampler.allocator.first(np.arange(4), hand.context(sampler, g=8))
    # ranks 1, 1/3, 1/3, 1/3: half of the 16 go to the first, which just fits; thirds of the rest are rounded
    assert n.sum() == 32 and n[0] == 12 and sorted(n[1:].tolist()) == [6, 7, 7]
    seen(sampler, np.arange(4), [0, 1, 4, 4], 4)
    n = sampler.allocator.first(np.array([0, 2, 3]), hand.context(sampler, g=8))
    # ranks 1, 1/6, 1/6: the first would get 9 of the 12, and can get 8
    assert n.tolist() == [12, 6, 6]


def test_e3_ranks_are_shared_by_ties_and_neutral_without_history(hand) -> None:
    sampler = sampler_of(E3(widen=None))
    ctx = hand.context(sampler, g=8)
    assert sampler.allocator.first(np.arange(4), ctx).tolist() == [8] * 4
    seen(sampler, [0], 0, 8)
    assert sampler.allocator.rank(np.arange(2), ctx).tolist() == [0.5, 0.5]  # nothing to compare with
    seen(sampler, [1, 2, 3], [8, 8, 0], 8)
    np.testing.assert_allclose(sampler.allocator.rank(np.arange(4), ctx), [5 / 6, 1 / 6, 1 / 6, 5 / 6])


@pytest.mark.parametrize(("epochs", "bounds"), [(0, (8, 8)), (0.9, (8, 8)), (1, (6, 10)), (2.5, (4, 12)), (9, (4, 12))])
def test_e3_widens_with_the_epochs(hand, epochs, bounds) -> None:
    allocator = sampler_of(E3()).allocator
    assert allocator.bounds(epochs) == bounds


# ---- all of them


@pytest.mark.parametrize(
    "allocator", [Knapsack(), Knapsack(n=5, n_max=9), HORA(), HORA(probe=2, n_max=9), E3(widen=None)]
)
@pytest.mark.parametrize("p", [1, 7])
def test_a_step_spends_exactly_what_its_tasks_have_together(hand, allocator, p) -> None:
    sampler = sampler_of(allocator, n=20)
    rng = np.random.default_rng(p)
    rate = rng.random(20)
    each = allocator.mean
    for step in range(12):
        ctx = hand.context(sampler, step=step, p=p, g=8)
        rounds, batch = hand.step(sampler, ctx, lambda r: (rng.random(r.n) < rate[r.task]).tolist())
        size = [len(g.verdicts) for g, _ in batch]
        assert sum(r.n for turn in rounds for r in turn) == sum(size) == p * each
        assert max(size) <= allocator.most
    if p > 1:
        assert len(set(size)) > 1


def test_a_refill_gets_what_its_own_tasks_make(hand) -> None:
    sampler = sampler_of(Knapsack(), NonzeroVar())
    seen(sampler, np.arange(20), 4, 8)
    ctx = hand.context(sampler, p=4, g=8)
    first = sampler.ask(ctx)
    hand.tell(sampler, ctx, first, lambda r: hand.right(r) if r in first[:2] else hand.mixed(r))
    second = sampler.ask(ctx)
    assert sum(r.n for r in first) == 32 and len(second) == 4 and sum(r.n for r in second) == 32


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Knapsack(n=1), "n=1"),
        (lambda: Knapsack(n_max=7), "n_max=7 is below the 8"),
        (lambda: Knapsack(n_neg=9), "n_neg=9 is above the 8"),
        (lambda: Knapsack(n_min=0), "n_min=0"),
        (lambda: Knapsack(alpha=1.0), "alpha=1"),
        (lambda: Knapsack(min_trials=0), "min_trials=0"),
        (lambda: HORA(probe=9), "probe=9 is above the 8"),
        (lambda: HORA(probe=0), "probe=0"),
        (lambda: HORA(b0=0), "a0=1 b0=0"),
        (lambda: E3(n_min=9), "n_min=9 is above the 8"),
        (lambda: E3(n_min=0), "n_min=0"),
        (lambda: E3(widen=-1), "widen=-1"),
    ],
)
def test_refusals(make, words) -> None:
    with pytest.raises(InputError, match=f"sampler.allocator.{words}"):
        make().bind(make_pool(4), 8)
