"""TSCL: the categories whose pass rate moves most, up or down."""

from __future__ import annotations

from typing import Literal

import numpy as np

from rftlab.core import Bool, Feedback, Float, InputError, Int, StepContext, TaskPool
from rftlab.samplers.selectors.arms import ByArm, draw_arms, greedy, softmax


class TSCL(ByArm):
    """Teacher-Student Curriculum Learning (Matiisen et al., arXiv:1707.00183).

    Arms are the categories, x_c the pass rate of an arm's rollouts in this step, t the step. The score of an arm is
    how fast x_c moves, and with ``absolute`` falling counts as much as rising (what is forgotten comes back):

        online    Q_c <- Q_c + lr * ((x_c - its last value) - Q_c), both 0 at first
        window    Q_c = slope of the least-squares line through the arm's last ``window`` pairs (t, x_c)
        sampling  Q_c = one of the arm's last ``window`` differences x_c - its last value, drawn anew for every slot

    ``online`` and ``window`` draw slots by ``rule``; ``sampling`` takes the highest, ties at random. With ``window`` an
    arm of fewer than two pairs has Q = 1, with ``sampling`` one that was never tried, as in the release.

    Differs from the source: the scores are those of the training rollouts, so an arm that was not drawn has none,
    where the release evaluates every task in every step. The tasks of an arm come in rounds without repetition.

    Args:
        method: As above.
        lr: Step of ``online`` in (0, 1].
        window: Pairs or differences that are kept, at least 2.
        absolute: Score by the size of a change; False: only rising arms are wanted.
        rule: ``greedy``: the highest score, or any arm with probability ``epsilon``. ``boltzmann``: softmax(Q / tau).
        epsilon: Of ``greedy``.
        tau: Of ``boltzmann``; 4e-4 in the release, and only as good as the scale of the scores.
    """

    STATE = (*ByArm.STATE, "q", "last", "times", "values", "n")

    def __init__(
        self,
        method: Literal["online", "window", "sampling"] = "online",
        lr: float = 0.1,
        window: int = 10,
        absolute: bool = True,
        rule: Literal["greedy", "boltzmann"] = "greedy",
        epsilon: float = 0.1,
        tau: float = 4e-4,
    ) -> None:
        if method not in ("online", "window", "sampling"):
            raise InputError(f"sampler.selector.method={method}, wanted online, window or sampling")
        if not 0 < lr <= 1:
            raise InputError(f"sampler.selector.lr={lr:g}, wanted a step in (0, 1]")
        if window < 2:
            raise InputError(f"sampler.selector.window={window}, wanted at least 2")
        if rule not in ("greedy", "boltzmann"):
            raise InputError(f"sampler.selector.rule={rule}, wanted greedy or boltzmann")
        if not 0 <= epsilon <= 1:
            raise InputError(f"sampler.selector.epsilon={epsilon:g}, wanted a probability")
        if tau <= 0:
            raise InputError(f"sampler.selector.tau={tau:g}, wanted a positive temperature")
        self.method, self.lr, self.window, self.absolute = method, lr, window, absolute
        self.rule, self.epsilon, self.tau = rule, epsilon, tau

    def bind(self, pool: TaskPool, group_size: int) -> None:
        super().bind(pool, group_size)
        k = len(self.arms)
        self.q: Float = np.zeros(k)
        self.last: Float = np.zeros(k)
        self.times: Float = np.full((k, self.window), np.nan)
        self.values: Float = np.full((k, self.window), np.nan)
        self.n: Int = np.zeros(k, np.int64)

    def draw(self, m: int, open: Bool, ctx: StepContext, rng: np.random.Generator) -> Int:
        if self.method != "sampling":
            return draw_arms(m, self.probabilities(ctx), open, rng)
        score = np.where(open, self._size(self._resampled(m, rng)), -np.inf)
        tie = rng.random(score.shape)
        return np.where(score == score.max(1, keepdims=True), tie, -1.0).argmax(1)

    def probabilities(self, ctx: StepContext) -> Float:
        score = self._size(self.q if self.method == "online" else self.slopes())
        return greedy(score, self.epsilon) if self.rule == "greedy" else softmax(score, self.tau)

    def slopes(self) -> Float:
        """Slope of x over t of every arm, float64 [K]; 1 where fewer than two pairs are known."""
        known = ~np.isnan(self.times)
        pairs = np.maximum(known.sum(1, keepdims=True), 1)
        t = np.where(known, self.times - np.nansum(self.times, 1, keepdims=True) / pairs, 0.0)
        return np.divide((t * np.nan_to_num(self.values)).sum(1), (t**2).sum(1), out=np.ones(len(t)), where=self.n > 1)

    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        super().observe(fb, ctx)
        fb = fb.rows(fb.trials > 0)
        x, n = self.arms.means(fb, fb.rate)
        seen = np.flatnonzero(n > 0)
        change = x[seen] - self.last[seen]
        self.q[seen] += self.lr * (change - self.q[seen])
        self.last[seen] = x[seen]
        place = self.n[seen] % self.window
        self.times[seen, place] = ctx.step
        self.values[seen, place] = change if self.method == "sampling" else x[seen]
        self.n[seen] += 1

    def metrics(self) -> dict[str, float]:
        return {"change_max": float(np.abs(self.q).max())}

    def _size(self, score: Float) -> Float:
        return np.abs(score) if self.absolute else score

    def _resampled(self, m: int, rng: np.random.Generator) -> Float:
        """For every slot and arm one of the arm's differences, float64 [m, K]."""
        kept = np.minimum(self.n, self.window)
        place = (rng.random((m, len(kept))) * np.maximum(kept, 1)).astype(np.int64)
        return np.where(kept > 0, self.values[np.arange(len(kept)), place], 1.0)
