"""Training of the MPTS network on the batches of a run, and draws of its outputs. All that it learns are arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from rftlab.samplers.base import Part
from rftlab.samplers.networks import risk
from rftlab.samplers.networks.flat import Flat, Layers, adam, initial, size, unflatten

if TYPE_CHECKING:
    from torch import Tensor

CHUNK = 4096
"""Rows times draws that are decoded at once: activations stay in the cache."""


class Batch(NamedTuple):
    """What one step has shown, R rows."""

    x: Flat
    """float32 [R, D], features."""
    y: Flat
    """float32 [R], outcomes as the network takes them."""
    trials: Flat
    """float32 [R]."""


@dataclass(frozen=True)
class Recipe:
    """How the network is shaped and trained; the options of ``MPTS`` of the same names say what they mean."""

    z_dim: int
    hidden: int
    likelihood: Literal["binomial", "mse"]
    reduction: Literal["mean", "sum"]
    beta: float
    lr: float
    updates_per_step: int
    n_z_train: int
    prior: Literal["streaming", "learned"]
    prior_update: Literal["per_train_step", "per_grad_step"]
    context: Literal["last_batch", "replay"]


class RiskLearner(Part):
    """Weights, Adam's moments and the prior of z, trained on one batch after another.

    Objective of a gradient step, with q the encoder's Gaussian and z drawn from it:

        reconstruction(rows | z) + beta * KL(q || prior)

    ``prior=streaming`` (MPTS): one z from the newest batch (or from all that are kept), which has to explain the rows
    of all kept batches. The prior is N(0, I) at first, then an earlier q, held fixed.
    ``prior=learned`` (GPS): every kept batch has a z of its own, and the prior of each is a second encoder that reads
    the batch before it.

    Weights are drawn at the first ``train``, from the generator given there.
    """

    STATE = ("theta", "moment1", "moment2", "updates", "mu", "sigma")

    def __init__(self, features: int, recipe: Recipe) -> None:
        self.recipe = recipe
        shape = (features, recipe.z_dim, recipe.hidden)
        self.layers: Layers = {**risk.encoder_layers(*shape), **risk.decoder_layers(*shape)}
        if recipe.prior == "learned":
            self.layers = {**self.layers, **risk.encoder_layers(*shape, name="prior")}
        self.theta: Flat = np.zeros(size(self.layers), np.float32)
        self.moment1, self.moment2 = np.zeros_like(self.theta), np.zeros_like(self.theta)
        self.updates = 0
        self.mu: Flat = np.zeros((1, recipe.z_dim), np.float32)
        self.sigma: Flat = np.ones((1, recipe.z_dim), np.float32)

    def train(self, batches: list[Batch], rng: np.random.Generator) -> dict[str, float]:
        """Gradient steps on ``batches`` (oldest first, the new one last); the last step's losses come back."""
        import torch

        recipe = self.recipe
        if self.updates == 0:
            self.theta = initial(self.layers, rng)
        found: dict[str, float] = {}
        for _ in range(recipe.updates_per_step):
            theta = torch.from_numpy(self.theta).requires_grad_()
            error, kl, q = self._losses(unflatten(theta, self.layers), batches, rng)
            (gradient,) = torch.autograd.grad(error + recipe.beta * kl, theta)
            self.updates += 1
            adam(self.theta, gradient.numpy(), self.moment1, self.moment2, self.updates, recipe.lr)
            if recipe.prior_update == "per_grad_step":
                self._keep(q)
            found = {"loss": error.item(), "kl": kl.item()}
        if recipe.prior_update == "per_train_step":
            with torch.no_grad():
                self._keep(self._encode(self._weights(), self._context(batches)))
        return found

    def draws(self, batches: list[Batch], n: int, rng: np.random.Generator) -> Flat:
        """Latents float32 [n, 1, Z] of the present policy, judged by the newest of ``batches``."""
        mu, sigma = self.belief(batches)
        return mu + sigma * rng.standard_normal((n, *mu.shape), np.float32)

    def belief(self, batches: list[Batch]) -> tuple[Flat, Flat]:
        """Mean and deviation of the latent, each [1, Z]: the learned prior's, or q of the newest batch."""
        import torch

        learned = self.recipe.prior == "learned"
        with torch.no_grad():
            told = batches[-1:] if learned else self._context(batches)
            mu, sigma = self._encode(self._weights(), told, "prior" if learned else "encoder")
        return mu.numpy(), sigma.numpy()

    def outputs(self, x: NDArray[np.float32], z: Flat) -> Flat:
        """The decoder's outputs float32 [S, R] for rows x [R, D] and latents z [S, 1, Z]."""
        import torch

        found = np.empty((len(z), len(x)), np.float32)
        step = max(1, CHUNK // len(z))
        with torch.no_grad():
            weights, latents = self._weights(), torch.from_numpy(z)
            for at in range(0, len(x), step):
                rows = torch.from_numpy(x[at : at + step])
                found[:, at : at + step] = risk.decode(weights, rows, latents).numpy()
        return found

    def _losses(
        self, w: risk.Weights, batches: list[Batch], rng: np.random.Generator
    ) -> tuple[Tensor, Tensor, tuple[Tensor, Tensor]]:
        """Reconstruction, KL and q."""
        import torch

        recipe = self.recipe
        prior = torch.from_numpy(self.mu), torch.from_numpy(self.sigma)
        own = recipe.prior == "learned"
        if own and len(batches) > 1:
            prior, batches = self._encode(w, batches[:-1], "prior"), batches[1:]
        q = self._encode(w, batches if own else self._context(batches))
        noise = rng.standard_normal((recipe.n_z_train, *q[0].shape), np.float32)
        z = q[0] + q[1] * torch.from_numpy(noise)
        if own:
            z = z[:, torch.from_numpy(np.repeat(np.arange(len(batches)), [len(b.y) for b in batches]))]
        x, y, trials = (torch.from_numpy(np.concatenate(arrays)) for arrays in zip(*batches, strict=True))
        error = risk.reconstruction(risk.decode(w, x, z), y, trials, recipe.likelihood, recipe.reduction)
        return error, risk.divergence(*q, *prior), q

    def _context(self, batches: list[Batch]) -> list[Batch]:
        """The rows from which the present z is inferred, as one batch."""
        if self.recipe.context == "last_batch":
            return batches[-1:]
        x, y, trials = (np.concatenate(arrays) for arrays in zip(*batches, strict=True))
        return [Batch(x, y, trials)]

    def _encode(self, w: risk.Weights, batches: list[Batch], name: str = "encoder") -> tuple[Tensor, Tensor]:
        """Mean and deviation of the latent of each batch [C, Z]."""
        import torch

        rows = [len(b.y) for b in batches]
        context = np.repeat(np.arange(len(batches)), rows)
        pooling = (context == np.arange(len(batches))[:, None]) / np.array(rows)[:, None]
        x, y = (torch.from_numpy(np.concatenate(arrays)) for arrays in ([b.x for b in batches], [b.y for b in batches]))
        return risk.encode(w, x, y, torch.from_numpy(pooling.astype(np.float32)), name)

    def _weights(self) -> risk.Weights:
        import torch

        return unflatten(torch.from_numpy(self.theta), self.layers)

    def _keep(self, q: tuple[Tensor, Tensor]) -> None:
        """The prior of the next step; the learned prior reads batches instead, so it stays N(0, I) there."""
        if self.recipe.prior == "streaming":
            self.mu, self.sigma = (value.detach().numpy().copy() for value in q)
