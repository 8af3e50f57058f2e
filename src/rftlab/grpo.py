"""Group-relative policy optimisation as pure functions of tensors.

Source: GRPO (DeepSeekMath, arXiv:2402.03300), Dr. GRPO (arXiv:2503.20783), truncated importance weights for engines
whose probabilities differ from the trainer's: by token (Yao et al., "Your Efficient RL Framework Secretly Brings You
Off-Policy RL Training", 2025) and by sequence (Liu et al., "When Speed Kills Stability: Demystifying RL Collapse from
the Inference-Training Mismatch", 2025).

Three probabilities of a token meet in the loss, and two quotients:

- pi_engine: the engine's that sampled it. pi_old: the trainer's of the same version, before the step. pi: the
  trainer's now.
- pi_old / pi_engine is the importance weight: two programs, one policy. It is truncated and has no gradient.
- pi / pi_old is the ratio: one program, a policy that moves. It is clipped and carries the gradient.
- A carried rollout was sampled by an older version, whose trainer log-probs are gone: pi_engine stands for its pi_old.

What differs here, so that samplers can be compared:

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


def importance(old_logp: Tensor, engine_logp: Tensor, row: Tensor, *, form: str) -> Tensor:
    """Importance weights float32 [M] of the tokens, before the cap.

    Args:
        old_logp: float32 [M], the trainer's log-probs at step start, no gradient; equal to ``engine_logp`` where a
            rollout is carried, whose weight is 1.
        engine_logp: float32 [M], the sampling engine's.
        row: int64 [M], the rollout of each token, in [0, B).
        form: ``token``: pi_old / pi_engine of the token: low variance, biased, as a token's weight leaves out its
            prefix. ``sequence``: the product of these over the rollout, at each of its tokens: exact before the cap,
            and the longer the rollout the larger its variance. ``none``: not used in the loss, measured by token.
    """
    log_weight = old_logp - engine_logp
    if form == "sequence":
        total = log_weight.new_zeros(len(row)).index_add_(0, row, log_weight)  # at most as many rollouts as tokens
        log_weight = total.index_select(0, row)
    return log_weight.exp()


@dataclass(frozen=True)
class TokenLoss:
    """Per-token quantities [M] of a micro-batch, M = all its completion tokens."""

    loss: Tensor
    clipped_low: Tensor
    clipped_high: Tensor
    kl: Tensor


def token_loss(
    logp: Tensor,
    old_logp: Tensor,
    advantage: Tensor,
    weight: Tensor,
    *,
    clip_low: float,
    clip_high: float,
    ref_logp: Tensor | None = None,
    kl: float = 0.0,
) -> TokenLoss:
    """The clipped surrogate per token, not yet multiplied by the rollout's weight or summed.

    Args:
        logp: float32 [M], log pi(token), with gradient.
        old_logp: float32 [M], the trainer's log-prob at step start, no gradient; of a carried rollout the engine's.
        advantage: float32 [M], the rollout's advantage at each of its tokens.
        weight: float32 [M], the truncated importance weight.
        ref_logp: float32 [M], log-prob of the base model (adapter off); needed when ``kl`` > 0.
    """
    ratio = torch.exp(logp - old_logp)
    clipped = ratio.clamp(1 - clip_low, 1 + clip_high)
    loss = -weight * torch.minimum(ratio * advantage, clipped * advantage)
    penalty = torch.zeros_like(logp)
    if ref_logp is not None:
        gap = ref_logp - logp
        penalty = torch.exp(gap) - gap - 1  # k3, Schulman, "Approximating KL divergence" (2020): unbiased, >= 0
        loss = loss + kl * penalty
    return TokenLoss(
        loss=loss,
        clipped_low=(ratio < 1 - clip_low) & (advantage < 0),
        clipped_high=(ratio > 1 + clip_high) & (advantage > 0),
        kl=penalty.detach(),
    )


def micro_batches(lengths: list[int], max_tokens: int, apart: int) -> list[list[int]]:
    """Rows in batches of at most ``max_tokens`` tokens, padding included; similar lengths together.

    A row longer than ``max_tokens`` gets a batch of its own; rows longer than ``apart`` are beside no shorter ones. The
    split changes memory, never the sum of the losses.
    """
    batches: list[list[int]] = []
    for row in sorted(range(len(lengths)), key=lambda i: (lengths[i], i)):
        # lengths rise, so the newest row is the longest of its batch
        alike = batches and not lengths[batches[-1][0]] <= apart < lengths[row]
        if alike and lengths[row] * (len(batches[-1]) + 1) <= max_tokens:
            batches[-1].append(row)
        else:
            batches.append([row])
    return batches
