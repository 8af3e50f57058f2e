"""Arms: a draw per slot, a task per arm."""

from dataclasses import replace

import numpy as np
import pytest

from rftlab.core import InputError
from rftlab.samplers.selectors.arms import Arms, category_arms, draw_arms, greedy, softmax, told_advantage
from rftlab.testing import make_pool

LABEL = np.array([7, 3, 7, 7, 9, 3, 7])  # arms: 3 -> tasks 1 5, 7 -> tasks 0 2 3 6, 9 -> task 4


def fill(m: int, probability: list[float], taken=(), turns=None, seed=0) -> list[int]:
    rng = np.random.default_rng(seed)
    mask = np.isin(np.arange(7), list(taken))
    turns = np.zeros(7, np.int32) if turns is None else np.array(turns, np.int32)
    arms = Arms(LABEL)
    return arms.fill(m, lambda k, open: draw_arms(k, np.array(probability), open, rng), turns, mask, rng).tolist()


def test_arms_are_numbered_by_label_and_know_their_tasks() -> None:
    arms = Arms(LABEL)
    assert [arms.tasks(k).tolist() for k in range(len(arms))] == [[1, 5], [0, 2, 3, 6], [4]]
    assert arms.of.tolist() == [1, 0, 1, 1, 2, 0, 1]


def test_slots_follow_the_probabilities() -> None:
    first = np.array([LABEL[fill(1, [0.2, 0.7, 0.1], seed=s)[0]] for s in range(2000)])
    for label, share in ((3, 0.2), (7, 0.7), (9, 0.1)):
        assert abs((first == label).mean() - share) < 0.04


def test_the_order_of_a_batch_is_the_order_of_the_draws_and_not_of_the_arms() -> None:
    orders = {tuple(LABEL[fill(3, [1 / 3] * 3, seed=s)]) for s in range(400)}
    assert {o[0] for o in orders} == {3, 7, 9}
    assert any(o == (7, 3, 7) for o in orders)


def test_an_arm_that_has_run_out_leaves_its_slots_to_the_others() -> None:
    assert set(fill(5, [0.0, 0.0, 1.0])) > {4}
    assert len(set(fill(5, [0.0, 0.0, 1.0]))) == 5
    assert sorted(fill(99, [0.9, 0.1, 0.0])) == list(range(7))
    assert set(LABEL[fill(2, [0.0, 0.5, 0.5], taken=[0, 2, 3, 6])]) == {3, 9}


def test_taken_tasks_are_never_named_and_nothing_is_asked_of_an_empty_pool() -> None:
    for seed in range(20):
        assert not {1, 0, 2} & set(fill(4, [0.4, 0.4, 0.2], taken=[0, 1, 2], seed=seed))
    assert fill(3, [0.4, 0.4, 0.2], taken=range(7)) == []
    assert fill(0, [0.4, 0.4, 0.2]) == []


def test_an_arm_goes_through_its_tasks_before_one_comes_again_and_ties_are_random() -> None:
    assert set(fill(2, [0, 1.0, 0], turns=[3, 0, 2, 3, 0, 0, 2])) == {2, 6}
    assert {fill(1, [0, 1.0, 0], seed=s)[0] for s in range(40)} == {0, 2, 3, 6}


def test_draws_among_open_arms_are_renormalised() -> None:
    rng = np.random.default_rng(0)
    open = np.array([True, False, True])
    drawn = np.bincount(draw_arms(4000, np.array([0.1, 0.6, 0.3]), open, rng), minlength=3) / 4000
    np.testing.assert_allclose(drawn, [0.25, 0, 0.75], atol=0.03)
    even = np.bincount(draw_arms(4000, np.array([0.0, 1.0, 0.0]), open, rng), minlength=3) / 4000
    np.testing.assert_allclose(even, [0.5, 0, 0.5], atol=0.03)


def test_softmax_and_greedy() -> None:
    np.testing.assert_allclose(softmax(np.array([0.0, np.log(3)]), 1.0), [0.25, 0.75])
    np.testing.assert_allclose(softmax(np.array([0.0, 1e4]), 1e-3), [0, 1])
    np.testing.assert_allclose(greedy(np.array([1.0, 2.0, 2.0, 0.0]), 0.2), [0.05, 0.45, 0.45, 0.05])


def test_means_count_rollouts_and_not_groups(hand) -> None:
    fb = hand.feedback([0, 2, 1], [0, 0, 0], [2, 6, 4])
    mean, n = Arms(LABEL).means(fb, np.array([1.0, 0.0, 0.5]))
    assert n.tolist() == [4, 8, 0]
    np.testing.assert_allclose(mean, [0.5, 0.25, np.nan])


def test_an_untold_advantage_is_that_of_a_group_with_divided_advantages(hand) -> None:
    fb = hand.feedback([0, 1, 2], [2, 8, 3], 8)
    fb = replace(fb, abs_advantage=np.array([np.nan, np.nan, 0.125]))
    rewards = np.array([1.0] * 2 + [0.0] * 6)
    by_hand = np.abs((rewards - rewards.mean()) / rewards.std()).mean()
    np.testing.assert_allclose(told_advantage(fb), [by_hand, 0.0, 0.125])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"category": None}, "has no categories"),
        ({"category": np.full(40, 1)}, "40 tasks of one category, .*sampler=uniform"),
        ({"category": np.arange(40) - 1}, r"numbers in \[-1, 38\], wanted them in \[0, 3\)"),
        ({"category": np.arange(40) % 4}, r"numbers in \[0, 3\], wanted them in \[0, 3\)"),
    ],
    ids=["none", "one", "negative", "unnamed"],
)
def test_categories_that_leave_no_choice_are_named(change, words) -> None:
    with pytest.raises(InputError, match=words):
        category_arms(replace(make_pool(40), **change))


def test_categories_without_tasks_make_no_arms_and_a_category_of_one_works() -> None:
    pool = replace(make_pool(40), category=np.array([0] * 39 + [2]))
    arms = category_arms(pool)
    assert arms.labels.tolist() == [0, 2] and arms.tasks(1).tolist() == [39]
