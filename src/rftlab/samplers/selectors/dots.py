"""DOTS: measure a few random tasks, infer the others from features, draw near one half."""

from __future__ import annotations

from typing import Literal

import numpy as np

from rftlab.core import EMPTY, Bool, Feedback, Float, InputError, Int, Need, StepContext, TaskPool
from rftlab.samplers.base import Selector
from rftlab.samplers.networks.flat import Flat
from rftlab.samplers.selectors.features import scaled
from rftlab.samplers.selectors.ranking import weighted

EDGE = 0.01
"""Pass rates are kept this far from 0 and 1 before a logit is taken."""
NEWTON = 20
"""Steps of the calibration's fit: two numbers, and it settles in less than ten."""
CHUNK = 8192
"""Tasks inferred at once."""


class DOTS(Selector):
    """Difficulty-targeted online task selection (Sun et al., arXiv:2506.05316), without its rollout replay.

    Every ``every`` steps some random tasks are measured with rollouts that are not trained on. With y_j their pass
    rates and x the features, every task of the pool is inferred from the measured ones, and calibrated:

        base_i = sum_j softmax_j(a(x_i) . a(x_j) / sqrt(D)) * y_j
        p_i    = sigmoid(scale * logit(base_i) + shift)
        chosen without replacement with probability ~ exp(-|p_i - target| / tau)

    What differs. In the paper a sends embeddings of a frozen language model through adapters that were trained
    beforehand on other models' pass rates, and scale and shift come from a small network trained with them. Nothing is
    trained beforehand here. ``predictor=attention`` is the equation with x itself for a(x), a sharpness
    ``temperature``, and all columns equally relevant, which makes it weak; so the default, ``ridge``, regresses the
    measured rates on x instead, as a trained attention would learn which directions matter:

        base_i = mean y + (x_i - mean x)' (X'X + penalty * I)^-1 X' (y - mean y),   X the measured rows, centred

    Scale and shift are fitted to the measured tasks themselves, each inferred from the others: a logistic regression
    with a weak pull to scale 1, shift 0, and scale >= 0 as in the paper. The replay of stored rollouts is left out:
    this lab trains on fresh ones. A measurement that the step's budget can't pay beside a full batch shrinks to what
    it can.

    Before the first measurement every task is as likely as any other.

    Args:
        probes: Tasks measured each time, in batches of P (ours; 256 tasks in the release, whose batches are larger).
        rollouts: Rollouts of each; None = the group size (8 in the release, as its groups).
        every: Steps between measurements (mu; 2 in the release).
        target: Wanted pass rate.
        tau: Width of the preference; 0.001 in the release is all but the nearest ones.
        predictor: ``ridge`` or ``attention``.
        penalty: Of the ridge, in tasks.
        temperature: Of the attention; 1 = the plain square root of D.
    """

    NEEDS = frozenset({Need.FEATURES, Need.PROBE})
    STATE = ("measured", "measured_at", "scale", "shift")

    def __init__(
        self,
        probes: float = 0.5,
        rollouts: int | None = None,
        every: int = 2,
        target: float = 0.5,
        tau: float = 1e-3,
        predictor: Literal["ridge", "attention"] = "ridge",
        penalty: float = 30.0,
        temperature: float = 1.0,
    ) -> None:
        for name, value in {"every": every, "rollouts": 1 if rollouts is None else rollouts}.items():
            if value < 1:
                raise InputError(f"sampler.selector.{name}={value}, wanted at least 1")
        for name, number in {"probes": probes, "tau": tau, "penalty": penalty, "temperature": temperature}.items():
            if number <= 0:
                raise InputError(f"sampler.selector.{name}={number:g}, wanted a positive number")
        if not 0 <= target <= 1:
            raise InputError(f"sampler.selector.target={target:g}, wanted a number in [0, 1]")
        if predictor not in ("ridge", "attention"):
            raise InputError(f"sampler.selector.predictor={predictor}, wanted ridge or attention")
        self.probes, self.rollouts, self.every = probes, rollouts, every
        self.target, self.tau = target, tau
        self.predictor, self.penalty, self.temperature = predictor, penalty, temperature
        self.measured: dict[str, Int] = {"tasks": EMPTY, "wins": EMPTY, "trials": EMPTY}
        self.measured_at, self.scale, self.shift = -1, 1.0, 0.0
        self._believed: Float | None = None

    def bind(self, pool: TaskPool, group_size: int) -> None:
        self.x = scaled(pool)
        self.group_size = group_size

    def probe(self, ctx: StepContext, taken: Bool) -> tuple[Int, int]:
        n, free = self.rollouts or self.group_size, np.flatnonzero(~taken)
        spare = (ctx.left.rollouts - ctx.target_groups * ctx.group_size) // n
        due = self.measured_at < 0 or ctx.step >= self.measured_at + self.every
        size = min(max(1, round(self.probes * ctx.target_groups)), spare, len(free))
        return (ctx.rng.choice(free, size=size, replace=False), n) if due and size > 0 else (EMPTY, 0)

    def on_probe(self, fb: Feedback, ctx: StepContext) -> None:
        fb = fb.rows(fb.trials > 0)
        if len(fb) == 0:
            return
        self.measured, self.measured_at = {"tasks": fb.tasks, "wins": fb.wins, "trials": fb.trials}, ctx.step
        self.scale, self.shift = 1.0, 0.0
        if len(fb) > 1:
            self.scale, self.shift = calibration(self._left_out(), fb.wins, fb.trials)
        self._believed = None

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        free = np.flatnonzero(~taken)
        if len(free) == 0:
            return EMPTY
        away = np.abs(self._rates()[free] - self.target)
        weight = np.exp(-(away - away.min()) / self.tau)
        return free[weighted(weight, np.arange(len(free)), m, ctx.rng)]

    def predict(self) -> Float:
        return self._rates().copy()

    def load_state_dict(self, state: dict[str, object]) -> None:
        super().load_state_dict(state)
        self._believed = None

    def metrics(self) -> dict[str, float]:
        return {"scale": self.scale, "shift": self.shift, "measured": float(len(self.measured["tasks"]))}

    def _rates(self) -> Float:
        if self._believed is None:
            everything = np.arange(len(self.x))
            chunks = [everything[at : at + CHUNK] for at in range(0, len(everything), CHUNK)]
            if self.measured_at < 0:
                self._believed = np.full(len(self.x), 0.5)
            else:
                base = np.concatenate([self._infer(rows) for rows in chunks])
                self._believed = _sigmoid(self.scale * _logit(base) + self.shift)
        return self._believed

    def _infer(self, tasks: Int) -> Float:
        """Uncalibrated rates of tasks, from the measured ones."""
        x, keys, rate = self.x[tasks], self.x[self.measured["tasks"]], self._measured_rate()
        if self.predictor == "attention":
            return attention(self._similarity(x, keys), rate)
        slope = smoother(keys, self.penalty) @ (rate - rate.mean())
        return rate.mean() + (x - keys.mean(0)) @ slope

    def _left_out(self) -> Float:
        """Uncalibrated rates of the measured tasks, each from the others."""
        keys, rate = self.x[self.measured["tasks"]], self._measured_rate()
        if self.predictor == "attention":
            similarity = self._similarity(keys, keys)
            np.fill_diagonal(similarity, -np.inf)
            return attention(similarity, rate)
        hat = (keys - keys.mean(0)) @ smoother(keys, self.penalty) + 1 / len(keys)
        return rate - (rate - hat @ rate) / (1 - np.diag(hat))

    def _measured_rate(self) -> Float:
        return self.measured["wins"] / self.measured["trials"]

    def _similarity(self, x: Flat, keys: Flat) -> Flat:
        return x @ keys.T / np.float32(np.sqrt(x.shape[1]) * self.temperature)


