"""Which groups are admitted, and how many more are asked for."""

from dataclasses import replace

import numpy as np
import pytest

from rftlab.core import InputError, Outcomes
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.admissions.nonzero_var import NonzeroVar
from rftlab.samplers.admissions.window import Window
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.uniform import Uniform
from rftlab.testing import make_pool


def test_a_task_may_weigh_by_its_rollouts(hand) -> None:
    class Sizes(Fixed):
        def first(self, tasks, ctx):
            return np.array([2, 4, 8, 2])

    def weights(admission):
        sampler = TaskSampler(make_pool(20), Uniform(), Sizes(), admission, group_size=4)
        _, batch = hand.step(sampler, hand.context(sampler), hand.mixed)
        return [pick.weight for _, pick in batch]

    assert weights(All()) == [1, 1, 1, 1] and weights(All(weight="rollout")) == [0.5, 1, 2, 0.5]
    with pytest.raises(InputError, match=r"sampler.admission.weight=task, wanted group or rollout"):
        All(weight="task")


def test_flat_groups_may_be_left_out_without_others_in_their_place(hand) -> None:
    sampler = TaskSampler(make_pool(20), Uniform(), Fixed(), All(flat="reject", weight="rollout"), group_size=4)
    seen: list[int] = []

    def answer(request):
        seen.append(request.task)
        return [True] * 4 if len(seen) <= 1 else [True, False, False, False]

    rounds, batch = hand.step(sampler, hand.context(sampler), answer)
    assert len(rounds) == 1 and [p.task for _, p in batch] == seen[1:]
    assert not sampler.metrics()["sampler/underfilled"]
    with pytest.raises(InputError, match=r"sampler.admission.flat=drop, wanted keep or reject"):
        All(flat="drop")


def outcomes(wins: int, trials: int, faults: int = 0) -> Outcomes:
    n = trials + faults
    passed = np.arange(n) < wins
    return Outcomes(
        0, passed, passed * 1.0, np.arange(n) < trials, np.ones(n, int), np.zeros(n, bool), np.zeros(n, int)
    )


@pytest.mark.parametrize(
    ("admission", "admitted"),
    [
        (All(), [0, 1, 2, 3, 4, 5]),
        (NonzeroVar(), [1, 2, 3, 4]),
        (Window(), [1, 2, 3, 4]),
        (Window(0.4, 1), [2, 3, 4, 5]),
    ],
    ids=["all", "nonzero_var", "window", "open above"],
)
def test_pass_rates_that_are_admitted(admission, admitted) -> None:
    found = [wins for wins in range(6) if admission.admit(outcomes(wins, 5), None)]
    assert found == admitted


def test_faults_are_in_no_pass_rate() -> None:
    assert not NonzeroVar().admit(outcomes(3, 3, faults=2), None)
    assert Window(0.75, 1.0).admit(outcomes(3, 4, faults=4), None)


def test_a_shaped_reward_keeps_no_dead_group_alive() -> None:
    o = replace(outcomes(4, 4), score=np.array([0.7, 0.8, 0.9, 1.0]))
    assert not NonzeroVar().admit(o, None)


@pytest.mark.parametrize(
    ("admitted", "settled", "oversample", "wanted"),
    [(0, 0, 1.0, 8), (0, 0, 1.5, 12), (4, 8, 1.0, 16), (4, 8, 1.25, 20), (8, 8, 1.0, 8), (0, 100, 1.0, 32)],
)
def test_refills_are_sized_by_what_the_step_has_yielded(hand, admitted, settled, oversample, wanted) -> None:
    fb = hand.feedback(np.arange(settled), np.zeros(settled), 4)
    fb = replace(fb, trained=np.arange(settled) < admitted)
    assert NonzeroVar(oversample).want(8, fb, None) == wanted


@pytest.mark.parametrize(
    ("make", "key"),
    [
        (lambda: NonzeroVar(oversample=0.5), "oversample"),
        (lambda: NonzeroVar(carry=-1), "carry"),
        (lambda: Window(0.9, 0.1), "lo"),
    ],
)
def test_values_out_of_range_are_named(make, key) -> None:
    with pytest.raises(InputError, match=f"sampler.admission.{key}="):
        make()
