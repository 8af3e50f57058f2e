"""Trains on the rollouts of a task whose rewards differ most."""

from __future__ import annotations

from typing import Literal

import numpy as np

from rftlab.core import InputError, Outcomes, Pick, StepContext
from rftlab.samplers.base import Admission


class MaxVariance(Admission):
    """Max-variance down-sampling of PODS (Xu et al., arXiv:2504.13818).

    Of the rewards of a group, the m with the largest variance are always some of the lowest and the rest of the
    highest, so the best split of the sorted rewards is the best subset; with rewards 0 and 1 it is half of each, filled
    from the other side. Equal rewards are drawn at random. The advantage is taken among the m (``own``), as in the
    paper. On the reward, not on accuracy: real-valued rewards are what it is for. Every group is trained on.

    It saves updates, not rollouts: the paper trains on 16 of 64.

    Args:
        m: Rollouts trained on; None = half the group size, at least 2.
        baseline: ``own``: the mean of the m. ``pool``: the mean of all, and no division by the standard deviation.
    """

    def __init__(self, m: int | None = None, baseline: Literal["own", "pool"] = "own") -> None:
        if m is not None and m < 2:
            raise InputError(f"sampler.admission.m={m}, wanted at least 2 rollouts (one has no variance) or null")
        if baseline not in ("own", "pool"):
            raise InputError(f"sampler.admission.baseline={baseline}, wanted own or pool")
        self.m, self.baseline = m, baseline

    def assemble(self, o: Outcomes, ctx: StepContext) -> Pick:
        rows = ctx.rng.permutation(np.flatnonzero(o.valid))
        rows = rows[np.argsort(o.score[rows], kind="stable")]
        score = o.score[rows]
        m = min(self.m or max(2, ctx.group_size // 2), len(rows))
        sets = [np.r_[:low, len(rows) - m + low : len(rows)] for low in range(m + 1)]
        best = max(sets, key=lambda at: float(score[at].var()))
        baseline = float(score.mean()) if self.baseline == "pool" else None
        return Pick(o.task, np.sort(rows[best]), baseline)
