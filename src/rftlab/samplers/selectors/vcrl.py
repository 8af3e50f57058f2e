"""VCRL: tasks that showed much variance are remembered, and tried again where others have failed to."""

from __future__ import annotations

import numpy as np

from rftlab.core import Bool, Feedback, Float, InputError, Int, StepContext, TaskPool
from rftlab.samplers.admissions.kappa import normalized_variance
from rftlab.samplers.selectors.ranking import lowest
from rftlab.samplers.selectors.uniform import Uniform


class VCRL(Uniform):
    """Variance-based Curriculum Reinforcement Learning (Jiang et al., arXiv:2509.19803): its memory bank.

    With v in [0, 1] the normalised variance of a visit (``normalized_variance``), a task enters the bank at v >= kappa
    with the priority v. Every later visit moves it,

        priority <- momentum * priority + (1 - momentum) * v,

    and below kappa the task leaves. The first round of a step comes in even epochs, as with ``uniform``, but for
    ``share``. Refills take the bank's highest priorities first, then go on evenly: the admission ``kappa`` rejects
    groups of little variance, and tasks of the bank fill their places with fresh rollouts. So without an admission
    that refills, and with ``share`` 0, this is ``uniform``.

    The paper's momentum, capacity and threshold of the bank are not published; these are ours. A replayed task has had
    its turn of the epoch.

    Args:
        kappa: Normalised variance in (0, 1] at which a task enters, and below which it leaves.
        momentum: Weight of the old priority in [0, 1).
        share: Share of the first round that is taken from the bank.
        capacity: Tasks in the bank at most, the lowest leave; None = any number.
    """

    STATE = ("turns", "priority")

    def __init__(
        self, kappa: float = 0.8, momentum: float = 0.9, share: float = 0.0, capacity: int | None = None
    ) -> None:
        super().__init__()
        if not 0 < kappa <= 1:
            raise InputError(f"sampler.selector.kappa={kappa:g}, wanted a share in (0, 1]")
        if not 0 <= momentum < 1:
            raise InputError(f"sampler.selector.momentum={momentum:g}, wanted a weight in [0, 1)")
        if not 0 <= share <= 1:
            raise InputError(f"sampler.selector.share={share:g}, wanted a share in [0, 1]")
        if capacity is not None and capacity < 1:
            raise InputError(f"sampler.selector.capacity={capacity}, wanted at least 1 task, or null")
        self.kappa, self.momentum, self.share, self.capacity = kappa, momentum, share, capacity

    def bind(self, pool: TaskPool, group_size: int) -> None:
        super().bind(pool, group_size)
        self.priority: Float = np.zeros(len(pool))
        """float64 [N]; 0 = not in the bank."""

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        replay = m if ctx.round > 0 else round(self.share * m)
        bank = lowest(-self.priority, np.flatnonzero((self.priority > 0) & ~taken), replay, ctx.rng)
        taken = taken.copy()
        taken[bank] = True
        return np.concatenate([bank, super().propose(m - len(bank), ctx, taken)])

    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        super().observe(fb, ctx)
        fb = fb.rows(fb.trials > 1)
        old, v = self.priority[fb.tasks], normalized_variance(fb.wins, fb.trials)
        new = np.where(old > 0, self.momentum * old + (1 - self.momentum) * v, v)
        self.priority[fb.tasks] = np.where(new >= self.kappa, new, 0.0)
        bank = np.flatnonzero(self.priority)
        if self.capacity is not None and len(bank) > self.capacity:
            self.priority[lowest(self.priority, bank, len(bank) - self.capacity, ctx.rng)] = 0.0

    def metrics(self) -> dict[str, float]:
        return super().metrics() | {"bank": float(np.count_nonzero(self.priority))}
