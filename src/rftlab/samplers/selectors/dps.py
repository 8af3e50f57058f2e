"""DPS: each task as a small Markov chain over all wrong, partly right and all right."""

from __future__ import annotations

import numpy as np

from rftlab.core import Bool, Feedback, Float, InputError, Int, StepContext, TaskPool
from rftlab.samplers.base import Selector
from rftlab.samplers.selectors.ranking import check_candidates, lowest, subset

FADED = 1e-6
"""A task whose transition counts and belief are this near to the prior has forgotten everything: it is reset to it."""


class DPS(Selector):
    """DPS (Mao et al., arXiv:2603.10887): a hidden Markov model per task, as in the released code.

    The states are 1 all rollouts wrong, 2 some right, 3 all right. A task has a belief b (3) over its state in the last
    step and Dirichlet counts A (3 x 3, column j = from state j), at first b = 1/3 and A = prior_alpha. With Phi(A) = A
    with its columns divided by their sums, every step:

        predicted:      pi = Phi(A) b                                   (the tasks with the largest pi_2 are selected)
        observed:       post = the state seen, xi = (post b^T) * Phi(A), divided by its sum
                        A <- lam * A + (1 - lam) * prior_alpha + xi,    b <- post
        not observed:   A <- lam * A + (1 - lam) * prior_alpha,         b <- pi

    The code applies the last line to the tasks that were ever offered as candidates. All tasks are meant here, which is
    the same: a task that was never observed is a fixed point of it. For this reason a step costs O(tasks observed
    before), not O(N), and a task that has forgotten all it knew is put back to the start.

    Differs from the release: every graded group is an observation, also one that an admission rejected; equal scores
    fall at random; counts and beliefs are kept in float32 (computed in float64), which reproduces the authors' numbers
    to a relative 1e-6.

    ``predict`` is ours, as the method has no rate for state 2: pi_3 + pi_2 * r, with r = (passes + 1) / (trials + 2) of
    the task's last group that was partly right, and 1/2 before there was one. r has no part in the selection.

    Args:
        lam: Share of the transition counts kept at each step, in [0, 1] (0.7 in MATH, 0.5 in Countdown and Geometry3k).
        prior_alpha: Prior count of every transition.
        candidates: Size of the candidate subset, in batches of P tasks (32 in MATH and 8 elsewhere in the release);
            None = the whole pool, where the surest few are chosen again and again.
        entropy_weight: Adds this times the entropy of pi, in nats, to the score (optional in the code).
    """

    STATE = ("counts", "belief", "partial_rate", "live")

    def __init__(
        self,
        lam: float = 0.7,
        prior_alpha: float = 1.0,
        candidates: float | None = 8.0,
        entropy_weight: float = 0.0,
    ) -> None:
        if not 0 <= lam <= 1:
            raise InputError(f"sampler.selector.lam={lam:g}, wanted a retention in [0, 1]")
        if prior_alpha <= 0:
            raise InputError(f"sampler.selector.prior_alpha={prior_alpha:g}, wanted a positive number")
        check_candidates(candidates)
        self.lam, self.prior_alpha, self.candidates = lam, prior_alpha, candidates
        self.entropy_weight = entropy_weight

    def bind(self, pool: TaskPool, group_size: int) -> None:
        n = len(pool)
        self.counts = np.full((3, 3, n), self.prior_alpha, np.float32)  # to, from, task: tasks last is what is fast
        self.belief = np.full((3, n), 1 / 3, np.float32)
        self.partial_rate = np.full(n, 0.5, np.float32)
        self.live: Bool = np.zeros(n, bool)

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        rng = ctx.rng
        among = subset(np.flatnonzero(~taken), m, self.candidates, ctx, rng)
        score = np.full(len(taken), self._score(np.full((3, 1), 1 / 3))[0])
        live = np.flatnonzero(self.live)
        score[live] = self._score(self._predicted(live)[0])
        return lowest(-score, among, m, rng)

    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        fb = fb.rows(fb.trials > 0)
        self.live[fb.tasks] = True
        live = np.flatnonzero(self.live)
        pi, phi = self._predicted(live)
        rows = np.searchsorted(live, fb.tasks)
        state = np.where(fb.wins == 0, 0, np.where(fb.wins == fb.trials, 2, 1))
        seen = np.eye(3)[:, state]
        xi = seen[:, None] * self.belief[:, fb.tasks] * phi[:, :, rows]
        counts = self.lam * self.counts[:, :, live].astype(np.float64) + (1 - self.lam) * self.prior_alpha
        counts[:, :, rows] += xi / xi.sum(axis=(0, 1))
        pi[:, rows] = seen
        self._keep(live, counts, pi)
        partial = state == 1
        self.partial_rate[fb.tasks[partial]] = (fb.wins[partial] + 1) / (fb.trials[partial] + 2)

    def predict(self) -> Float:
        rate = self.partial_rate.astype(np.float64)
        live = np.flatnonzero(self.live)
        pi = self._predicted(live)[0]
        partial = rate[live]
        rate += 1  # what pi = 1/3 says: (r + 1) / 3
        rate /= 3
        rate[live] = np.minimum(pi[2] + pi[1] * partial, 1.0)
        return rate

    def metrics(self) -> dict[str, float]:
        return {"live": float(self.live.sum())}

    def _predicted(self, tasks: Int) -> tuple[Float, Float]:
        """What these tasks' states will be in the coming step, float64 [3, K], and Phi(A), [3, 3, K]."""
        counts = self.counts[:, :, tasks].astype(np.float64)
        phi = counts / counts.sum(axis=0)
        pi = (phi * self.belief[:, tasks]).sum(axis=1)
        return pi / pi.sum(axis=0), phi

    def _keep(self, tasks: Int, counts: Float, belief: Float) -> None:
        """Stores what was computed; tasks that have forgotten everything leave the live ones."""
        far = np.abs(counts / self.prior_alpha - 1).max(axis=(0, 1))
        faded = np.maximum(far, np.abs(belief - 1 / 3).max(axis=0)) < FADED
        self.counts[:, :, tasks] = np.where(faded, self.prior_alpha, counts)
        self.belief[:, tasks] = np.where(faded, 1 / 3, belief)
        self.live[tasks[faded]] = False

    def _score(self, pi: Float) -> Float:
        """float64 [K], larger is better."""
        score = pi[1]
        if self.entropy_weight:
            score = score - self.entropy_weight * (pi * np.log(np.maximum(pi, 1e-300))).sum(axis=0)
        return score
