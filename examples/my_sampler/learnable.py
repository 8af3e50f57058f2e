"""A selector of one's own: the tasks that the policy solves about half of the time."""

import numpy as np

from rftlab.core import Bool, Feedback, Float, InputError, Int, StepContext, TaskPool
from rftlab.samplers.base import Selector
from rftlab.samplers.selectors.ranking import lowest


class Learnable(Selector):
    """A running mean of every task's pass rate, and the tasks where it is nearest to one half.

        p <- p + eta * (passes / rollouts - p)

    Nothing is known of a task before its first visit: p = 1/2, so every task is tried once before any is tried again.

    Args:
        eta: Weight of the newest group, in (0, 1]; 1 = the last visit alone.
    """

    STATE = ("rate",)  # all that it learns: saved with every checkpoint

    def __init__(self, eta: float = 0.5) -> None:
        if not 0 < eta <= 1:
            raise InputError(f"sampler.selector.eta={eta:g}, wanted a weight in (0, 1]")
        self.eta = eta

    def bind(self, pool: TaskPool, group_size: int) -> None:
        self.rate: Float = np.full(len(pool), 0.5)

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        # pure: no state changes here, and chance only from ctx.rng (it decides between equal tasks)
        return lowest(np.abs(self.rate - 0.5), np.flatnonzero(~taken), m, ctx.rng)

    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        fb = fb.rows(fb.trials > 0)  # where every grading failed, nothing was seen
        self.rate[fb.tasks] += self.eta * (fb.rate - self.rate[fb.tasks])

    def predict(self) -> Float:
        return self.rate.copy()
