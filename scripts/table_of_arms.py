"""Accuracy of several arms at equal rollouts, as a Markdown table: `python scripts/table_of_arms.py outputs/first`.

An arm is the runs whose sampler and `algo` say the same; its seeds are the repeats. Accuracy is read at the last
evaluation; the interval is Student's t over seeds, of the accuracy itself and of the paired difference to `uniform`.
With three seeds such an interval is wide: it is what three seeds can say. The last two columns are the agreement of the
sampler's final belief with the fixed panel.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Collection
from pathlib import Path

import numpy as np
from omegaconf import OmegaConf

from rftlab.config import compose, keys
from rftlab.tracking import read_jsonl

T_95 = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776, 6: 2.571, 7: 2.447, 8: 2.365, 9: 2.306, 10: 2.262}
"""Two-sided 95 % quantiles of Student's t by the number of seeds (degrees of freedom + 1)."""


def interval(values: np.ndarray) -> str:
    """Mean and half-width of the 95 % interval."""
    if len(values) < 2:
        return f"{values.mean():.3f}"
    half = T_95[len(values)] * values.std(ddof=1) / np.sqrt(len(values))
    return f"{values.mean():.3f} ± {half:.3f}"


def label(run: Path) -> str:
    """The sampler's name, and what differs from its preset and from the default of ``algo``."""
    cfg = OmegaConf.load(run / "config.yaml")
    plain = compose([f"sampler={cfg.sampler.name}"])
    found = [f"{key}={OmegaConf.select(cfg, key)}" for key in keys(cfg) if key.startswith(("sampler.", "algo."))]
    known = {f"{key}={OmegaConf.select(plain, key)}" for key in keys(plain)}
    other = [text for text in found if text not in known and "{" not in text]
    return ", ".join([cfg.sampler.name, *other])


def belief(runs: Collection[list[dict]], score: str) -> str:
    """Mean over seeds of a score of the last panel; a dash where the sampler believes nothing."""
    found = [rows[-1].get(f"panel/{score}") for rows in runs]
    return f"{np.mean([v for v in found if v is not None]):.2f}" if any(v is not None for v in found) else "–"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment", type=Path, help="a folder like outputs/first")
    arms: dict[str, dict[str, list[dict]]] = {}
    for run in sorted(parser.parse_args().experiment.glob("*/*/seed*")):
        if json.loads((run / "status.json").read_text())["state"] == "done":
            rows = read_jsonl(run / "metrics.jsonl")
            arms.setdefault(label(run), {})[run.name] = rows
    end = {arm: {seed: rows[-1]["eval/accuracy"] for seed, rows in runs.items()} for arm, runs in arms.items()}
    control = "uniform"
    head = "sampler seeds rollouts steps accuracy minus_uniform ETR yield panel_rank panel_MAE"
    print("| " + " | ".join(head.split()).replace("_", " ") + " |")
    print("|---" * 10 + "|")
    for arm in sorted(arms, key=lambda a: -np.mean(list(end[a].values()))):
        runs = arms[arm].values()
        both = sorted(set(end[arm]) & set(end[control]))
        difference = np.array([end[arm][seed] - end[control][seed] for seed in both])
        mean = {
            key: np.mean([np.mean([row[key] for row in rows[1:]]) for rows in runs])
            for key in ("group/etr", "group/yield")
        }
        last = {key: np.mean([rows[-1][key] for rows in runs]) for key in ("ledger/rollouts", "step")}
        print(
            f"| {arm} | {len(runs)} | {last['ledger/rollouts']:,.0f} | {last['step']:.0f} "
            f"| {interval(np.array(list(end[arm].values())))} | {'–' if arm == control else interval(difference)} "
            f"| {mean['group/etr']:.2f} | {mean['group/yield']:.2f} "
            f"| {belief(runs, 'spearman')} | {belief(runs, 'mae')} |"
        )


if __name__ == "__main__":
    main()
