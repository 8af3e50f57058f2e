"""PCL: a regression of the pass rate on features, and the tasks of a random pool whose value is nearest to one half."""

from __future__ import annotations

import numpy as np

from rftlab.core import Bool, Feedback, Float, InputError, Int, Need, StepContext, TaskPool
from rftlab.samplers.base import Selector
from rftlab.samplers.selectors.features import scaled
from rftlab.samplers.selectors.ranking import check_candidates, lowest, subset


class PCL(Selector):
    """Prompt Curriculum Learning (Gao et al., arXiv:2510.01135) with a small value model.

    Each step, from a fresh random pool of ``candidates`` batches, the tasks with the smallest |V(x) - target|; after
    the step V is regressed on what was seen, minimising the squared error sum over tasks of (V(x) - pass rate)^2.

    The paper's V is a language model of about the policy's size that reads the prompt and takes gradient steps beside
    it. Ours is linear in the features x, so the minimiser has a closed form (recursive ridge regression):

        A <- retention * A + sum x x',   b <- retention * b + sum x * (pass rate - 1/2)
        V(x) = clip(1/2 + x' (A + ridge * I)^-1 b, 0, 1)

    with a constant 1 appended to x. It has no learning rate to tune, its state is a D x D matrix, and forgetting plays
    the part of the paper's steps on recent data. A task never seen is judged by its features alone, and so is one seen
    often: counts of a task are not kept. What a reading language model sees beyond the features is lost.

    ``retention`` and ``ridge`` are ours; the paper's number of candidates was not available to us (4 is remembered).

    Args:
        candidates: Size of the random pool, in batches of P tasks; None = the whole pool.
        target: Wanted pass rate.
        retention: Weight of all earlier steps relative to the new one, in (0, 1]; 1 = a plain regression on everything.
        ridge: Penalty on the coefficients, in tasks.
    """

    NEEDS = frozenset({Need.FEATURES})
    STATE = ("gram", "moment")

    def __init__(
        self, candidates: float | None = 4.0, target: float = 0.5, retention: float = 0.97, ridge: float = 10.0
    ) -> None:
        check_candidates(candidates)
        if not 0 <= target <= 1:
            raise InputError(f"sampler.selector.target={target:g}, wanted a number in [0, 1]")
        if not 0 < retention <= 1:
            raise InputError(f"sampler.selector.retention={retention:g}, wanted a number in (0, 1]")
        if ridge <= 0:
            raise InputError(f"sampler.selector.ridge={ridge:g}, wanted a positive number")
        self.candidates, self.target, self.retention, self.ridge = candidates, target, retention, ridge
        self._believed: Float | None = None

    def bind(self, pool: TaskPool, group_size: int) -> None:
        self.x = np.column_stack([scaled(pool), np.ones(len(pool), np.float32)])
        width = self.x.shape[1]
        self.gram: Float = np.zeros((width, width))
        self.moment: Float = np.zeros(width)

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        rng = ctx.rng
        among = subset(np.flatnonzero(~taken), m, self.candidates, ctx, rng)
        away = np.abs(self._value(among) - self.target)
        return among[lowest(away, np.arange(len(among)), m, rng)]

    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        fb = fb.rows(fb.trials > 0)
        if len(fb) == 0:
            return
        x = self.x[fb.tasks].astype(np.float64)
        self.gram = self.retention * self.gram + x.T @ x
        self.moment = self.retention * self.moment + x.T @ (fb.rate - 0.5)
        self._believed = None

    def predict(self) -> Float:
        if self._believed is None:
            self._believed = self._value(slice(None))
        return self._believed.copy()

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        super().load_state_dict(state)
        self._believed = None

    def _value(self, tasks: Int | slice) -> Float:
        """V of some tasks, float64."""
        coefficients = np.linalg.solve(self.gram + self.ridge * np.eye(len(self.moment)), self.moment)
        return (0.5 + self.x[tasks] @ coefficients.astype(np.float32)).astype(np.float64).clip(0, 1)
