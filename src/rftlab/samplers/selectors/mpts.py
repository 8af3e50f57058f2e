"""MPTS: a network that reads a batch of outcomes and predicts every task's pass rate from its features."""

from __future__ import annotations

from math import ceil
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rftlab.core import Bool, Feedback, Float, InputError, Int, Need, StepContext, TaskPool
from rftlab.samplers.base import Selector
from rftlab.samplers.networks.flat import Flat
from rftlab.samplers.networks.learner import Batch, Recipe, RiskLearner
from rftlab.samplers.selectors.acquisition import Acquisition, worth
from rftlab.samplers.selectors.diversity import Distances, max_min, max_sum
from rftlab.samplers.selectors.features import scaled
from rftlab.samplers.selectors.ranking import lowest, subset

AUTO_ROWS = 2_000_000
"""``candidates=auto`` looks at the whole pool while tasks times draws stay below this: about a second on one core."""
AUTO_BATCHES = 16.0
"""``candidates=auto`` on larger pools."""


class MPTS(Selector):
    """Model Predictive Task Sampling (Wang et al., arXiv:2501.11039), and what grew out of it, on prompts.

    With x a task's features and H_t the outcomes (x_i, y_i) of step t, an encoder gives q(z | H_t), a Gaussian over a
    latent "state of the policy", and a decoder the outcome of any task given z. They minimise

        -E_q(z | H_t) [log p(outcomes | x, z)] + beta * KL(q(z | H_t) || prior),   prior = an earlier q, held fixed

    A task is scored by ``n_z`` decodings under z drawn from q of the last batch; ``acquisition`` says how (the
    equations are those of ``acquisition.worth``).

    We found no publication that reports MPTS on language models; code of one of its authors holds an attempt that is
    never called (hardest UCB, squared error, the last batch only), which the preset ``mpts_faithful`` follows. Our
    defaults differ: the target is pass rate 1/2, as the hardest prompts give groups without variance; the likelihood
    is binomial; old batches are replayed (under the z of the last one, so a belief lags behind a policy that changes
    fast); and a network mean is the prior of a Beta belief per task,

        pass rate = (kappa * network + passes) / (kappa + trials),

    since features cannot tell apart what a task's own counts can.

    ``diversity=max_min`` with one draw is PDTS (arXiv:2504.19139; it scores the hardest there); ``prior=learned`` with
    ``max_sum`` follows GPS (arXiv:2602.01970), of which lambda, sizes, learning rate and updates per step are not
    published, and whose Transformer encoder is our mean-pooled one.

    Also ours: features are centred and scaled as a whole; before the first batch the choice is uniform, not that of an
    untrained network; the weights are drawn at the first batch, from the run's seed; with ``likelihood=mse`` the
    outcome is minus the pass rate, without standardising it within the batch, which would lose its level; the second
    head of the decoder, never trained in the release, is left out. ``predict`` decodes the mean of z, one pass over
    the pool, instead of averaging draws.

    Args:
        acquisition: ``target``, ``thompson_target``, ``hard_ucb`` (the paper's), ``expected_yield``, ``expected_var``.
        target: Wanted pass rate.
        gamma_0: Weight of the failure rate in ``hard_ucb``.
        gamma_1: Weight of the deviation over draws.
        n_z: Draws of z for scoring; ``thompson_target`` uses one.
        candidates: Score a fresh random subset of so many batches of P; None = the whole pool; ``auto`` = the whole
            pool while N * n_z <= 2,000,000, else 16.
        random_fraction: Share of a batch that is drawn from the candidates that were not chosen.
        warmup_steps: Batches chosen uniformly at first, but no more than cover the pool once.
        memory: ``hybrid``: counts of every task over a network prior. ``none``: the network alone.
        kappa: Trials that the network's word is worth in ``hybrid``.
        retention: Share of a task's old counts kept when it is visited again.
        diversity: ``none``, ``max_min`` (PDTS) or ``max_sum`` (GPS).
        diversity_weight: gamma_2 of PDTS, lambda of GPS; distances are in units of the pool's root mean square.
        intra: ``max_sum``: weight of the distance within the batch.
        inter: ``max_sum``: weight of the mean distance from the last batch.
        likelihood: ``binomial`` (outputs are logits) or ``mse``.
        reduction: Reconstruction summed over rows or their ``mean``; the release has both.
        replay_batches: Earlier batches that the loss covers beside the last one.
        context: What z is inferred from: ``last_batch`` or ``replay``, all batches that are kept.
        prior: ``streaming`` (an earlier q) or ``learned`` (a network that reads the batch before).
        prior_update: ``per_train_step`` or, as in the release, ``per_grad_step``.
        beta: Weight of the KL.
        lr: Adam's step.
        updates_per_step: Gradient steps after each batch.
        n_z_train: Draws of z in a gradient step.
        z_dim: Width of z.
        hidden: Width of the hidden layers.
    """

    NEEDS = frozenset({Need.FEATURES})
    STATE = ("batches", "trained", "wins", "trials", "losses")

    def __init__(
        self,
        acquisition: Acquisition = "target",
        target: float = 0.5,
        gamma_0: float = 1.0,
        gamma_1: float = 1.0,
        n_z: int = 16,
        candidates: float | Literal["auto"] | None = "auto",
        random_fraction: float = 0.1,
        warmup_steps: int = 10,
        memory: Literal["hybrid", "none"] = "hybrid",
        kappa: float = 4.0,
        retention: float = 1.0,
        diversity: Literal["none", "max_min", "max_sum"] = "none",
        diversity_weight: float = 0.05,
        intra: float = 1.0,
        inter: float = 1.0,
        likelihood: Literal["binomial", "mse"] = "binomial",
        reduction: Literal["mean", "sum"] = "mean",
        replay_batches: int = 16,
        context: Literal["last_batch", "replay"] = "last_batch",
        prior: Literal["streaming", "learned"] = "streaming",
        prior_update: Literal["per_train_step", "per_grad_step"] = "per_train_step",
        beta: float = 1e-4,
        lr: float = 1e-3,
        updates_per_step: int = 10,
        n_z_train: int = 1,
        z_dim: int = 64,
        hidden: int = 128,
    ) -> None:
        _check(locals())
        self.acquisition, self.target, self.gamma_0, self.gamma_1 = acquisition, target, gamma_0, gamma_1
        self.n_z = 1 if acquisition == "thompson_target" else n_z
        self.candidates, self.random_fraction, self.warmup_steps = candidates, random_fraction, warmup_steps
        self.memory, self.kappa, self.retention = memory, kappa, retention
        self.diversity, self.diversity_weight, self.intra, self.inter = diversity, diversity_weight, intra, inter
        self.likelihood, self.replay_batches = likelihood, replay_batches
        self.recipe = Recipe(
            z_dim, hidden, likelihood, reduction, beta, lr, updates_per_step, n_z_train, prior, prior_update, context
        )
        self.batches: list[dict[str, Int]] = []
        self.trained = 0
        self.losses: dict[str, float] = {}
        self._believed: Float | None = None

    def bind(self, pool: TaskPool, group_size: int) -> None:
        self.group_size = group_size
        self.x = scaled(pool)
        self.near = Distances(self.x)
        self.wins: Flat = np.zeros(len(pool), np.float32)
        self.trials: Flat = np.zeros(len(pool), np.float32)
        self.learner = RiskLearner(self.x.shape[1], self.recipe)

    def propose(self, m: int, ctx: StepContext, taken: Bool) -> Int:
        rng = ctx.rng
        free = np.flatnonzero(~taken)
        warm = min(self.warmup_steps, ceil(len(taken) / ctx.target_groups))
        if self.trained == 0 or self.trained < warm:
            return rng.permutation(subset(free, m, 1.0, ctx, rng))[:m]
        among = rng.permutation(subset(free, m, self._batches_looked_at(), ctx, rng))
        m = min(m, len(among))
        drawn = self._rate(among, self.learner.draws(self._history(), self.n_z, rng))
        score = worth(
            drawn,
            self.acquisition,
            target=self.target,
            gamma_0=self.gamma_0,
            gamma_1=self.gamma_1,
            group_size=self.group_size,
        )
        best = self._choose(score, among, m - round(self.random_fraction * m), rng)
        rest = np.delete(among, best)
        return np.concatenate([among[best], rest[: m - len(best)]])

    def observe(self, fb: Feedback, ctx: StepContext) -> None:
        fb = fb.rows(fb.trials > 0)
        self.losses = {}
        if len(fb) == 0:
            return
        k = fb.tasks
        self.wins[k] = self.retention * self.wins[k] + fb.wins
        self.trials[k] = self.retention * self.trials[k] + fb.trials
        # a learned prior reads the batch before the oldest one that is trained on
        keep = self.replay_batches + 1 + (self.recipe.prior == "learned")
        self.batches = [*self.batches, {"tasks": k, "wins": fb.wins, "trials": fb.trials}][-keep:]
        self.losses = self.learner.train(self._history(), ctx.rng)
        self.trained += 1
        self._believed = None

    def predict(self) -> Float:
        if self._believed is None:
            if self.trained:
                mu, _ = self.learner.belief(self._history())
                rate = self._rate(slice(None), mu[None])[0]
            else:
                rate = np.full(len(self.x), 0.5, np.float32)
            self._believed = rate.astype(np.float64).clip(0, 1)
        return self._believed.copy()

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "learner": self.learner.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.learner.load_state_dict(state.get("learner", {}))
        super().load_state_dict({name: value for name, value in state.items() if name != "learner"})
        self._believed = None

    def metrics(self) -> dict[str, float]:
        return dict(self.losses)

    def _rate(self, tasks: Int | slice, z: Flat) -> NDArray[np.float32]:
        """Pass rates [S, K] of some tasks under latents z [S, 1, Z]; the counts have their say in ``hybrid``."""
        out = self.learner.outputs(self.x[tasks], z)
        rate = 0.5 * (1 + np.tanh(0.5 * out)) if self.likelihood == "binomial" else -out
        if self.memory == "none":
            return rate
        kappa = np.float32(self.kappa)
        return (kappa * rate.clip(0, 1) + self.wins[tasks]) / (kappa + self.trials[tasks])

    def _choose(self, score: Float, among: Int, m: int, rng: np.random.Generator) -> Int:
        """Positions in ``among`` of the ``m`` tasks to take, best first."""
        if self.diversity == "none":
            return lowest(-score, np.arange(len(among)), m, rng)
        near = self.near.among(among)
        if self.diversity == "max_min":
            return max_min(score, near, m, self.diversity_weight)
        apart = self.inter * near.mean_to(self.x[self.batches[-1]["tasks"]] if self.inter else self.x[:0])
        return max_sum(score, near, m, self.diversity_weight, self.intra, apart)

    def _history(self) -> list[Batch]:
        """The kept batches as the network takes them, oldest first."""
        sign = -1.0 if self.likelihood == "mse" else 1.0
        return [
            Batch(
                self.x[b["tasks"]],
                (sign * b["wins"] / b["trials"]).astype(np.float32),
                b["trials"].astype(np.float32),
            )
            for b in self.batches
        ]

    def _batches_looked_at(self) -> float | None:
        if self.candidates != "auto":
            return self.candidates
        return None if len(self.x) * self.n_z <= AUTO_ROWS else AUTO_BATCHES


