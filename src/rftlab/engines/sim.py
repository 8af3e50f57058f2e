"""A simulated learner: engine and policy in one, numpy only. The whole loop runs on it without a model.

A task k of category c and difficulty b is passed with probability

    p_k = sigmoid(skill_c - b_k)

where b_k = slope * (level_k - 1) + noise * z_k, z_k standard normal and a function of the task's id. A pool without
levels gets levels uniform in [1, 10], likewise by id.

World ``logistic`` learns by the policy gradient of its own Bernoulli policy. With y the passes and A the advantages
(reward minus baseline) of the n picked rollouts of a group, d log P(y) / d skill = y - p, so

    g_c = 1/P * sum over groups of category c of mean_i A_i * (y_i - p)
    skill_c <- skill_c + lr * (g_c + transfer * sum over the other categories of g)

A group without variance has A = 0 and teaches nothing; the expected step of a group is (1 - 1/n) * p * (1 - p), largest
at p = 1/2. That is a caricature on purpose: it tests plumbing and accounting, it ranks no samplers for real models.

World ``static`` never learns.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rftlab.core import Completion, Finish, Float, Group, InputError, Int, Pick, Task, TaskPool, UpdateInfo
from rftlab.engines.base import Job, Sampling
from rftlab.engines.keyed import row_key, uniforms

WRONG = "no answer"
"""What a simulated failure says; no verifier passes it."""
FILE = "sim.npz"


class SimEngine:
    """``Engine`` and ``Learner`` of a simulated world.

    Args:
        pools: The training pool first, then others whose tasks may be generated (evaluation).
        seed: Of the initial skills.
        world: ``logistic`` or ``static``.
        rates: ``static`` only: the pass rates of the training pool, one per task; None = drawn as for ``logistic``.
        skill: Initial skill; a task of level 1 has the pass rate sigmoid(skill) in the middle.
        skill_spread: Standard deviation of the initial skills over categories and seeds.
        slope: Difficulty of one more level.
        noise: Standard deviation of the difficulty within a level.
        lr: Step of the gradient.
        transfer: Share of a category's gradient that every other category gains.
        tokens: Median length of a completion; None = half of the longest.
    """

    LEARNS = True
    separate = False
    precision = "float64"

    def __init__(
        self,
        *,
        pools: Sequence[TaskPool],
        seed: int,
        world: Literal["logistic", "static"] = "logistic",
        rates: Sequence[float] | None = None,
        skill: float = 1.0,
        skill_spread: float = 0.3,
        slope: float = 0.8,
        noise: float = 0.7,
        lr: float = 1.0,
        transfer: float = 0.1,
        tokens: float | None = None,
    ) -> None:
        if world not in ("logistic", "static"):
            raise InputError(f"engine.world={world}, wanted logistic or static")
        if rates is not None and world != "static":
            raise InputError("engine.rates are fixed rates: give engine.world=static, or engine.rates=null")
        self.world, self.lr, self.transfer, self.tokens, self.version = world, lr, transfer, tokens, 0
        tasks = [task for pool in pools for task in pool.tasks]
        self._row = {task.id: row for row, task in enumerate(tasks)}
        self._n = len(pools[0])
        self.category, names = _categories(pools)
        z = [_normals([row_key(("sim", "skill", seed), name, 0)])[0] for name in names]
        self.skill: Float = skill + skill_spread * np.array(z)
        keys = np.array([row_key(("sim", "task"), task.id, 0) for task in tasks], np.uint64)
        level = np.concatenate([_levels(pool) for pool in pools])
        self.difficulty: Float = slope * (level - 1) + noise * _normals(keys)
        if rates is not None:
            self._fix(np.asarray(rates, np.float64))

    def truth(self) -> Float:
        """True pass rates of the training pool at temperature 1, float64 [N]."""
        return _sigmoid(self._logits(np.arange(self._n)))

    def generate(self, jobs: Sequence[Job], sampling: Sampling, stream: tuple[Any, ...]) -> list[list[Completion]]:
        """Right answers with probability p, keyed by (stream, task id, ordinal); lengths are log-normal.

        Temperature T divides the logit, 0 always gives the more likely outcome. A failure may be cut off at
        ``max_new_tokens``; a pass never is.
        """
        logit = np.repeat(self._logits(self._rows([job.task for job in jobs])), [job.n for job in jobs])
        keys = np.array([row_key(stream, job.task.id, job.first + i) for job in jobs for i in range(job.n)], np.uint64)
        u = uniforms(keys, [0])[:, 0]
        greedy = sampling.temperature == 0
        passed = logit > 0 if greedy else u < _sigmoid(logit / sampling.temperature)
        median = self.tokens or sampling.max_new_tokens / 2
        length = np.rint(median * np.exp(0.5 * _normals(keys))).astype(np.int64).clip(1, sampling.max_new_tokens)
        cut = ~passed & (length == sampling.max_new_tokens)
        rollouts = iter(zip(passed.tolist(), length.tolist(), cut.tolist(), strict=True))
        return [[self._completion(job.task, *next(rollouts)) for _ in range(job.n)] for job in jobs]

    def update(
        self,
        batch: Sequence[tuple[Group, Pick]],
        generated: Sequence[Group],
        *,
        group_size: int,
        target_groups: int,
        rollouts: int,
    ) -> UpdateInfo:
        """One gradient step on the skills; the equation is the module's."""
        gradient = np.zeros(len(self.skill))
        advantages: dict[int, Float] = {}
        live = 0
        mean_weight = float(np.mean([pick.weight for _, pick in batch] or [1.0]))
        for group, pick in batch:
            score = np.array([group.verdicts[i].score for i in pick.rollouts])
            passed = np.array([group.verdicts[i].passed for i in pick.rollouts], np.float64)
            a = score - (score.mean() if pick.baseline is None else pick.baseline)
            row = self._rows([group.task])
            g = float((a * (passed - _sigmoid(self._logits(row)))).mean())
            gradient[self.category[row[0]]] += g * pick.weight / mean_weight
            advantages[pick.task] = a
            live += int((a != 0).sum())
        if self.world == "logistic":
            own = gradient / target_groups
            self.skill = self.skill + self.lr * (own + self.transfer * (own.sum() - own))
        self.version += 1
        metrics = {"train/live_rollouts": float(live), "train/lr": self.lr if self.world == "logistic" else 0.0}
        abs_advantage = {task: float(np.abs(a).mean()) for task, a in advantages.items()}
        if abs_advantage:
            metrics["train/advantage_abs"] = float(np.mean(list(abs_advantage.values())))
        return UpdateInfo(metrics, abs_advantage, advantages)

    def sync(self, learner: Any) -> None:
        """Nothing to take over: it is its own learner."""

    def save(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        np.savez(folder / FILE, skill=self.skill, version=self.version)

    def load(self, folder: Path) -> None:
        with np.load(folder / FILE) as state:
            if state["skill"].shape != self.skill.shape:
                raise InputError(
                    f"{folder / FILE} has {len(state['skill'])} skills, this dataset has {len(self.skill)} categories: "
                    "resume with the dataset of the checkpoint"
                )
            self.skill, self.version = state["skill"].copy(), int(state["version"])

    def save_weights(self, folder: Path) -> None:
        self.save(folder)

    def close(self) -> None:
        """Nothing is held."""

    def _rows(self, tasks: Sequence[Task]) -> Int:
        return np.array([self._row[task.id] for task in tasks], np.int64)

    def _logits(self, rows: Int) -> Float:
        return self.skill[self.category[rows]] - self.difficulty[rows]

    def _fix(self, rates: Float) -> None:
        """Chooses the difficulties of the training pool so that it has these pass rates."""
        if rates.shape != (self._n,) or not ((rates >= 0) & (rates <= 1)).all():
            raise InputError(f"engine.rates has shape {rates.shape}, wanted {self._n} pass rates in [0, 1]")
        with np.errstate(divide="ignore"):
            logit = np.log(rates) - np.log1p(-rates)
        self.difficulty[: self._n] = self.skill[self.category[: self._n]] - logit

    def _completion(self, task: Task, passed: bool, length: int, cut: bool) -> Completion:
        finish = Finish.LENGTH if cut else Finish.STOP
        tokens, logps = np.zeros(length, np.int32), np.zeros(length, np.float32)
        return Completion(task.answer if passed else WRONG, tokens, logps, finish, self.version)


def _categories(pools: Sequence[TaskPool]) -> tuple[Int, list[str]]:
    """Category of every task of all pools, int64, and the names; pools are matched by the names."""
    labels: list[str] = []
    for pool in pools:
        if pool.category is None:
            labels += [""] * len(pool)
        else:
            labels += [pool.categories[c] if pool.categories else str(c) for c in pool.category.tolist()]
    names = sorted(set(labels))
    code = {name: i for i, name in enumerate(names)}
    return np.array([code[label] for label in labels], np.int64), names


def _levels(pool: TaskPool) -> Float:
    """Levels of a pool, or uniform ones in [1, 10] by task id."""
    if pool.level is not None:
        return pool.level
    keys = np.array([row_key(("sim", "level"), task.id, 0) for task in pool.tasks], np.uint64)
    return 1 + 9 * uniforms(keys, [0])[:, 0]


def _normals(keys: Sequence[int] | NDArray[np.uint64]) -> Float:
    """One standard normal per key (Box and Muller), from positions 1 and 2 of its stream."""
    u = uniforms(keys, [1, 2])
    return np.sqrt(-2 * np.log1p(-u[:, 0])) * np.cos(2 * np.pi * u[:, 1])


def _sigmoid(x: Float) -> Float:
    return 0.5 * (1 + np.tanh(0.5 * x))
