"""The data of an update: the rollouts that move the policy, and the sums that become metrics."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from rftlab import grpo
from rftlab.core import Float, Group, Pick
from rftlab.prompts import Prompts

LOGIT_ELEMENTS = 1 << 26
"""Largest float32 logits [chunk, V] of an update, in elements; a micro-batch with more is projected in chunks."""


@dataclass(frozen=True)
class Row:
    """A rollout as the update sees it."""

    prompt: np.ndarray
    """int32 [Tp]"""
    tokens: np.ndarray
    """int32 [Tc]"""
    engine_logp: np.ndarray
    """float32 [Tc], of the engine that sampled it."""
    advantage: float
    weight: float
    """What its summed token losses are multiplied by (``grpo.rollout_weight``)."""
    fresh: bool
    """Sampled by the present version; False = carried from an earlier step."""

    def __len__(self) -> int:
        return len(self.prompt) + len(self.tokens)


def row_of(group: Group, i: int, prompts: Prompts, version: int, advantage: float = 0.0, weight: float = 0.0) -> Row:
    """Rollout ``i`` of a group."""
    c = group.completions[i]
    return Row(prompts.ids(group.task), c.tokens, c.logps, advantage, weight, c.version == version)


def rows_of(
    batch: Sequence[tuple[Group, Pick]],
    generated: Sequence[Group],
    *,
    prompts: Prompts,
    version: int,
    algo: Any,
    group_size: int,
    target_groups: int,
    max_new_tokens: int,
) -> tuple[list[Row], dict[int, float]]:
    """The rollouts that move the policy, and the mean absolute advantage by task.

    Without KL a zero advantage contributes nothing, so it costs no forward and no backward.
    """
    # all that this step generated; a batch of carried groups alone is measured by its own
    lengths = [len(c.tokens) for g in generated or [group for group, _ in batch] for c in g.completions]
    mean_weight = float(np.mean([pick.weight for _, pick in batch] or [1.0]))
    rows, abs_advantage = [], {}
    for group, pick in batch:
        score: Float = np.array([group.verdicts[i].score for i in pick.rollouts])
        advantage = grpo.advantages(score, scale=algo.advantage, baseline=pick.baseline)
        abs_advantage[pick.task] = float(np.abs(advantage).mean())
        for i, a in zip(pick.rollouts.tolist(), advantage.tolist(), strict=True):
            if a != 0 or algo.kl > 0:
                weight = grpo.rollout_weight(
                    length=len(group.completions[i].tokens),
                    picked=len(pick.rollouts),
                    group_size=group_size,
                    target_groups=target_groups,
                    loss=algo.loss,
                    mean_tokens=float(np.mean(lengths or [1])),
                    max_new_tokens=max_new_tokens,
                )
                rows.append(row_of(group, i, prompts, version, a, weight * pick.weight / mean_weight))
    return rows, abs_advantage


def canary_rows(generated: Sequence[Group], prompts: Prompts, version: int, count: int = 8) -> list[Row]:
    """A few rollouts of the present version."""
    rows = [row_of(group, 0, prompts, version) for group in generated if group.completions]
    return [row for row in rows if row.fresh][:count]


def project(head: Any, hidden: Tensor, targets: Tensor, temperature: float) -> Tensor:
    """Log-probs float32 [M] of ``targets`` from hidden states [M, H], never holding logits [M, V] of a large M."""

    def logp(h: Tensor, t: Tensor) -> Tensor:
        logits = head(h).float()
        return -torch.nn.functional.cross_entropy(
            logits if temperature == 1 else logits / temperature, t, reduction="none"
        )

    size = max(1, LOGIT_ELEMENTS // head.weight.shape[0])
    if len(targets) <= size:
        return logp(hidden, targets)
    chunks = zip(hidden.split(size), targets.split(size), strict=True)
    return torch.cat([checkpoint(logp, h, t, use_reentrant=False) for h, t in chunks])


class Totals:
    """Sums over the micro-batches of an update."""

    def __init__(self) -> None:
        self.loss = self.gap_sum = self.gap_max = self.grad_norm = self.weight_sum = self.weight_max = 0.0
        self.tokens = self.gap_tokens = self.skipped = 0
        self.low = self.high = self.kl = self.surprisal = 0.0
        self.broken = False
        """The trainer's own log-probs are not finite: then they say nothing of the engine."""

    @property
    def gap(self) -> float:
        """Mean |logp engine - logp trainer| over the tokens of the present version."""
        return self.gap_sum / max(1, self.gap_tokens)

    def add_gap(self, logp: Tensor, engine: Tensor, fresh: Tensor) -> None:
        """Trainer's and engine's log-probs [M]; carried tokens do not count."""
        self.broken = self.broken or not bool(torch.isfinite(logp).all())
        gap = (logp - engine).abs()[fresh]
        if len(gap):
            self.gap_sum += float(gap.sum())
            self.gap_max = max(self.gap_max, float(gap.max()))
            self.gap_tokens += len(gap)

    def add(self, out: grpo.TokenLoss, logp: Tensor) -> None:
        """The tokens of a micro-batch."""
        sums = torch.stack([out.is_weight, out.clipped_low.float(), out.clipped_high.float(), out.kl, -logp]).sum(1)
        weight, low, high, kl, surprisal = sums.tolist()
        self.tokens += len(logp)
        self.weight_sum += weight
        self.weight_max = max(self.weight_max, float(out.is_weight.max()))
        self.low, self.high, self.kl = self.low + low, self.high + high, self.kl + kl
        self.surprisal += surprisal

    def gap_metrics(self) -> dict[str, float]:
        return {"sync/logp_gap": self.gap, "sync/logp_gap_max": self.gap_max} if self.gap_tokens else {}

    def metrics(self, passes: int) -> dict[str, float]:
        """Means over tokens; the loss is the mean of ``passes`` optimiser steps."""
        n = max(1, self.tokens)
        return self.gap_metrics() | {
            "train/loss": self.loss / passes,
            "train/grad_norm": self.grad_norm,
            "train/skipped": float(self.skipped),
            "train/kl": self.kl / n,
            "train/clip_low": self.low / n,
            "train/clip_high": self.high / n,
            "train/entropy": self.surprisal / n,
            "sync/is_weight_mean": self.weight_sum / n,
            "sync/is_weight_max": self.weight_max,
        }
