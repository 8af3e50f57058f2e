"""PLR: replaying tasks by the rank of their last score, some for their staleness, some never seen before."""

from __future__ import annotations

from typing import Literal

import numpy as np

from rftlab.core import Bool, Feedback, Float, InputError, Int, Need, StepContext, TaskPool
from rftlab.samplers.base import Selector
from rftlab.samplers.selectors.ranking import lowest, weighted


class PLR(Selector):
    """Prioritised Level Replay (Jiang et al., arXiv:2010.03934).

    Each place of a batch is either a replay or a task never tried before, the latter at random. A replay is drawn with

        P = (1 - staleness) * rank^(-1 / temperature) / Z + staleness * age / Z'

    with rank 1 = the highest score and age the steps since the task was last tried. A place is a replay with
    probability d = the share of tasks tried so far (``proportionate``) or with 1 - fresh (``fixed``), from the moment
    that d reaches ``warmup``.

    The score of a task is that of its last visit: p(1 - p) of its group, or the mean |advantage|. With 0/1 rewards the
    second is a growing function of the first, so that both give the same ranks; they differ in groups that reached no
    optimiser. Such a group counts 2 sqrt(p(1 - p)), its mean |advantage| under division by the standard deviation.

    Differs from the release, which draws one level at a time and scores it before the next: a batch is drawn at once,
    without replacement. Each place first takes a side of the sum, rank or age, and then a task by that side; drawing
    from the sum itself would give nearly every place to age as soon as the few first ranks were gone. Equal scores are
    ranked at random; age is counted in steps. The release has warmup 0.2 in the class and 1 on its command line.

    Args:
        temperature: beta of the paper; lower is greedier.
        staleness: rho of the paper, share of the draw that goes by age, in [0, 1].
        schedule: ``proportionate`` (the paper's for a finite set of levels) or ``fixed``.
        fresh: Share of new tasks under ``fixed``, in [0, 1] (nu of the release).
        warmup: Share of tasks to be tried before anything is replayed, in [0, 1].
        score: ``learnability`` or ``advantage``.
    """

    STATE = ("scores", "last", "clock")

    def __init__(
        self,
        temperature: float = 0.1,
        staleness: float = 0.1,
        schedule: Literal["proportionate", "fixed"] = "proportionate",
        fresh: float = 0.5,
        warmup: float = 0.0,
        score: Literal["learnability", "advantage"] = "learnability",
    ) -> None:
        if temperature <= 0:
            raise InputError(f"sampler.selector.temperature={temperature:g}, wanted a positive number")
        for name, value in {"staleness": staleness, "fresh": fresh, "warmup": warmup}.items():
            if not 0 <= value <= 1:
                raise InputError(f"sampler.selector.{name}={value:g}, wanted a number in [0, 1]")
        if schedule not in ("proportionate", "fixed"):
            raise InputError(f"sampler.selector.schedule={schedule}, wanted proportionate or fixed")
        if score not in ("learnability", "advantage"):
            raise InputError(f"sampler.selector.score={score}, wanted learnability or advantage")
        self.temperature, self.staleness = temperature, staleness
        self.schedule, self.fresh, self.warmup, self.score = schedule, fresh, warmup, score
        self.clock = 0

    def needs(self) -> frozenset[Need]:
        return frozenset({Need.ADVANTAGE}) if self.score == "advantage" else frozenset()

    def bind(self, pool: TaskPool, group_size: int) -> None:
        self.scores: Float = np.zeros(len(pool))
        self.last: Int = np.full(len(pool), -1, np.int64)

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        rng = ctx.rng
        new, seen = np.flatnonzero(~taken & (self.last < 0)), np.flatnonzero(~taken & (self.last >= 0))
        replays = int(rng.binomial(m, self._replay_chance(len(seen), len(new))))
        replays = min(max(replays, m - len(new)), len(seen))
        novel = rng.choice(new, size=min(m - replays, len(new)), replace=False)
        return rng.permutation(np.concatenate([self._replays(seen, replays, rng), novel]))

    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        fb = fb.rows(fb.trials > 0)
        score = fb.rate * (1 - fb.rate)
        if self.score == "advantage":
            score = np.where(np.isnan(fb.abs_advantage), 2 * np.sqrt(score), fb.abs_advantage)
        self.scores[fb.tasks] = score
        self.last[fb.tasks] = self.clock
        self.clock += 1

    def metrics(self) -> dict[str, float]:
        seen = self.last >= 0
        return {"mean_score": float(self.scores[seen].mean()) if seen.any() else 0.0}

    def _replay_chance(self, seen: int, new: int) -> float:
        """Chance that a place is a replay, of so many tasks that are free."""
        share = seen / max(seen + new, 1)
        if share < self.warmup:
            return 0.0
        return share if self.schedule == "proportionate" else 1 - self.fresh

    def _replays(self, seen: Int, m: int, rng: np.random.Generator) -> Int:
        """``m`` distinct tasks of ``seen``, some by rank and the others by age."""
        by_age = int(rng.binomial(m, self.staleness))
        ranked = rng.permutation(seen)
        ranked = ranked[np.argsort(-self.scores[ranked], kind="stable")]
        rank = np.arange(1, len(seen) + 1)
        # the race of ``weighted`` in logarithms: powers of the rank leave the range of floats
        arrival = np.log(rng.standard_exponential(len(seen))) + np.log(rank) / self.temperature
        places = lowest(arrival, rank - 1, m - by_age, rng)
        left = np.delete(ranked, places)
        age = (self.clock - 1 - self.last).astype(np.float64)
        return np.concatenate([ranked[places], weighted(age, left, by_age, rng)])