ONE_OF = {
    "acquisition": ("target", "thompson_target", "hard_ucb", "expected_yield", "expected_var"),
    "memory": ("hybrid", "none"),
    "diversity": ("none", "max_min", "max_sum"),
    "likelihood": ("binomial", "mse"),
    "reduction": ("mean", "sum"),
    "context": ("last_batch", "replay"),
    "prior": ("streaming", "learned"),
    "prior_update": ("per_train_step", "per_grad_step"),
}
LEAST = {"n_z": 1, "updates_per_step": 1, "n_z_train": 1, "z_dim": 1, "hidden": 1, "warmup_steps": 0}
LEAST |= {"replay_batches": 0, "gamma_0": 0, "gamma_1": 0, "diversity_weight": 0, "intra": 0, "inter": 0, "beta": 0}


def _check(given: dict[str, Any]) -> None:
    """Refuses options out of range."""
    wrong = {name: " or ".join(known) for name, known in ONE_OF.items() if given[name] not in known}
    wrong |= {name: f"{least} or more" for name, least in LEAST.items() if not given[name] >= least}
    shares = ("target", "random_fraction", "retention")
    wrong |= {name: "a number in [0, 1]" for name in shares if not 0 <= given[name] <= 1}
    wrong |= {name: "a positive number" for name in ("kappa", "lr") if not given[name] > 0}
    looked = given["candidates"]
    if looked not in (None, "auto") and (isinstance(looked, str) or not looked >= 1):
        wrong["candidates"] = "at least 1 batch, auto, or null"
    for name, wanted in wrong.items():
        raise InputError(f"sampler.selector.{name}={given[name]}, wanted {wanted}")
