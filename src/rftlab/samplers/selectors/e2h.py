"""E2H and its kin: from easy levels to hard ones as the run goes on."""

from __future__ import annotations

from typing import Literal

import numpy as np

from rftlab.core import Float, InputError, Need, StepContext, TaskPool
from rftlab.samplers.references import named
from rftlab.samplers.selectors.arms import Arms, ByArm, checked_arms

MOST_LEVELS = 64
"""More distinct levels than this are a continuous difficulty, which wants bins."""


class E2H(ByArm):
    """Easy-to-hard sampling of levels (E2H Reasoner, Parashar et al., arXiv:2506.06632).

    Levels i = 0 .. K-1, easiest first; s in [0, 1] is the share of the run that is done. Every slot draws a level:

        cosine  a = (1 + cos(pi s)) / 2,  q_i = a (K - i) / Z + (1 - a) (i + 1) / Z,  Z = K (K + 1) / 2
        gauss   q_i ~ exp(-(i - s^beta (K - 1))^2 / (2 sigma^2)), then with ``floor`` f + (1 - K f) q_i, f = 1 / Z
        steps   the level min(floor(s K), K - 1) alone: the classic schedule, K equal phases

    The floor 1 / Z that the release also puts under ``cosine`` never binds: both ends of the blend are above it.

    Differs from the release: a level's tasks come in rounds of fresh random order instead of one fixed permutation;
    slots that a level cannot fill, all of its tasks being taken, go to the others by q, or evenly where q is 0.

    Args:
        schedule: ``cosine``, ``gauss`` or ``steps``.
        beta: Exponent of ``gauss``; below 1 it hurries away from the easy levels.
        sigma: Width of ``gauss``, in levels.
        floor: Keeps every level of ``gauss`` possible.
        bins: None: the dataset's levels as they are. n: that many quantile bins of them.
        reference: Name of a reference model whose failure rate is the difficulty, instead of the dataset's levels; its
            unknown rates stand in the middle. In 4 bins unless ``bins`` says otherwise (ours).
    """

    def __init__(
        self,
        schedule: Literal["cosine", "gauss", "steps"] = "cosine",
        beta: float = 0.5,
        sigma: float = 0.5,
        floor: bool = True,
        bins: int | None = None,
        reference: str | None = None,
    ) -> None:
        if schedule not in ("cosine", "gauss", "steps"):
            raise InputError(f"sampler.selector.schedule={schedule}, wanted cosine, gauss or steps")
        if beta <= 0 or sigma <= 0:
            raise InputError(f"sampler.selector.beta={beta:g} sigma={sigma:g}, wanted positive numbers")
        if bins is not None and bins < 2:
            raise InputError(f"sampler.selector.bins={bins}, wanted at least 2, or null")
        self.schedule, self.beta, self.sigma, self.floor = schedule, beta, sigma, floor
        self.bins, self.reference = bins, reference

    def needs(self) -> frozenset[Need]:
        return frozenset({Need.PROGRESS, Need.LEVEL if self.reference is None else Need.REFERENCES})

    def arms_of(self, pool: TaskPool) -> Arms:
        difficulty, bins = self._difficulty(pool)
        if bins is not None:
            edges = np.unique(np.quantile(difficulty, np.arange(1, bins) / bins))
            difficulty = np.searchsorted(edges, difficulty, side="left").astype(np.float64)
        arms = checked_arms(Arms(difficulty), "level", pool)
        if len(arms) > MOST_LEVELS:
            raise InputError(
                f"dataset {pool.name!r} has {len(arms)} distinct levels, wanted {MOST_LEVELS} at most: "
                "sampler.selector.bins=5 makes five of them"
            )
        return arms

    def probabilities(self, ctx: StepContext) -> Float:
        return self.at(ctx.progress)

    def at(self, s: float) -> Float:
        """Probability of every level when the share ``s`` of the run is done, float64 [K]."""
        k = len(self.arms)
        i, z = np.arange(k), k * (k + 1) / 2
        if self.schedule == "steps":
            return (i == min(int(s * k), k - 1)).astype(np.float64)
        if self.schedule == "cosine":
            a = (1 + np.cos(np.pi * s)) / 2
            return a * (k - i) / z + (1 - a) * (i + 1) / z
        exponent = -((i - s**self.beta * (k - 1)) ** 2) / (2 * self.sigma**2)
        q = np.exp(exponent - exponent.max())
        q = q / q.sum()
        return 1 / z + (1 - k / z) * q if self.floor else q

    def _difficulty(self, pool: TaskPool) -> tuple[Float, int | None]:
        """Of every task, larger = harder, float64 [N]; and the bins to make of it."""
        if self.reference is None:
            if pool.level is None or not np.isfinite(pool.level).all():
                bad = "no" if pool.level is None else int((~np.isfinite(pool.level)).sum())
                raise InputError(
                    f"E2H wants a level for every task, dataset {pool.name!r} has {bad} "
                    f"{'levels' if pool.level is None else 'tasks without one'}: repair the dataset, or name a "
                    "reference to make levels from, sampler.selector.reference=NAME"
                )
            return pool.level, self.bins
        name = named(pool, self.reference, "sampler.selector.reference")
        rate = pool.references[name]
        if np.isnan(rate).all():
            raise InputError(f"sampler.selector.reference={name}: none of its rates is known; name another")
        self.references = (name,)
        return np.where(np.isnan(rate), -np.nanmedian(rate), -rate), self.bins or 4
