"""What a run has spent, by purpose and by phase."""

from __future__ import annotations

import numpy as np
import pandas as pd

from rftlab.terminal import PHASES

PURPOSES = (
    "Trained on, rejected and probes are charged to the run; evaluation, panel and references stand beside the ledger."
)


def rollouts_by_purpose(metrics: pd.DataFrame, groups: pd.DataFrame) -> dict[str, float]:
    """Rollouts: trained on, rejected (generated for training, not trained on in that step), probes, evaluation, panel,
    references. The first three add up to the ledger."""
    end = {key: _last(metrics, f"ledger/{key}") for key in ("rollouts", "eval_rollouts", "panel_rollouts")}
    end["reference_rollouts"] = _last(metrics, "ledger/reference_rollouts")
    if len(groups):
        probes = float(groups.loc[groups["purpose"] == "probe", "rollouts"].sum())
        trained = float(groups.loc[groups["trained"].astype(bool), "rollouts"].sum())
        parts = {"trained on": trained, "rejected": end["rollouts"] - trained - probes, "probes": probes}
    else:
        parts = {"training": end["rollouts"]}
    beside = {
        "evaluation": end["eval_rollouts"],
        "panel": end["panel_rollouts"],
        "references": end["reference_rollouts"],
    }
    return {key: max(0.0, value) for key, value in (parts | beside).items()}


def seconds_by_phase(metrics: pd.DataFrame) -> dict[str, float]:
    """Seconds of the whole run by phase, evaluation and saving among them."""
    keys = {phase: f"time/{phase}" for phase in PHASES}
    return {phase: float(np.nansum(metrics[key])) for phase, key in keys.items() if key in metrics}


def _last(metrics: pd.DataFrame, key: str) -> float:
    if key not in metrics:
        return 0.0
    values = metrics[key].dropna()
    return float(values.iloc[-1]) if len(values) else 0.0
