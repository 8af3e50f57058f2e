"""What a run has spent. Everything generated for training counts: probes and rejected groups too."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Ledger:
    """Running totals; the names are the metrics' names under ``ledger/``."""

    rollouts: int = 0
    tokens: int = 0
    """Completion tokens generated for training."""
    seconds: float = 0.0
    """Of training steps; evaluation and saving not counted."""
    eval_rollouts: int = 0
    panel_rollouts: int = 0
    """Spent on the panel on which beliefs are measured."""
    reference_rollouts: int = 0
    """What the reference pass rates cost that this sampler reads."""

    def metrics(self) -> dict[str, float]:
        return {f"ledger/{k}": v for k, v in asdict(self).items()}

    def state_dict(self) -> dict[str, Any]:
        return asdict(self)


def total_rollouts(budget: Any) -> int:
    """The run's rollouts: ``budget.rollouts``, by default what the steps take with every group full.

    So that all samplers get the same number, and one that generates more in a step takes fewer steps. One that
    generates less ends by ``budget.steps``, unless that is raised.
    """
    return budget.rollouts if budget.rollouts is not None else budget.steps * budget.prompts * budget.group_size


def step_rollouts(budget: Any) -> int:
    """Cap of one step: ``budget.step_rollouts``, by default four full batches."""
    return budget.step_rollouts if budget.step_rollouts is not None else 4 * budget.prompts * budget.group_size


def spent(ledger: Ledger, step: int, budget: Any) -> str | None:
    """Which bound has ended the run, as its key; None while it goes on."""
    if step >= budget.steps:
        return "budget.steps"
    if total_rollouts(budget) - ledger.rollouts < budget.group_size:
        return "budget.rollouts"
    if budget.tokens is not None and ledger.tokens >= budget.tokens:
        return "budget.tokens"
    if budget.seconds is not None and ledger.seconds >= budget.seconds:
        return "budget.seconds"
    return None
