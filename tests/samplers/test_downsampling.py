"""Which rollouts of a large group are trained on, and against which baseline."""

import itertools
from dataclasses import replace

import numpy as np
import pytest

from rftlab.core import InputError, Outcomes
from rftlab.samplers.admissions.balanced import Balanced
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.admissions.max_variance import MaxVariance
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.uniform import Uniform
from rftlab.testing import make_pool


@pytest.fixture
def ctx(hand):
    return hand.context(TaskSampler(make_pool(4), Uniform(), Fixed(), All(), group_size=8), g=8)


def group(passed, score=None, valid=None) -> Outcomes:
    passed = np.array(passed, bool)
    n = len(passed)
    score = passed.astype(float) if score is None else np.array(score, float)
    valid = np.ones(n, bool) if valid is None else np.array(valid, bool)
    return Outcomes(0, passed, score, valid, np.ones(n, int), np.zeros(n, bool), np.zeros(n, int))


@pytest.mark.parametrize(
    ("wins", "losses", "n", "sides"),
    [
        (10, 10, 8, (4, 4)),
        (1, 30, 8, (1, 7)),
        (30, 2, 8, (6, 2)),
        (3, 2, 8, (3, 2)),  # fewer than n: all of them
        (9, 9, 5, (3, 2)),
        (1, 9, 5, (1, 4)),
        (9, 1, 5, (4, 1)),
        (0, 9, 4, (0, 4)),
    ],
)
def test_balanced_sides_are_filled_from_the_other(ctx, wins, losses, n, sides) -> None:
    o = group([True] * wins + [False] * losses)
    pick = Balanced(n).assemble(o, ctx)
    assert (int((pick.rollouts < wins).sum()), int((pick.rollouts >= wins).sum())) == sides
    assert len(set(pick.rollouts.tolist())) == sum(sides) and (np.diff(pick.rollouts) > 0).all()


def test_balanced_takes_the_mean_of_all_as_baseline(ctx) -> None:
    o = group([True] * 2 + [False] * 30, valid=[True] * 31 + [False])
    assert Balanced().assemble(o, ctx).baseline == pytest.approx(2 / 31)
    assert Balanced(baseline="own").assemble(o, ctx).baseline is None
    shaped = replace(o, score=np.where(o.passed, 0.8, 0.1))
    assert Balanced().assemble(shaped, ctx).baseline == pytest.approx((2 * 0.8 + 29 * 0.1) / 31)


def test_balanced_never_picks_what_could_not_be_graded(ctx) -> None:
    valid = np.arange(20) % 3 > 0
    pick = Balanced().assemble(group(np.arange(20) % 2 == 0, valid=valid), ctx)
    assert len(pick.rollouts) == 8 and valid[pick.rollouts].all()


def test_balanced_draws_at_random_and_again_the_same(ctx) -> None:
    o = group([True] * 16 + [False] * 16)
    picks = {tuple(Balanced().assemble(o, replace(ctx, step=s)).rollouts.tolist()) for s in range(10)}
    assert len(picks) == 10
    assert Balanced().assemble(o, ctx).rollouts.tolist() == Balanced().assemble(o, ctx).rollouts.tolist()
    kept = np.mean(
        [np.isin(np.arange(32), Balanced().assemble(o, replace(ctx, step=s)).rollouts) for s in range(2000)], 0
    )
    np.testing.assert_allclose(kept, 8 / 32, atol=0.05)  # every rollout alike: 5 standard errors


@pytest.mark.parametrize(
    ("flat", "admitted", "wanted"), [("reject", False, [6, 0]), ("refill", False, [6, 24]), ("keep", True, [6, 0])]
)
def test_flat_groups(hand, ctx, flat, admitted, wanted) -> None:
    admission = Balanced(flat=flat)
    assert admission.admit(group([True] * 4), ctx) is admitted and admission.admit(group([False] * 4), ctx) is admitted
    assert admission.admit(group([True, False]), ctx)
    none, settled = hand.feedback([], [], []), replace(hand.feedback([0, 1], [0, 8], 8), trained=np.zeros(2, bool))
    assert [admission.want(6, none, ctx), admission.want(6, settled, replace(ctx, round=1))] == wanted


def test_a_flat_group_that_is_kept_has_no_advantage(ctx) -> None:
    o = group([True] * 7, score=[0.1] * 7)
    pick = Balanced(flat="keep").assemble(o, ctx)
    np.testing.assert_allclose(o.score[pick.rollouts] - pick.baseline, 0, atol=1e-15)


@pytest.mark.parametrize("seed", range(30))
def test_max_variance_finds_the_best_subset(ctx, seed) -> None:
    rng = np.random.default_rng(seed)
    score = rng.random(9) if seed % 2 else rng.integers(0, 4, 9) / 3
    valid = rng.random(9) > 0.1
    m = int(rng.integers(2, 7))
    pick = MaxVariance(m).assemble(group(score > 0.5, score, valid), ctx)
    rows = np.flatnonzero(valid)
    best = max(np.var(score[list(s)]) for s in itertools.combinations(rows.tolist(), min(m, len(rows))))
    assert np.var(score[pick.rollouts]) == pytest.approx(best) and len(pick.rollouts) == min(m, len(rows))
    assert valid[pick.rollouts].all() and pick.baseline is None


@pytest.mark.parametrize(("wins", "picked"), [(5, 2), (16, 2), (1, 1), (31, 3)])
def test_max_variance_of_passes_and_failures_is_half_of_each(ctx, wins, picked) -> None:
    pick = MaxVariance().assemble(group(np.arange(32) < wins), ctx)  # 4 of G = 8
    assert len(pick.rollouts) == 4 and int((pick.rollouts < wins).sum()) == picked


def test_max_variance_draws_among_equal_rewards(ctx) -> None:
    o = group(np.arange(16) < 8)
    picks = {tuple(MaxVariance().assemble(o, replace(ctx, step=s)).rollouts.tolist()) for s in range(10)}
    assert len(picks) > 5
    assert MaxVariance(baseline="pool").assemble(o, ctx).baseline == 0.5


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Balanced(n=1), "n=1"),
        (lambda: Balanced(baseline="mean"), "baseline=mean"),
        (lambda: Balanced(flat="drop"), "flat=drop"),
        (lambda: Balanced(oversample=2), "oversample=2 is for"),
        (lambda: MaxVariance(m=1), "m=1"),
        (lambda: MaxVariance(baseline="all"), "baseline=all"),
    ],
)
def test_refusals(make, words) -> None:
    with pytest.raises(InputError, match=f"sampler.admission.{words}"):
        make()
