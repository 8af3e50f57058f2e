"""The catalogue of every number that a run records: unit, direction, one sentence.

A key that is not here is not logged: ``check`` raises. Families whose members a sampler or a dataset names are in
``FAMILIES``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Direction = Literal["up", "down", "none"]


@dataclass(frozen=True, slots=True)
class Metric:
    """One key of ``metrics.jsonl``."""

    unit: str
    better: Direction
    """Which way is better; "none" = it depends, or it is a cost to be shown and not to be judged."""
    says: str


CATALOGUE: dict[str, Metric] = {
    "step": Metric("steps", "none", "Optimisation steps done when the row was written."),
    # what was spent: the axes of every comparison
    "ledger/rollouts": Metric("rollouts", "none", "Everything generated for training so far, rejects and probes too."),
    "ledger/tokens": Metric("tokens", "none", "Completion tokens of those rollouts."),
    "ledger/seconds": Metric("s", "none", "Wall-clock time of training so far, evaluation not counted."),
    "ledger/eval_rollouts": Metric("rollouts", "none", "Rollouts spent on evaluation so far."),
    "ledger/panel_rollouts": Metric("rollouts", "none", "Rollouts spent so far on the fixed panel of predictions."),
    "ledger/reference_rollouts": Metric("rollouts", "none", "What the reference pass rates in use have cost, once."),
    # outcomes of the rollouts of this step
    "reward/mean": Metric("reward", "up", "Mean reward of all valid rollouts generated in this step."),
    "reward/group_std": Metric("reward", "none", "Standard deviation of rewards within a group, mean over groups."),
    "group/etr": Metric("share", "up", "Effective task ratio: trained groups with a pass rate strictly in (0, 1)."),
    "group/yield": Metric("share", "up", "The same share over all groups generated, the rejected included."),
    "group/all_pass": Metric("share", "none", "Generated groups in which every valid rollout passed."),
    "group/all_fail": Metric("share", "none", "Generated groups in which no valid rollout passed."),
    "group/generated": Metric("groups", "none", "Groups generated for training in this step."),
    "group/trained": Metric("groups", "none", "Groups that reached the optimiser in this step."),
    "group/trained_carried": Metric("groups", "none", "Of these, carried from an earlier step."),
    "group/size_mean": Metric("rollouts", "none", "Mean number of rollouts of a trained group."),
    "completion/tokens_mean": Metric("tokens", "none", "Mean length of a completion."),
    "completion/tokens_max": Metric("tokens", "none", "Longest completion."),
    "completion/truncated": Metric("share", "down", "Completions cut at max_new_tokens."),
    "verdict/unparsable": Metric("share", "down", "Completions in which no answer was found; they score 0."),
    "verdict/timeout": Metric("share", "down", "Completions that exceeded their own limits; they score 0."),
    "verdict/fault": Metric("share", "down", "Rollouts lost because the grader or the machine failed; no trials."),
    # the step as a conversation
    "step/rounds": Metric("rounds", "none", "Rounds of ask and tell in this step."),
    "step/rollouts": Metric("rollouts", "none", "Rollouts generated for training in this step."),
    # the optimiser
    "train/loss": Metric("loss", "none", "Loss of the update; near 0 by construction when it is on-policy."),
    "train/grad_norm": Metric("norm", "none", "Gradient norm before clipping; of several optimiser steps the last's."),
    "train/lr": Metric("1", "none", "Learning rate of the update."),
    "train/kl": Metric("nat", "none", "k3 estimate of KL(policy || base) per token."),
    "train/clip_low": Metric("share", "none", "Tokens whose ratio was clipped from below."),
    "train/clip_high": Metric("share", "none", "Tokens whose ratio was clipped from above."),
    "train/entropy": Metric("nat", "none", "Mean surprisal of the sampled tokens: estimates the entropy."),
    "train/advantage_abs": Metric("1", "none", "Mean absolute advantage of the rollouts trained on."),
    "train/live_rollouts": Metric("rollouts", "up", "Rollouts with a non-zero advantage."),
    "train/padding": Metric("share", "down", "Positions of the update's forwards that hold no token."),
    "train/skipped": Metric("steps", "down", "Optimiser steps left out because loss or gradient was not finite."),
    # is the engine sampling from the policy that is trained?
    "sync/logp_gap": Metric("nat", "down", "The canary: mean |log-prob of engine - of trainer| on sampled tokens."),
    "sync/logp_gap_max": Metric("nat", "down", "The largest such difference."),
    "sync/is_weight_mean": Metric("1", "none", "Mean importance weight pi_old / pi_engine of a token, uncapped."),
    "sync/is_weight_max": Metric("1", "down", "Largest such weight, before the cap."),
    "sync/carried_share": Metric("share", "none", "Trained tokens of an older version: not in the rows above."),
    # does the sampler's belief hold? (only samplers that predict)
    "panel/spearman": Metric("1", "up", "Rank correlation of predicted and observed pass rates on the fixed panel."),
    "panel/mae": Metric("share", "down", "Mean |predicted - observed| rate there, the noise of rollouts included."),
    "panel/brier": Metric("1", "down", "Mean (predicted - passed)^2 there; p(1 - p) for a perfect belief."),
    "panel/calibration_error": Metric("share", "down", "Mean |predicted - observed| over tenths of predictions there."),
    "pred/spearman": Metric("1", "up", "The same on this step's groups: squeezed by selection, not for comparisons."),
    "pred/mae": Metric("share", "down", "Mean |predicted - observed| on this step's groups, belief before the step."),
    "pred/brier": Metric("1", "down", "Mean (predicted - passed)^2 on this step's groups, belief before the step."),
    "pred/calibration_error": Metric("share", "down", "Error over tenths of predictions on this step's groups."),
    # evaluation
    "eval/accuracy": Metric("share", "up", "Mean pass rate over the evaluation tasks (avg@k)."),
    "eval/accuracy_se": Metric("share", "down", "Its standard error over tasks."),
    "eval/tokens_mean": Metric("tokens", "none", "Mean length of an evaluation completion."),
    "eval/truncated": Metric("share", "down", "Evaluation completions cut at max_new_tokens."),
    "eval/unparsable": Metric("share", "down", "Evaluation completions in which no answer was found."),
    "eval/faults": Metric("share", "down", "Evaluation rollouts lost to a failure of grader or machine."),
    # where the time of this step went
    "time/ask": Metric("s", "down", "The sampler: choosing tasks and sizes."),
    "time/generate": Metric("s", "down", "Generation of the rollouts."),
    "time/verify": Metric("s", "down", "Grading."),
    "time/tell": Metric("s", "down", "The sampler: taking in outcomes."),
    "time/update": Metric("s", "down", "Forward, backward and optimiser."),
    "time/sync": Metric("s", "down", "Handing the new weights to the engine."),
    "time/eval": Metric("s", "down", "Evaluation, grading included."),
    "time/checkpoint": Metric("s", "down", "Saving."),
    "time/step": Metric("s", "down", "The training step from ask to sync; evaluation and saving apart."),
    "rate/tokens_per_second": Metric("tokens/s", "up", "Completion tokens per second of the training step."),
}

FAMILIES: dict[str, Metric] = {
    r"eval/pass@[1-9]\d*": Metric("share", "up", "Unbiased estimate of passing at least once in so many tries."),
    r"eval/by_category/.+": Metric("share", "up", "eval/accuracy over one category of the evaluation tasks."),
    r"eval/by_level/.+": Metric("share", "up", "eval/accuracy over one level of the evaluation tasks."),
    r"panel/tenth_0\.\d/(tasks|said|got)": Metric("", "none", "Reliability by tenths: tasks, predicted, observed."),
    r"sampler/.+": Metric("", "none", "A number that a part of the sampler reports of itself."),
}
"""Keys by pattern (the whole key must match)."""


def describe(key: str) -> Metric | None:
    """The entry of a key, or None when it is not in the catalogue."""
    if key in CATALOGUE:
        return CATALOGUE[key]
    return next((metric for pattern, metric in FAMILIES.items() if re.fullmatch(pattern, key)), None)


def check(keys: Iterable[str]) -> None:
    """Raises ``KeyError`` when a key (of a row, for instance) is not in the catalogue."""
    unknown = sorted(key for key in keys if describe(key) is None)
    if unknown:
        raise KeyError(f"not in the catalogue of metrics.py: {', '.join(unknown)}")
