"""What a comparison of many long runs costs: `python scripts/bench_compare.py --runs 500 --steps 2000`.

Makes runs as a sweep would have left them (100 arms x 5 seeds, 40 evaluations of 500 tasks each), without a model: the
rows have the keys and the length of real ones, and an arm its own speed of learning. Then times `compare` without and
with the parquet copies, in a process of its own each, and says how much memory it took. The pages are not in the time.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml

SEEDS, EVALS, TASKS = 5, 40, 500
PROMPTS, GROUP = 32, 8


def config(arm: str, seed: int, steps: int) -> dict:
    return {
        "seed": seed,
        "name": "bench",
        "model": {"name": "none", "max_new_tokens": 24},
        "dataset": {"name": "made_up"},
        "sampler": {"name": arm, "selector": {"_target_": f"samplers.{arm}"}},
        "algo": {"lr": 5e-4},
        "budget": {"steps": steps, "prompts": PROMPTS, "group_size": GROUP, "rollouts": None},
        "eval": {"samples": 4},
    }


def row(step: int, rng: np.random.Generator) -> dict[str, float]:
    """The keys of a real row: about 80 numbers with all their digits."""
    out = {"step": float(step), "step/rollouts": float(PROMPTS * GROUP), "sampler/underfilled": 0.0}
    names = ["group/etr", "group/yield", "group/all_pass", "group/all_fail", "reward/mean", "completion/tokens_mean"]
    names += ["completion/truncated", "verdict/fault", *(f"time/{n}" for n in ("ask", "generate", "update", "sync"))]
    names += [f"train/{i}" for i in range(16)] + [f"sampler/{i}" for i in range(16)] + [f"sync/{i}" for i in range(8)]
    out |= dict(zip(names, rng.random(len(names)).tolist(), strict=True))
    spent = step * PROMPTS * GROUP
    return out | {"ledger/rollouts": spent, "ledger/tokens": 7 * spent, "ledger/seconds": step * 1.5}


def make_run(folder: Path, arm: int, seed: int, steps: int) -> None:
    rng = np.random.default_rng([arm, seed])
    path = folder / "none_made_up" / f"arm{arm:03d}-00000000" / f"seed{seed}"
    (path / "evals").mkdir(parents=True)
    name = "uniform" if arm == 0 else f"arm{arm:03d}"
    (path / "config.yaml").write_text(yaml.safe_dump(config(name, seed, steps)))
    (path / "run.json").write_text(json.dumps({"seed": seed, "pool": "p", "eval_pool": "e", "starts": []}))
    status = {"state": "done", "step": steps, "pid": 1, "host": "none", "heartbeat": 0.0}
    (path / "status.json").write_text(json.dumps(status))
    ease, marks = rng.normal(size=TASKS), set(np.linspace(0, steps, EVALS, dtype=int).tolist())
    lines = []
    for step in range(steps + 1):
        found = row(step, rng)
        if step in marks:
            skill = (1 + arm / 200) * step / steps + 0.1 * rng.normal()
            wins = rng.binomial(4, 1 / (1 + np.exp(-ease - skill)))
            found |= {"eval/accuracy": float(wins.mean() / 4), "eval/pass@1": float(wins.mean() / 4)}
            rows = [{"task": f"{i:016x}", "wins": int(w), "trials": 4, "tokens": 7.25} for i, w in enumerate(wins)]
            text = "".join(json.dumps(r) + "\n" for r in rows)
            (path / "evals" / f"step_{step:06d}.jsonl").write_text(text)
        lines.append(json.dumps(found) + "\n")
    (path / "metrics.jsonl").write_text("".join(lines))


CODE = """
import resource, sys, time
start = time.perf_counter()
from pathlib import Path
from rftlab.compare import compare
found = compare([Path(sys.argv[1])])
found.write(Path(sys.argv[1]))
used = resource.getrusage(resource.RUSAGE_SELF)
print(f"{time.perf_counter() - start:.1f} s, {used.ru_utime + used.ru_stime:.1f} s of processors, "
      f"{used.ru_maxrss / 2**20:.2f} GiB, {len(found.arms)} arms, {sum(len(a.runs) for a in found.arms)} runs")
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=500)
    parser.add_argument("--steps", type=int, default=2000)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        for number in range(chosen.runs):
            make_run(Path(folder), number // SEEDS, number % SEEDS, chosen.steps)
        size = sum(f.stat().st_size for f in Path(folder).rglob("*.jsonl"))
        print(f"made {chosen.runs} runs, {size / 2**30:.2f} GiB of JSON, in {time.perf_counter() - start:.0f} s")
        for what in ("first time", "again"):
            done = subprocess.run([sys.executable, "-c", CODE, folder], capture_output=True, text=True, check=True)
            print(f"{what}: {done.stdout.strip()}")


if __name__ == "__main__":
    main()
