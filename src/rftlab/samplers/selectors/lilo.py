"""LILO and SFL: candidates are measured with a few rollouts, and those are trained on that can be learnt from."""

from __future__ import annotations

import logging

import numpy as np

from rftlab.core import EMPTY, Bool, Feedback, Float, InputError, Int, Need, StepContext, TaskPool
from rftlab.samplers.base import Selector
from rftlab.samplers.selectors.ranking import lowest

log = logging.getLogger(__name__)


class LILO(Selector):
    """Learnability by probing (LILO, Foster et al., arXiv:2502.12272; SFL, Rutherford et al., arXiv:2408.15099).

    Every ``every`` steps, ``candidates`` batches of random tasks get ``probes`` rollouts each. They are charged to the
    step and never trained on; a task's learnability is p (1 - p) of its probes.

        LILO   every step, buffer null: the most learnable candidates are the batch
        SFL    every T steps: the K most learnable are kept as a buffer, a batch is drawn evenly, ``share`` of it from
               the buffer and the rest from the whole pool

    Where learnable candidates run out the others fill the batch at random, tasks whose probes were all right or all
    wrong last. Probes are bought only from what one batch of P x G rollouts leaves over, fewer if need be; without any
    the step is drawn evenly, and no measure outlives ``every`` steps. The sizes are ours: LILO's are not published,
    SFL's (5 x 1000 candidates, buffer of 100, share one half) belong to endless simulated levels.

    Args:
        candidates: Tasks to measure, in batches of P.
        probes: Rollouts of each, at least 2.
        every: Steps between measurements.
        buffer: Size of the buffer in batches of P; None: the most learnable first.
        share: Share of a batch that is chosen by learnability.
    """

    NEEDS = frozenset({Need.PROBE})
    STATE = ("score", "probed_at")

    def __init__(
        self,
        candidates: float = 2.0,
        probes: int = 4,
        every: int = 1,
        buffer: float | None = None,
        share: float = 1.0,
    ) -> None:
        if candidates <= 0:
            raise InputError(f"sampler.selector.candidates={candidates:g}, wanted a positive number of batches")
        if probes < 2:
            raise InputError(f"sampler.selector.probes={probes}, wanted at least 2 rollouts (one shows no variance)")
        if every < 1:
            raise InputError(f"sampler.selector.every={every}, wanted at least 1 step")
        if buffer is not None and buffer <= 0:
            raise InputError(f"sampler.selector.buffer={buffer:g}, wanted a positive number of batches, or null")
        if not 0 <= share <= 1:
            raise InputError(f"sampler.selector.share={share:g}, wanted a share in [0, 1]")
        self.candidates, self.probes, self.every, self.buffer, self.share = candidates, probes, every, buffer, share
        self.probed_at = -1
        self._warned = False

    def bind(self, pool: TaskPool, group_size: int) -> None:
        self.score: Float = np.zeros(len(pool))
        """Learnability float64 [N]; 0 = not measured or not kept, -1 = measured, none."""

    def probe(self, ctx: StepContext, taken: Bool) -> tuple[Int, int]:
        if self._fresh(ctx):
            return EMPTY, 0
        free = np.flatnonzero(~taken)
        spare = ctx.left.rollouts - min(ctx.target_groups, len(free)) * ctx.group_size
        most = min(round(self.candidates * ctx.target_groups), len(free), spare // self.probes)
        if most <= 0:
            self._warn()
            return EMPTY, 0
        return ctx.rng.choice(free, size=most, replace=False), self.probes

    def on_probe(self, fb: Feedback, ctx: StepContext) -> None:
        fb = fb.rows(fb.trials > 1)
        self.probed_at = ctx.step
        self.score = np.zeros_like(self.score)
        learnability = fb.rate * (1 - fb.rate)
        self.score[fb.tasks] = np.where(learnability > 0, learnability, -1)
        if self.buffer is not None:
            kept = max(1, round(self.buffer * ctx.target_groups))
            best = lowest(-self.score, np.flatnonzero(self.score > 0), kept, ctx.rng)
            score = np.zeros_like(self.score)
            score[best] = self.score[best]
            self.score = score

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        rng = ctx.rng
        score = self.score if self._fresh(ctx) else np.zeros_like(self.score)
        rank = -score if self.buffer is None else (score <= 0).astype(np.float64)
        wanted = np.flatnonzero((score > 0) & ~taken)
        chosen = lowest(rank, wanted, round(self.share * m), rng)
        taken = taken.copy()
        taken[chosen] = True
        rest = lowest((score < 0).astype(np.float64), np.flatnonzero(~taken), m - len(chosen), rng)
        return np.concatenate([chosen, rest])

    def metrics(self) -> dict[str, float]:
        return {"learnable": float((self.score > 0).sum())}

    def _fresh(self, ctx: StepContext) -> bool:
        """Whether the last measurement still holds."""
        return self.probed_at >= 0 and ctx.step - self.probed_at < self.every

    def _warn(self) -> None:
        if not self._warned:
            self._warned = True
            log.warning(
                "no rollouts are left for probes beside a full batch, tasks are drawn evenly: "
                "raise budget.step_rollouts, or budget.rollouts"
            )
