"""Counts that every sampler may read, kept by the composer so that no method keeps them twice."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from rftlab.core import Feedback, Float, Int


@dataclass
class TaskStats:
    """Per task [N]. Updated once a step, after the update; read-only for parts."""

    n: int
    discount: float = 1.0
    """Factor on a task's old counts when it is visited again; 1 = plain counts."""
    wins: Float = field(init=False)
    """float64, discounted successes."""
    trials: Float = field(init=False)
    """float64, discounted valid rollouts."""
    visits: Int = field(init=False)
    """int64, steps in which the task had a valid rollout."""
    last_rate: Float = field(init=False)
    """float64, pass rate of its last visit; NaN = never visited."""
    streak: Int = field(init=False)
    """int64, consecutive visits without variance (all right or all wrong)."""
    last_step: Int = field(init=False)
    """int64, step of its last visit; -1 = never."""

    def __post_init__(self) -> None:
        self.wins = np.zeros(self.n)
        self.trials = np.zeros(self.n)
        self.visits = np.zeros(self.n, np.int64)
        self.last_rate = np.full(self.n, np.nan)
        self.streak = np.zeros(self.n, np.int64)
        self.last_step = np.full(self.n, -1, np.int64)

    def update(self, fb: Feedback, step: int) -> None:
        """Counts one step in; rows with zero trials change nothing."""
        fb = fb.rows(fb.trials > 0)
        k = fb.tasks
        self.wins[k] = self.discount * self.wins[k] + fb.wins
        self.trials[k] = self.discount * self.trials[k] + fb.trials
        self.visits[k] += 1
        self.last_rate[k] = fb.rate
        flat = (fb.wins == 0) | (fb.wins == fb.trials)
        self.streak[k] = np.where(flat, self.streak[k] + 1, 0)
        self.last_step[k] = step

    ARRAYS = ("wins", "trials", "visits", "last_rate", "streak", "last_step")

    def state_dict(self) -> dict[str, np.ndarray]:
        return {name: getattr(self, name).copy() for name in self.ARRAYS}

    def load_state_dict(self, state: dict[str, np.ndarray]) -> None:
        for name in self.ARRAYS:
            setattr(self, name, np.asarray(state[name]).copy())
