"""Is the engine sampling from the policy that is trained? The bounds that stop a run when it is not."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from rftlab.update import Totals

MAX_LOGP_GAP = {torch.float32: 1e-3, torch.bfloat16: 0.03}
"""Largest tolerated mean |logp engine - logp trainer| by the dtype of the weights, in nats per token.

At temperature 1; a lower one raises it in proportion. What an engine does wrong shows once it has moved the log-probs
by more than that: at once in float32 (healthy gaps are about 1e-6); in bfloat16, where healthy gaps are about 5e-3 and
reach 2e-2 at high learning rates, a stale engine shows when the policy has moved on far enough.
"""


class CanaryError(RuntimeError):
    """The engine samples from a policy that is not the one trained."""


@dataclass(frozen=True)
class Canary:
    """The bounds of a run."""

    dtype: torch.dtype
    max_gap: float
    """Of the mean |logp engine - logp trainer| of each engine."""
    max_weight: float | None = None
    """Of the largest importance weight pi_old / pi_engine, before the cap; None = any."""

    @classmethod
    def of(cls, algo: Any, dtype: torch.dtype) -> Canary:
        """As the ``algo`` group says, or by the dtype of the weights."""
        # dividing logits by a low temperature magnifies their rounding
        by_dtype = MAX_LOGP_GAP[dtype] * max(1.0, 1.0 / algo.temperature)
        return cls(dtype, algo.max_logp_gap if algo.max_logp_gap is not None else by_dtype, algo.max_is_weight)

    def check(self, totals: Totals, version: int) -> None:
        """Raises ``CanaryError`` with the reason."""
        broken = totals.read()["broken"]
        gap, engine, tokens = totals.worst()
        if not gap <= self.max_gap and not broken:  # "not <=": also when the engine has no number
            name = f"engine {engine} (of several, from 0)" if len(totals.by_engine) > 1 else "the engine"
            raise CanaryError(
                f"{name} does not sample from the policy that is trained: mean |logp engine - logp trainer| is "
                f"{gap:.3g} nats a token over {tokens} tokens, wanted at most {self.max_gap:g} for "
                f"{self.dtype} (algo.max_logp_gap); policy version {version}"
            )
        largest = float(totals.maxes[1])
        if self.max_weight is not None and largest > self.max_weight and not broken:
            raise CanaryError(
                f"an importance weight pi_old / pi_engine is {largest:.3g}, wanted at most {self.max_weight:g} "
                f"(algo.max_is_weight); the mean |logp engine - logp trainer| is {gap:.3g} nats a token; "
                f"policy version {version}"
            )
