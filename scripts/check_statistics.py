"""Do the statistics hold? `nice -n 10 python scripts/check_statistics.py --out src/rftlab/assets/coverage.json`

By simulation, for 3, 5 and 10 pairs of seeds: how often the 95 % interval of the paired t test and that of the
percentile bootstrap hold the true difference, with normal seeds and mildly skewed ones (skewness 0.5, a gamma
distribution of shape 16); how often at least one of 7 identical arms is called better or worse than the baseline among
them, where every arm shares the baseline's luck; and how often a difference of the size that is said to be detectable
is found. The functions are those that draw the verdicts.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rftlab import stats
from rftlab.core import Float

SEEDS = (3, 5, 10)
SHAPE = 16.0
"""Of the gamma distribution; its skewness is 2 / sqrt(shape)."""
ARMS = 7
"""Identical arms, the baseline among them."""


def draw(kind: str, rng: np.random.Generator, size: tuple[int, ...]) -> Float:
    """Seeds with mean 0 and standard deviation 1."""
    if kind == "normal":
        return rng.normal(size=size)
    return (rng.gamma(SHAPE, size=size) - SHAPE) / np.sqrt(SHAPE)


def holds(found: stats.MeanInterval) -> bool:
    return found.low <= 0 <= found.high


def coverage(kind: str, seeds: int, repeats: int, rng: np.random.Generator) -> tuple[float, float]:
    """Share of repeats in which the interval of the paired t test, and of the bootstrap, holds the true mean."""
    samples = draw(kind, rng, (repeats, seeds))
    by_t = [holds(stats.t_interval(sample)) for sample in samples]
    by_bootstrap = [holds(stats.stratified_bootstrap(s[:, None], stats.mean, rng, 1000)) for s in samples]
    return float(np.mean(by_t)), float(np.mean(by_bootstrap))


def verdicts(arms: Float) -> list[str]:
    """Verdicts on arms [A, n] against the first of them."""
    differences = arms[1:] - arms[0]
    adjusted = stats.holm(np.array([stats.paired_p(d) for d in differences]))
    return [stats.verdict(float(d.mean()), float(p)) for d, p in zip(differences, adjusted, strict=True)]


def family_wise_error(kind: str, seeds: int, repeats: int, rng: np.random.Generator) -> float:
    """Share of repeats in which identical arms get any verdict; half of a run's luck is its seed's."""
    wrong = 0
    for _ in range(repeats):
        luck = draw(kind, rng, (1, seeds))
        wrong += set(verdicts(luck + draw(kind, rng, (ARMS, seeds)))) != {"not distinguishable"}
    return wrong / repeats


def power(kind: str, seeds: int, repeats: int, rng: np.random.Generator) -> float:
    """Share of repeats in which one arm's difference of the detectable size is found; the spread is known."""
    true = stats.detectable(1.0, seeds)
    samples = true + draw(kind, rng, (repeats, seeds))
    return float(np.mean([stats.paired_p(sample) < stats.ALPHA for sample in samples]))


def rows(repeats: int, seeds: Sequence[int] = SEEDS, kinds: Sequence[str] = ("normal", "skewed")) -> list[dict]:
    out = []
    for kind in kinds:
        for n in seeds:
            rng = np.random.default_rng([n, len(kind)])
            t, bootstrap = coverage(kind, n, repeats, rng)
            out.append(
                {
                    "seeds": n,
                    "kind": kind,
                    "t": round(t, 4),
                    "bootstrap": round(bootstrap, 4),
                    "family_wise_error": round(family_wise_error(kind, n, repeats, rng), 4),
                    "power": round(power(kind, n, repeats, rng), 4),
                }
            )
    return out


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20_000)
    parser.add_argument("--out", type=Path, help="a JSON file for the table")
    chosen = parser.parse_args()
    found = rows(chosen.repeats)
    head = list(found[0])
    print("| " + " | ".join(name.replace("_", " ") for name in head) + " |")
    print("|---" * len(head) + "|")
    for row in found:
        print("| " + " | ".join(str(row[name]) for name in head) + " |")
    if chosen.out:
        command = f"python scripts/check_statistics.py --repeats {chosen.repeats} --out src/rftlab/assets/coverage.json"
        lines = ",\n  ".join(json.dumps(row) for row in found)
        chosen.out.write_text(f'{{"command": {json.dumps(command)},\n "rows": [\n  {lines}\n ]}}\n', encoding="utf-8")


if __name__ == "__main__":
    main()
