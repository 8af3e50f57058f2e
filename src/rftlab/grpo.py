"""Group-relative policy optimisation as pure functions of tensors.

Source: GRPO (DeepSeekMath, arXiv:2402.03300), Dr. GRPO (arXiv:2503.20783), truncated importance weights for engines
whose probabilities differ from the trainer's (Yao et al., "Your efficient RL framework secretly brings you off-policy
RL training", 2025). What differs here, so that samplers can be compared:

- The denominator is fixed: 1 / (P G), whatever number of groups or rollouts a sampler delivers. A step with fewer live
  groups has a smaller gradient. Under SGD that is a smaller step; AdamW rescales a constant share away and sees only
  its changes from step to step.
- A group of n rollouts weighs G / n per rollout: every group has the same say, however many rollouts it got, unless the
  sampler gives groups a weight.
- The standard deviation is the population's, and a given baseline replaces the mean (then nothing is divided).
- No entropy bonus, no reward shaping, no length penalty, no filtering: filtering is the sampler's business.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from rftlab.core import Float

STD_EPS = 1e-6


def advantages(score: Float, *, scale: str, baseline: float | None = None) -> Float:
    """Advantages float64 [k] of one group's rewards [k].

    Args:
        score: float64 [k], rewards of the rollouts that are trained on.
        scale: ``group_std``: (r - mean) / (std + 1e-6) with the population std; ``group_mean``: r - mean.
        baseline: given: r - baseline, whatever ``scale`` says.
    """
    if baseline is not None:
        return score - baseline
    centred = score - score.mean()
    if not np.any(np.abs(centred) > 1e-12):
        return np.zeros_like(score)  # not mean's rounding error divided by the epsilon
    return centred / (score.std() + STD_EPS) if scale == "group_std" else centred


def rollout_weight(
    *, length: int, picked: int, group_size: int, target_groups: int, loss: str, mean_tokens: float, max_new_tokens: int
) -> float:
    """Factor of a rollout's summed token losses in the batch loss.

    loss = 1/(P G) sum_groups (G / n_g) sum_i A_i l_i; with l_i = (sum over tokens) / D, D being the rollout's own
    length (``sequence``), the mean length of all rollouts generated this step (``token``) or the longest allowed
    (``dr_grpo``). So the factor is 1 / (P n_g D).
    """
    divisor = {"sequence": float(length), "token": mean_tokens, "dr_grpo": float(max_new_tokens)}[loss]
    return (group_size / picked) / (target_groups * group_size) / divisor


@dataclass(frozen=True)
class TokenLoss:
    """Per-token quantities [M] of a micro-batch, M = all its completion tokens."""

    loss: Tensor
    is_weight: Tensor
    """pi_old / pi_engine, before the cap."""
    clipped_low: Tensor
    clipped_high: Tensor
    kl: Tensor


def token_loss(
    logp: Tensor,
    old_logp: Tensor,
    engine_logp: Tensor,
    advantage: Tensor,
    *,
    fresh: Tensor,
    clip_low: float,
    clip_high: float,
    is_cap: float,
    ref_logp: Tensor | None = None,
    kl: float = 0.0,
) -> TokenLoss:
    """The clipped surrogate per token, not yet weighted or summed.

    Args:
        logp: float32 [M], log pi(token), with gradient.
        old_logp: float32 [M], the trainer's log-prob at step start, no gradient.
        engine_logp: float32 [M], the sampling engine's log-prob.
        advantage: float32 [M], the rollout's advantage at each of its tokens.
        fresh: bool [M], sampled by the present version. Carried rollouts have no trainer log-prob of their time: the
            engine's is their pi_old, and their importance weight is 1.
        ref_logp: float32 [M], log-prob of the base model (adapter off); needed when ``kl`` > 0.
    """
    old = torch.where(fresh, old_logp, engine_logp)
    weight = torch.exp(old - engine_logp)
    ratio = torch.exp(logp - old)
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high)
    loss = -weight.clamp(max=is_cap) * torch.minimum(ratio * advantage, clipped * advantage)
    penalty = torch.zeros_like(logp)
    if ref_logp is not None:
        gap = ref_logp - logp
        penalty = torch.exp(gap) - gap - 1  # k3, Schulman, "Approximating KL divergence" (2020): unbiased, >= 0
        loss = loss + kl * penalty
    return TokenLoss(
        loss=loss,
        is_weight=weight,
        clipped_low=(ratio < 1 - clip_low) & (advantage < 0),
        clipped_high=(ratio > 1 + clip_high) & (advantage > 0),
        kl=penalty.detach(),
    )


def micro_batches(lengths: list[int], max_tokens: int) -> list[list[int]]:
    """Rows in batches of at most ``max_tokens`` tokens, padding included; similar lengths together.

    A row longer than ``max_tokens`` gets a batch of its own. The split changes memory, never the sum of the losses.
    """
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        # lengths rise, so the newest row is the longest of its batch
        if batches and lengths[row] * (len(batches[-1]) + 1) <= max_tokens:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches
