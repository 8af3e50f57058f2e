"""What a task is worth, from draws of its believed pass rate."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rftlab.core import Float

Acquisition = Literal["target", "thompson_target", "hard_ucb", "expected_yield", "expected_var"]


def worth(
    rate: NDArray[np.float32], kind: Acquisition, *, target: float, gamma_0: float, gamma_1: float, group_size: int
) -> Float:
    """Scores float64 [K], higher is better, of pass rates drawn S times, ``rate`` [S, K].

    With m the mean over draws and sd their (unbiased) deviation, 0 for one draw:

        target            -(m - target)^2 + gamma_1 * sd
        thompson_target   -(rate of the first draw - target)^2
        hard_ucb          gamma_0 * (1 - m) + gamma_1 * sd
        expected_yield    mean of V(rate),  V(p) = 1 - p^G - (1 - p)^G, the chance of a group with variance
        expected_var      mean of rate * (1 - rate), plus gamma_1 * sd: alone it shuns what is unknown
    """
    drawn = rate.astype(np.float64)
    if kind == "thompson_target":
        return -((drawn[0] - target) ** 2)
    if kind == "expected_yield":
        p = drawn.clip(0, 1)
        return (1 - p**group_size - (1 - p) ** group_size).mean(0)
    m = drawn.mean(0)
    sd = drawn.std(0, ddof=1) if len(drawn) > 1 else np.zeros_like(m)
    if kind == "target":
        return -((m - target) ** 2) + gamma_1 * sd
    if kind == "expected_var":
        p = drawn.clip(0, 1)
        return (p * (1 - p)).mean(0) + gamma_1 * sd
    return gamma_0 * (1 - m) + gamma_1 * sd
