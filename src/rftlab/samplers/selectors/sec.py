"""SEC: a bandit over categories whose reward is the mean absolute advantage."""

from __future__ import annotations

from typing import Literal

import numpy as np

from rftlab.core import Bool, Feedback, Float, InputError, Need, StepContext, TaskPool
from rftlab.samplers.selectors.arms import ByArm, greedy, softmax, told_advantage


class SEC(ByArm):
    """Self-Evolving Curriculum (Chen et al., arXiv:2505.14970).

    Arms are the categories. For an arm c that had rollouts in this step, with r_c their mean absolute advantage:

        Q_c <- (1 - alpha) Q_c + alpha r_c,   Q = 0 at first
        P(c) = softmax(Q / tau)_c,            drawn anew for every slot of the batch

    Differs from the release: arms without rollouts keep their Q, as the formula reads; the release gives them r = 0,
    which is ``decay_unseen``. The tasks of an arm come in rounds without repetition, ties at random. A group without
    an advantage (rejected, say) counts with 2 sqrt(p (1 - p)), what GRPO with divided advantages would have made of it.
    The release's third objective, progress, is not offered: TSCL is the sampler for that.

    Args:
        alpha: Step in (0, 1]; 0.5 in the paper, 0.1 in the release's defaults.
        tau: Temperature of ``boltzmann``; 1.0 (Countdown), 0.4 (Math, 7B) and 0.2 (a puzzle) in the paper.
        method: ``boltzmann``: as above. ``normalized_q``: P in proportion to Q; an arm that was never tried stands as
            high as the best one (ours: it would never be tried). ``greedy``: the highest Q, or any with ``epsilon``.
        epsilon: Share of slots that ``greedy`` draws evenly.
        objective: ``advantage``: as the update has told. ``normalized``: 2 sqrt(p (1 - p)) from the counts.
            ``unnormalized``: 2 p (1 - p), advantages that are not divided by their standard deviation.
        decay_unseen: Arms that had no rollouts in a step learn r = 0.
    """

    STATE = (*ByArm.STATE, "q", "tried")

    def __init__(
        self,
        alpha: float = 0.5,
        tau: float = 0.4,
        method: Literal["boltzmann", "normalized_q", "greedy"] = "boltzmann",
        epsilon: float = 0.1,
        objective: Literal["advantage", "normalized", "unnormalized"] = "advantage",
        decay_unseen: bool = False,
    ) -> None:
        if not 0 < alpha <= 1:
            raise InputError(f"sampler.selector.alpha={alpha:g}, wanted a step in (0, 1]")
        if tau <= 0:
            raise InputError(f"sampler.selector.tau={tau:g}, wanted a positive temperature")
        if method not in ("boltzmann", "normalized_q", "greedy"):
            raise InputError(f"sampler.selector.method={method}, wanted boltzmann, normalized_q or greedy")
        if not 0 <= epsilon <= 1:
            raise InputError(f"sampler.selector.epsilon={epsilon:g}, wanted a share in [0, 1]")
        if objective not in ("advantage", "normalized", "unnormalized"):
            raise InputError(f"sampler.selector.objective={objective}, wanted advantage, normalized or unnormalized")
        self.alpha, self.tau, self.method, self.epsilon = alpha, tau, method, epsilon
        self.objective, self.decay_unseen = objective, decay_unseen

    def needs(self) -> frozenset[Need]:
        return self.NEEDS | ({Need.ADVANTAGE} if self.objective == "advantage" else frozenset())

    def bind(self, pool: TaskPool, group_size: int) -> None:
        super().bind(pool, group_size)
        self.q: Float = np.zeros(len(self.arms))
        self.tried: Bool = np.zeros(len(self.arms), bool)

    def probabilities(self, ctx: StepContext) -> Float:
        if self.method == "boltzmann":
            return softmax(self.q, self.tau)
        if self.method == "greedy":
            return greedy(self.q, self.epsilon)
        q = np.where(self.tried, self.q, self.q.max() or 1.0)
        return q / q.sum() if q.any() else np.full(len(q), 1 / len(q))

    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        super().observe(fb, ctx)
        fb = fb.rows(fb.trials > 0)
        r, n = self.arms.means(fb, self._reward(fb))
        learns = (n > 0) | self.decay_unseen
        self.q = np.where(learns, (1 - self.alpha) * self.q + self.alpha * np.nan_to_num(r), self.q)
        self.tried |= n > 0

    def metrics(self) -> dict[str, float]:
        return {"q_max": float(self.q.max()), "q_mean": float(self.q.mean())}

    def _reward(self, fb: Feedback) -> Float:
        """Of every row with trials [R]."""
        if self.objective == "advantage":
            return told_advantage(fb)
        variance = fb.rate * (1 - fb.rate)
        return 2 * np.sqrt(variance) if self.objective == "normalized" else 2 * variance
