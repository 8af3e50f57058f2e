"""The data of an update: the rollouts that move the policy, and the sums that become metrics."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rftlab import grpo
from rftlab.core import Float, Group, Pick
from rftlab.prompts import Prompts
from rftlab.ranks import Alone


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
    engine: int = 0
    """Which of several engines sampled it."""

    def __len__(self) -> int:
        return len(self.prompt) + len(self.tokens)


def row_of(group: Group, i: int, prompts: Prompts, version: int, advantage: float = 0.0, weight: float = 0.0) -> Row:
    """Rollout ``i`` of a group."""
    c = group.completions[i]
    return Row(prompts.ids(group.task), c.tokens, c.logps, advantage, weight, c.version == version, c.engine)


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
) -> tuple[list[Row], dict[int, Float]]:
    """The rollouts that move the policy, and by task the advantages float64 [k] of all that were picked.

    Without KL a zero advantage contributes nothing, so it costs no forward and no backward.
    """
    # all that this step generated; a batch of carried groups alone is measured by its own
    lengths = [len(c.tokens) for g in generated or [group for group, _ in batch] for c in g.completions]
    mean_weight = float(np.mean([pick.weight for _, pick in batch] or [1.0]))
    rows, advantages = [], {}
    for group, pick in batch:
        score: Float = np.array([group.verdicts[i].score for i in pick.rollouts])
        advantage = grpo.advantages(score, scale=algo.advantage, baseline=pick.baseline)
        advantages[pick.task] = advantage
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
    return rows, advantages


def minibatches(rows: int, algo: Any, seed: tuple[int, ...]) -> list[list[int]]:
    """Positions of the rows of each optimiser step: epochs x minibatches."""
    passes = []
    for epoch in range(algo.epochs):
        order = np.arange(rows)
        if algo.minibatches > 1:
            order = np.random.default_rng((*seed, epoch)).permutation(rows)
        passes += [part.tolist() for part in np.array_split(order, algo.minibatches) if len(part)]
    return passes


def canary_rows(
    generated: Sequence[Group], prompts: Prompts, version: int, seen: Collection[int] = (), count: int = 8
) -> list[Row]:
    """A few rollouts of the present version by every engine but those ``seen``, each of another group."""
    rows: dict[int, list[Row]] = {}
    for group in generated:
        numbered = reversed([*enumerate(group.completions)])
        first = {c.engine: i for i, c in numbered if c.version == version and c.engine not in seen}
        for engine, i in first.items():
            rows.setdefault(engine, []).append(row_of(group, i, prompts, version))
    return [row for found in rows.values() for row in found[:count]]


def engines_of(rows: Sequence[Row]) -> int:
    """How many engines have to be told apart."""
    return 1 + max((row.engine for row in rows), default=0)


FEW = 32
"""Tokens of an engine on which a mean is judged at least: half precision is off by tenths of a nat now and then."""
SYNC = ("weight", "broken")
LOSS = ("loss", "tokens", "carried", "positions", "padding", "clip_low", "clip_high", "kl", "surprisal")
SUMS = (*SYNC, *LOSS)


class Totals:
    """Sums and maxima over the tokens of an update.

    They stay on the device until they are asked for: to read a number is to wait for all that was queued before it.

    Args:
        engines: those that sampled, numbered from 0; the same on all ranks.
    """

    def __init__(self, device: torch.device | str = "cpu", engines: int = 1) -> None:
        self.sums = torch.zeros(len(SUMS), dtype=torch.float64, device=device)
        self.by_engine = torch.zeros(engines, 2, dtype=torch.float64, device=device)
        """Tokens of the present version, and |logp engine - logp trainer| over them."""
        self.maxes = torch.zeros(2, device=device)
        """Of |logp engine - logp trainer| and of the importance weight."""
        self.grad_norm, self.steps, self.skipped = 0.0, 0, 0

    def reduce(self, ranks: Alone) -> None:
        """From one rank's share to all."""
        ranks.sum_(self.sums, self.by_engine)
        ranks.max_(self.maxes)

    def merge(self, later: Totals) -> None:
        """Takes in an optimiser step that followed."""
        self.sums, self.by_engine = self.sums + later.sums, self.by_engine + later.by_engine
        self.maxes = torch.maximum(self.maxes, later.maxes)
        self.grad_norm = later.grad_norm
        self.steps, self.skipped = self.steps + later.steps, self.skipped + later.skipped

    def add_sync(self, logp: Tensor, engine_logp: Tensor, weight: Tensor, fresh: Tensor, engine: Tensor) -> None:
        """Trainer's and engine's log-probs, importance weight, sampled now, by which engine: [M] each.

        Carried tokens are left out.
        Where the trainer's own log-probs are not finite (``broken``), they say nothing of the engine.
        """
        seen = torch.stack([(logp - engine_logp).abs(), weight]).where(fresh, 0.0)
        self._move_to(logp.device)
        self.sums[: len(SYNC)] += torch.stack([seen[1], (~torch.isfinite(logp)).float()]).sum(1)
        self.by_engine.index_add_(0, engine, torch.stack([fresh.float(), seen[0]], 1).double())
        self.maxes = torch.maximum(self.maxes, seen.amax(1))

    def add(self, out: grpo.TokenLoss, logp: Tensor, loss: Tensor, fresh: Tensor, positions: int, padding: int) -> None:
        """A micro-batch: its quantities by token, the log-probs at step start [M], its weighted loss [].

        ``positions`` are those of its forward, ``padding`` of them hold no token.
        """
        tokens = [x.float() for x in (~fresh, out.clipped_low, out.clipped_high, out.kl, -logp)]
        carried, *others = torch.stack(tokens).sum(1)
        counts = [loss.new_full((), n) for n in (len(logp), positions, padding)]
        self._move_to(logp.device)
        self.sums[len(SYNC) :] += torch.stack([loss.detach(), counts[0], carried, *counts[1:], *others])

    def _move_to(self, device: torch.device) -> None:
        self.sums, self.by_engine, self.maxes = (x.to(device) for x in (self.sums, self.by_engine, self.maxes))

    def read(self) -> dict[str, float]:
        """The sums by name."""
        return dict(zip(SUMS, self.sums.tolist(), strict=True))

    def worst(self) -> tuple[float, int, int]:
        """The largest mean |logp engine - logp trainer| of an engine, which one it is, over how many of its tokens.

        In the mean over several engines one that is wrong would be diluted. Below ``FEW`` tokens the missing ones count
        as equal, so that a rounding of one does not stop a run. To have no number is worst.
        """
        tokens, gap = self.by_engine.unbind(1)
        means = gap / tokens.clamp(min=FEW)
        engine = int(means.argmax())
        return float(means[engine]), engine, int(tokens[engine])

    def sync_metrics(self) -> dict[str, float]:
        """How far the engine is from the trainer; nothing when no token of the present version was seen."""
        (n, total), (gap, weight) = self.by_engine.sum(0).tolist(), self.maxes.tolist()
        if not n:
            return {}
        return {
            "sync/logp_gap": total / n,
            "sync/logp_gap_max": gap,
            "sync/is_weight_mean": self.read()["weight"] / n,
            "sync/is_weight_max": weight,
        }

    def metrics(self) -> dict[str, float]:
        """Means over tokens; the loss is the mean over optimiser steps."""
        sums = self.read()
        n = max(1.0, sums["tokens"])
        return self.sync_metrics() | {
            "train/loss": sums["loss"] / max(1, self.steps),
            "train/grad_norm": self.grad_norm,
            "train/skipped": float(self.skipped),
            "train/kl": sums["kl"] / n,
            "train/clip_low": sums["clip_low"] / n,
            "train/clip_high": sums["clip_high"] / n,
            "train/entropy": sums["surprisal"] / n,
            "train/padding": sums["padding"] / max(1.0, sums["positions"]),
            "sync/carried_share": sums["carried"] / n,
        }
