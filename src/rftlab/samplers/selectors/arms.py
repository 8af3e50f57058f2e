"""Arms: groups of tasks, of which a selector draws one for every slot of a batch, and then a task of that arm."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from rftlab.core import EMPTY, Bool, Feedback, Float, InputError, Int, Need, StepContext, TaskPool
from rftlab.samplers.base import Selector
from rftlab.samplers.selectors.ranking import lowest

Draw = Callable[[int, Bool], Int]
"""(slots, arms [K] that have a free task) -> the arm of every slot, int64."""


class Arms:
    """Which arm every task belongs to. An arm has a task or it does not exist: empty labels make none.

    Args:
        label: What tells the arms apart, [N]; they are numbered in its order.
    """

    def __init__(self, label: NDArray[np.generic]) -> None:
        self.labels, arm, counts = np.unique(label, return_inverse=True, return_counts=True)
        self.of: NDArray[np.int32] = arm.astype(np.int32)
        """int32 [N], the arm of every task."""
        self._tasks = np.argsort(self.of, kind="stable")
        self._start = np.concatenate([[0], np.cumsum(counts)])

    def __len__(self) -> int:
        return len(self.labels)

    def tasks(self, arm: int) -> Int:
        """The tasks of an arm."""
        return self._tasks[self._start[arm] : self._start[arm + 1]]

    def sums(self, tasks: Int, value: Float | Int) -> Float:
        """Sum of ``value`` over the rows of every arm, float64 [K]; ``value`` has one row per task of ``tasks``."""
        return np.bincount(self.of[tasks], weights=value, minlength=len(self)).astype(np.float64)

    def means(self, fb: Feedback, value: Float) -> tuple[Float, Int]:
        """Mean of ``value`` [R] over the rollouts of every arm, and their number, each [K]; no rollout: NaN."""
        n = self.sums(fb.tasks, fb.trials)
        total = self.sums(fb.tasks, value * fb.trials)
        return np.divide(total, n, out=np.full(len(self), np.nan), where=n > 0), n.astype(np.int64)

    def fill(self, m: int, draw: Draw, turns: NDArray[np.int32], taken: Bool, rng: np.random.Generator) -> Int:
        """Arms drawn slot by slot, and for every slot a free task of its arm; O(m + tasks of the arms drawn).

        Of the free tasks of an arm those with the fewest turns come first, at random: every arm goes through all of
        its tasks before one comes again, in a fresh order each time. The slots of an arm that has run out are drawn
        again among the others, so the batch is short only when the pool is.

        Args:
            m: Slots.
            draw: Draws arms for slots; asked again for the slots that are left over.
            turns: int32 [N], how often each task has been asked for.
            taken: bool [N], tasks that may not be named.
            rng: Chooses within arms.
        """
        left = np.bincount(self.of[~taken], minlength=len(self))
        free = left.copy()
        slots: list[Int] = []
        while (missing := m - sum(map(len, slots))) > 0 and left.any():
            arms = draw(missing, left > 0)
            arms = arms[_ordinal(arms) < left[arms]]
            left -= np.bincount(arms, minlength=len(self))
            slots.append(arms)
        order = np.concatenate([EMPTY, *slots])
        picked = np.empty(len(order), np.int64)
        for arm in np.flatnonzero(free - left):
            tasks = self.tasks(arm)
            tasks = tasks[~taken[tasks]]
            first = lowest(turns[tasks].astype(np.float64), np.arange(len(tasks)), int(free[arm] - left[arm]), rng)
            picked[order == arm] = tasks[first]
        return picked


class ByArm(Selector):
    """Base of selectors that choose arms and not tasks: slot by slot, with ``probabilities`` that they learn or know.

    Its arms are the categories of the pool; a subclass may have others (``arms_of``).
    """

    NEEDS = frozenset({Need.CATEGORY})
    STATE: tuple[str, ...] = ("turns",)

    def bind(self, pool: TaskPool, group_size: int) -> None:
        self.arms = self.arms_of(pool)
        self.turns: NDArray[np.int32] = np.zeros(len(pool), np.int32)

    def arms_of(self, pool: TaskPool) -> Arms:
        """The arms of ``pool``; raises ``InputError`` where there is nothing to choose from."""
        return category_arms(pool)

    def probabilities(self, ctx: StepContext) -> Float:
        """Of every arm, float64 [K], for one slot."""
        raise NotImplementedError

    def draw(self, m: int, open: Bool, ctx: StepContext, rng: np.random.Generator) -> Int:
        """An arm for each of ``m`` slots, among the ``open`` ones, of which there is at least one."""
        return draw_arms(m, self.probabilities(ctx), open, rng)

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        rng = ctx.rng
        return self.arms.fill(m, lambda k, open: self.draw(k, open, ctx, rng), self.turns, taken, rng)

    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        """Counts the turns, of tasks whose grading failed too; a subclass learns beside."""
        self.turns[fb.tasks] += 1


def category_arms(pool: TaskPool) -> Arms:
    """The categories of ``pool`` that have tasks."""
    if pool.category is None:
        raise InputError(f"dataset {pool.name!r} has no categories: give a dataset with them, or another sampler")
    if pool.category.min() < 0 or (pool.categories and pool.category.max() >= len(pool.categories)):
        raise InputError(
            f"category of dataset {pool.name!r} has numbers in [{pool.category.min()}, {pool.category.max()}], "
            f"wanted them in [0, {len(pool.categories)}), one name each: repair the dataset, or choose another sampler"
        )
    return checked_arms(Arms(pool.category), "category", pool)


def checked_arms(arms: Arms, what: str, pool: TaskPool) -> Arms:
    """``arms``, unless there is only one to choose."""
    if len(arms) < 2 and len(pool) > 1:
        raise InputError(
            f"dataset {pool.name!r} has {len(pool)} tasks of one {what}, wanted at least two to choose from: "
            "give another dataset, or sampler=uniform"
        )
    return arms


def draw_arms(m: int, probability: Float, open: Bool, rng: np.random.Generator) -> Int:
    """``m`` independent draws of an arm; those that are not ``open`` are left out, all being equal where nothing is."""
    mass = np.where(open, probability, 0.0)
    bounds = np.cumsum(mass if mass.sum() > 0 else open)
    return np.searchsorted(bounds / bounds[-1], rng.random(m), side="right")


def softmax(score: Float, tau: float) -> Float:
    """Probabilities in proportion to exp(score / tau)."""
    weight = np.exp((score - score.max()) / tau)
    return weight / weight.sum()


def greedy(score: Float, epsilon: float) -> Float:
    """The highest score with probability 1 - epsilon, equal ones alike; any arm with probability epsilon."""
    best = score == score.max()
    return epsilon / len(score) + (1 - epsilon) * best / best.sum()


def told_advantage(fb: Feedback) -> Float:
    """Mean absolute advantage of every row with trials [R].

    What the update has told; for a group that was not trained on what GRPO would have given it, with advantages
    divided by the population's standard deviation: 2 sqrt(p (1 - p)).
    """
    rate = fb.wins / fb.trials
    return np.where(np.isnan(fb.abs_advantage), 2 * np.sqrt(rate * (1 - rate)), fb.abs_advantage)


def _ordinal(arms: Int) -> Int:
    """How many earlier slots have the same arm, int64 [m]."""
    order = np.argsort(arms, kind="stable")
    ordered = arms[order]
    first = np.searchsorted(ordered, ordered, side="left")
    place = np.empty(len(arms), np.int64)
    place[order] = np.arange(len(arms)) - first
    return place
