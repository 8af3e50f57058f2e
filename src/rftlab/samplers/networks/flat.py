"""All parameters of a network in one flat float32 array, and Adam on it: what a checkpoint holds as it is.

torch is imported when a network is used, not when this file is: listing samplers must not cost its two seconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

Flat = NDArray[np.float32]
Layers = Mapping[str, tuple[int, int]]
"""Linear layers by name: (outputs, inputs)."""

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
"""Of Adam; torch's own defaults."""


def size(layers: Layers) -> int:
    """Number of parameters, biases included."""
    return sum(outputs * (inputs + 1) for outputs, inputs in layers.values())


def initial(layers: Layers, rng: np.random.Generator) -> Flat:
    """Fresh parameters, each uniform in +-1/sqrt(inputs): the law of ``torch.nn.Linear``."""
    drawn = [rng.uniform(-1, 1, outputs * (inputs + 1)) / np.sqrt(inputs) for outputs, inputs in layers.values()]
    return np.concatenate(drawn).astype(np.float32)


def unflatten(theta: Tensor, layers: Layers) -> dict[str, tuple[Tensor, Tensor]]:
    """Views (weight, bias) of every layer; gradients flow back into ``theta``."""
    sizes = [k for outputs, inputs in layers.values() for k in (outputs * inputs, outputs)]
    pieces = iter(theta.split(sizes))
    return {name: (next(pieces).view(shape), next(pieces)) for name, shape in layers.items()}


def adam(theta: Flat, gradient: Flat, moment1: Flat, moment2: Flat, step: int, lr: float) -> None:
    """The ``step``-th step of Adam (the first is 1), in place on all but the gradient."""
    moment1 += (1 - BETA1) * (gradient - moment1)
    moment2 += (1 - BETA2) * (gradient * gradient - moment2)
    scale = np.float32(1 / np.sqrt(1 - BETA2**step))
    theta -= np.float32(lr / (1 - BETA1**step)) * moment1 / (np.sqrt(moment2) * scale + np.float32(EPS))
