"""E2H: schedules of levels."""

from dataclasses import replace

import numpy as np
import pytest

from rftlab.core import InputError, Need
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.e2h import E2H
from rftlab.testing import MEDLEY, check_run, make_pool

POOL = replace(make_pool(40), level=np.repeat([2.0, 5.0, 5.5, 9.0], 10))


def bound(pool=POOL, **knobs) -> E2H:
    e2h = E2H(**knobs)
    e2h.bind(pool, 8)
    return e2h


def test_cosine_fades_from_a_falling_to_a_rising_ramp() -> None:
    e2h = bound()
    np.testing.assert_allclose(e2h.at(0.0), [0.4, 0.3, 0.2, 0.1])
    np.testing.assert_allclose(e2h.at(0.5), [0.25] * 4)
    np.testing.assert_allclose(e2h.at(1.0), [0.1, 0.2, 0.3, 0.4])
    a = (1 + np.cos(np.pi / 3)) / 2  # = 3/4
    np.testing.assert_allclose(e2h.at(1 / 3), [0.4 * a + 0.1 * (1 - a), 0.275, 0.225, 0.1 * a + 0.4 * (1 - a)])


def test_gauss_moves_a_bump_over_the_levels() -> None:
    e2h = bound(schedule="gauss", floor=False)
    for s, centre in ((0.0, 0.0), (0.25, 1.5), (1.0, 3.0)):
        weights = [np.exp(-((i - centre) ** 2) / 0.5) for i in range(4)]
        np.testing.assert_allclose(e2h.at(s), np.array(weights) / sum(weights))
    floored = bound(schedule="gauss")
    np.testing.assert_allclose(floored.at(0.25), 0.1 + 0.6 * e2h.at(0.25))
    assert np.isfinite(bound(schedule="gauss", sigma=0.01).at(0.3)).all()


def test_steps_is_one_level_after_the_other() -> None:
    e2h = bound(schedule="steps")
    found = [int(e2h.at(s).argmax()) for s in (0, 0.2, 0.25, 0.49, 0.5, 0.75, 0.99, 1.0)]
    assert found == [0, 0, 1, 1, 2, 3, 3, 3]
    assert all(sorted(e2h.at(s)) == [0, 0, 0, 1] for s in (0, 0.3, 1))


def test_a_batch_comes_from_the_level_of_the_moment_and_is_completed_from_the_others(hand) -> None:
    sampler = TaskSampler(POOL, E2H(schedule="steps"), Fixed(), All(), group_size=4)
    ctx = hand.context(sampler, p=8)
    ctx.progress = 0.6
    assert {r.task // 10 for r in sampler.ask(ctx)} == {2}
    sampler = TaskSampler(POOL, E2H(schedule="steps"), Fixed(), All(), group_size=4)
    ctx = hand.context(sampler, p=12)
    tasks = [r.task for r in sampler.ask(ctx)]
    assert sorted(tasks[:10]) == list(range(10)) and len(set(tasks)) == 12


def test_levels_can_be_binned_by_quantile() -> None:
    pool = replace(make_pool(40), level=np.random.default_rng(0).permutation(40) + 0.5)
    e2h = bound(pool, bins=4)
    assert [len(e2h.arms.tasks(k)) for k in range(4)] == [10] * 4
    assert all(pool.level[e2h.arms.tasks(k)].max() < pool.level[e2h.arms.tasks(k + 1)].min() for k in range(3))


def test_a_reference_makes_levels_the_easy_tasks_first_and_unknown_ones_in_the_middle() -> None:
    rate = np.linspace(1, 0, 41)[:40]
    rate[[0, 39]] = np.nan
    pool = replace(make_pool(40), references={"weak": rate}, level=None)
    e2h = bound(pool, reference="weak", bins=3)
    assert e2h.references == ("weak",) and e2h.needs() == {Need.PROGRESS, Need.REFERENCES}
    assert bound().needs() == {Need.PROGRESS, Need.LEVEL} and bound().references == ()
    assert 1 in e2h.arms.tasks(0) and 38 in e2h.arms.tasks(2)
    assert {0, 39} <= set(e2h.arms.tasks(1))


@pytest.mark.parametrize(
    ("knobs", "change", "words"),
    [
        ({}, {"level": None}, "has no levels.*sampler.selector.reference="),
        ({}, {"level": np.where(np.arange(40) == 3, np.nan, 1.0)}, "1 tasks without one"),
        ({}, {"level": np.ones(40)}, "40 tasks of one level"),
        ({}, {"level": np.arange(40.0)}, None),
        ({"reference": "nobody"}, {}, "sampler.selector.reference=nobody"),
        ({"reference": "weak"}, {"references": {"weak": np.full(40, np.nan)}}, "none of its rates is known"),
    ],
    ids=["none", "nan", "one", "forty", "name", "unknown"],
)
def test_levels_that_leave_no_choice_are_named(knobs, change, words) -> None:
    pool = replace(POOL, **change)
    if words is None:
        assert len(bound(pool, **knobs).arms) == 40
        return
    with pytest.raises(InputError, match=words):
        bound(pool, **knobs)


def test_a_continuous_difficulty_wants_bins() -> None:
    pool = replace(make_pool(100), level=np.arange(100.0))
    with pytest.raises(InputError, match="100 distinct levels, wanted 64 at most"):
        bound(pool)
    assert len(bound(pool, bins=5).arms) == 5


@pytest.mark.parametrize("knobs", [{"schedule": "gauss"}, {"schedule": "steps"}, {"reference": "weak"}], ids=str)
def test_every_schedule_keeps_the_contract(knobs) -> None:
    check_run(lambda pool, g: TaskSampler(pool, E2H(**knobs), Fixed(), All(), group_size=g), MEDLEY)


@pytest.mark.parametrize("knobs", [{"schedule": "linear"}, {"beta": 0.0}, {"bins": 1}], ids=str)
def test_values_out_of_range_are_named(knobs) -> None:
    with pytest.raises(InputError, match=f"sampler.selector.{next(iter(knobs))}="):
        E2H(**knobs)
