"""The network of MPTS: a batch of (task, outcome) pairs to a Gaussian latent, and a task with a latent to its outcome.

With x a task's features, y its outcome and z the latent ("how good is the policy now, and at what"):

    encoder   r_i = f([x_i ; y_i]),  r = mean_i r_i,  h = relu(W r),  mu = W_mu h,  sigma = 0.1 + 0.9 sigmoid(W_s h)
    decoder   o(x, z) = g([x ; z]), a scalar

f has two hidden layers of ``hidden`` units, g three, all with relu; r is as wide as z. Axes: R rows, C contexts
(batches that are pooled to one latent each), S draws of z.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rftlab.samplers.networks.flat import Layers

if TYPE_CHECKING:
    from torch import Tensor

    Weights = dict[str, tuple[Tensor, Tensor]]


def decoder_layers(x: int, z: int, hidden: int) -> Layers:
    return {
        "decoder.0": (hidden, x + z),
        "decoder.1": (hidden, hidden),
        "decoder.2": (hidden, hidden),
        "decoder.out": (1, hidden),
    }


def encoder_layers(x: int, z: int, hidden: int, name: str = "encoder") -> Layers:
    return {
        f"{name}.0": (hidden, x + 1),
        f"{name}.1": (hidden, hidden),
        f"{name}.2": (z, hidden),
        f"{name}.pooled": (z, z),
        f"{name}.mu": (z, z),
        f"{name}.sigma": (z, z),
    }


def encode(w: Weights, x: Tensor, y: Tensor, pooling: Tensor, name: str = "encoder") -> tuple[Tensor, Tensor]:
    """Mean and deviation of the latent of every context, each [C, Z].

    Args:
        w: The layers.
        x: [R, D], features of the rows of all contexts.
        y: [R], their outcomes.
        pooling: [C, R], row c averages the rows of context c.
        name: Which encoder.
    """
    import torch
    from torch.nn.functional import linear

    r = torch.cat([x, y[:, None]], 1)
    r = linear(r, *w[f"{name}.0"]).relu()
    r = linear(r, *w[f"{name}.1"]).relu()
    r = pooling @ linear(r, *w[f"{name}.2"])
    h = linear(r, *w[f"{name}.pooled"]).relu()
    return linear(h, *w[f"{name}.mu"]), 0.1 + 0.9 * linear(h, *w[f"{name}.sigma"]).sigmoid()


def decode(w: Weights, x: Tensor, z: Tensor) -> Tensor:
    """Outputs [S, R] for the rows x [R, D] and latents z [S, R or 1, Z]."""
    from torch.nn.functional import linear

    weight, bias = w["decoder.0"]
    features = x.shape[1]
    # [x ; z] is never formed: x is shared by all draws, and z by all rows
    h = linear(x, weight[:, :features], bias) + linear(z, weight[:, features:])
    h = linear(h.relu_(), *w["decoder.1"]).relu_()
    h = linear(h, *w["decoder.2"]).relu_()
    return linear(h, *w["decoder.out"])[..., 0]


def reconstruction(output: Tensor, y: Tensor, trials: Tensor, likelihood: str, reduction: str) -> Tensor:
    """How badly the outputs [S, R] explain the outcomes y [R].

    ``mse`` is the squared error of the mean over draws; ``binomial`` the negative log-likelihood of the passes in
    ``trials`` [R], outputs being logits of pass rates, averaged over draws. ``reduction``: sum or mean over rows.
    """
    from torch.nn.functional import binary_cross_entropy_with_logits as cross_entropy

    if likelihood == "mse":
        error = (output.mean(0) - y) ** 2
    else:
        error = trials * cross_entropy(output, y.expand_as(output), reduction="none").mean(0)
    return error.sum() if reduction == "sum" else error.mean()


def divergence(mu: Tensor, sigma: Tensor, mu0: Tensor, sigma0: Tensor) -> Tensor:
    """KL(N(mu, sigma) || N(mu0, sigma0)), summed over the latent's dimensions, averaged over contexts [C, Z]."""
    terms = (sigma0 / sigma).log() + (sigma**2 + (mu - mu0) ** 2) / (2 * sigma0**2) - 0.5
    return terms.sum(-1).mean()