def attention(similarity: Flat, rate: Float) -> Float:
    """Rates [Q] averaged with the softmax of each row of ``similarity`` [R, Q]."""
    weight = np.exp(similarity - similarity.max(1, keepdims=True))
    return (weight @ rate) / weight.sum(1)


def smoother(keys: Flat, penalty: float) -> Float:
    """(X'X + penalty * I)^-1 X' for the centred rows X of ``keys`` [Q, D], float64 [D, Q]."""
    x = (keys - keys.mean(0)).astype(np.float64)
    return np.linalg.solve(x.T @ x + penalty * np.eye(x.shape[1]), x.T)


def calibration(base: Float, wins: Int, trials: Int) -> tuple[float, float]:
    """Scale and shift of sigmoid(scale * logit(base) + shift), fitted to passes in trials.

    Penalised by (scale - 1)^2 / 2 + shift^2 / 2: that decides only when nothing else does (all right, all wrong). A
    base that says nothing gets scale 0, never a negative one: what the others say of a task is by construction a
    little lower where the task itself is higher.
    """
    design = np.column_stack([_logit(base), np.ones(len(base))])
    prior = np.array([1.0, 0.0])
    fitted = prior.copy()
    for _ in range(NEWTON):
        p = _sigmoid(design @ fitted)
        gradient = design.T @ (wins - trials * p) - (fitted - prior)
        curvature = design.T @ (design * (trials * p * (1 - p))[:, None]) + np.eye(2)
        fitted = fitted + np.linalg.solve(curvature, gradient)
    if fitted[0] < 0:
        return 0.0, calibration(np.full(len(base), 0.5), wins, trials)[1]
    return float(fitted[0]), float(fitted[1])


def _logit(p: Float) -> Float:
    inside = np.clip(p, EDGE, 1 - EDGE)
    return np.log(inside) - np.log1p(-inside)


def _sigmoid(x: Float) -> Float:
    return 0.5 * (1 + np.tanh(0.5 * x))
