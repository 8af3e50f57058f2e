"""Seconds per training step against TRL's GRPOTrainer: `python scripts/bench_train.py`, where both are installed.

Both train the same weights with the same LoRA on the same prompts in the same order, with the same rewards, lengths,
learning rate and threads: one optimiser step on each batch. Every run is a process of its own; the runs alternate, so
that a busy machine disturbs all alike; the first and the last step of each are dropped. TRL also runs with its batch in
several micro-batches, and the ratio is against the fastest of its settings. A step is everything from one end of a step
to the next. Written are a table and its numbers: `results/cpu/race_NAME.{md,json}`, `results/gpu/` on a GPU.

    python scripts/bench_train.py                                          # the bundled model, 32 x 8, one thread
    python scripts/bench_train.py threads=2 --name tiny-2-threads
    python scripts/bench_train.py --reward coin                            # no dead groups: nothing to skip
    python scripts/bench_train.py model.path=random:qwen2.5-0.5b budget.prompts=64 model.max_new_tokens=512 \\
        algo.lr=1e-6 --reward coin --micro-batches 8 16 32 --engine vllm --name qwen2.5-0.5b-vllm

Random weights hardly ever stop by themselves, so both arms' completions are as long as allowed. A setting of TRL that
fails, as a batch in too few parts for the memory does, is left out and named.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
PACKAGES = ("torch", "transformers", "peft", "trl", "numpy")
QUIET = {
    "OMP_WAIT_POLICY": "PASSIVE",
    "TOKENIZERS_PARALLELISM": "false",
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # --engine vllm: in the process, for both arms
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    "VLLM_CPU_KVCACHE_SPACE": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
}
PHASES = ("ask", "generate", "verify", "update", "sync")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=8, help="of each run; two of them are dropped")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each arm")
    parser.add_argument("--engine", choices=("hf", "vllm"), default="hf", help="of both arms")
    parser.add_argument("--reward", choices=("task", "coin"), default="task", help="coin: half of all texts pass")
    parser.add_argument("--micro-batches", type=int, nargs="+", default=[1, 4], help="that TRL's batch is split into")
    parser.add_argument("--name", default="tiny", help="of the files")
    parser.add_argument("--out", type=Path, help="folder; default results/cpu or results/gpu")
    parser.add_argument("overrides", nargs="*", help="of rftlab train, like model=tiny-strong threads=2")
    args = parser.parse_args()
    if args.steps < 3:
        parser.error("--steps: at least 3, as the first and the last are dropped")
    found = race(args)
    out = args.out or HERE.parent / "results" / ("cpu" if found["device"] == "CPU" else "gpu")
    out.mkdir(parents=True, exist_ok=True)
    (out / f"race_{args.name}.json").write_text(json.dumps(found, indent=1) + "\n")
    (out / f"race_{args.name}.md").write_text(table(found))
    print(table(found))


def race(args: argparse.Namespace) -> dict[str, Any]:
    """Runs the arms in turn; their steps, and what they ran on."""
    spec: dict[str, Any] = {k: getattr(args, k) for k in ("overrides", "steps", "engine", "reward")}
    settings = {"rftlab": {}} | {f"TRL, batch / {n}": {"micro_batches": n} for n in args.micro_batches}
    arms: dict[str, list[dict[str, Any]]] = {name: [] for name in settings}
    left_out: dict[str, str] = {}
    for _ in range(args.repeats):
        for arm in list(arms):  # rftlab first: its sampler says which tasks
            try:
                done = run("rftlab" if arm == "rftlab" else "trl", spec | settings[arm])
            except ArmFailed as error:
                print(f"{arm} failed: {error}", flush=True)
                left_out[arm] = str(error).strip().splitlines()[-1]
                del arms[arm]
                if arm == "rftlab" or len(arms) == 1:
                    raise SystemExit(1) from None
                continue
            arms[arm].append(done)
            if arm == "rftlab":
                spec["tasks"] = [step["tasks"] for step in done["steps"]]
            print(f"{arm:<20} {median(step['wall'] for step in kept(done)):.3f} s a step", flush=True)
    return {
        "device": arms["rftlab"][0]["device"],
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "threads": arms["rftlab"][0]["threads"],
        "versions": {name: version(name) for name in PACKAGES},
        "spec": {k: v for k, v in spec.items() if k != "tasks"},
        "left_out": left_out,
        "arms": arms,
    }


class ArmFailed(Exception):
    """A run ended with an error, for example a whole batch that does not fit; the text is the end of what it said."""


def run(arm: str, spec: dict[str, Any]) -> dict[str, Any]:
    """One run in a process of its own."""
    threads = next((o.split("=")[1] for o in spec["overrides"] if o.startswith("threads=")), "1")
    with tempfile.TemporaryDirectory() as folder:
        spec_file, out = Path(folder, "spec.json"), Path(folder, "out.json")
        spec_file.write_text(json.dumps(spec))
        command = [sys.executable, str(HERE / "race_arm.py"), arm, str(spec_file), str(out)]
        env = os.environ | QUIET | {"OMP_NUM_THREADS": threads}
        done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=folder)
        if done.returncode:
            raise ArmFailed(done.stderr[-4000:])
        return json.loads(out.read_text())


def kept(run: dict[str, Any]) -> list[dict[str, Any]]:
    """The steps that count."""
    return run["steps"][1:-1]


def ratios(found: dict[str, Any], what: str, rival: str) -> list[float]:
    """Per repeat: rftlab's median step over the rival's; ``token`` is the wall clock by tokens generated."""

    def value(run: dict[str, Any]) -> float:
        return median(s["wall"] / s["tokens"] if what == "token" else s[what] for s in kept(run))

    return [value(a) / value(b) for a, b in zip(found["arms"]["rftlab"], found["arms"][rival], strict=True)]


def fastest(found: dict[str, Any]) -> str:
    """TRL's best setting here."""
    rivals = [arm for arm in found["arms"] if arm != "rftlab"]
    return min(rivals, key=lambda arm: median(s["wall"] for run in found["arms"][arm] for s in kept(run)))


SETTINGS = """\
Both arms: the same base weights, LoRA, prompt tokens, tasks in the same order, rewards, new tokens at most,
temperature, AdamW and learning rate, threads; one optimiser step on the whole batch; no KL, no checkpoints, no
evaluation, no W&B.
TRL: `loss_type=grpo` (mean over each completion, as rftlab's `sequence`), `scale_rewards=group`, `beta=0`,
`num_iterations=1`, `report_to=none`, `logging_strategy=no`; its batch whole or split as named, generation whole.
rftlab leaves groups without an advantage out of the update ("trained"), TRL computes them. Whoever stops early is
shorter: where lengths differ, read the ratio per token.
"""


def table(found: dict[str, Any]) -> str:
    """The race as Markdown."""
    spec, rival = found["spec"], fastest(found)
    head = ["arm", "step s", *(f"{p} s" for p in PHASES), "CPU s", "tokens", "tokens/s", "trained", "passed", "MiB"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for arm, runs in found["arms"].items():
        steps = [s for run in runs for s in kept(run)]
        mid = {k: median(s.get(k, 0.0) for s in steps) for k in (*PHASES, "wall", "cpu", "tokens", "trained", "passed")}
        rate = median(s["tokens"] / s["wall"] for s in steps)
        memory = max(run.get("cuda_mib", run["rss_mib"]) for run in runs)
        cells = [arm, f"{mid['wall']:.3f}", *(f"{mid[p]:.3f}" for p in PHASES), f"{mid['cpu']:.3f}"]
        cells += [f"{mid['tokens']:.0f}", f"{rate:.0f}", f"{mid['trained']:.0f}"]
        cells += [f"{mid['passed']:.2f}", f"{memory:.0f}"]
        lines.append(f"| {' | '.join(cells)} |")
    said = []
    for what, name in (("wall", "step"), ("token", "step per token generated"), ("cpu", "processor time")):
        r = ratios(found, what, rival)
        said.append(f"{name} {median(r):.2f} ({min(r):.2f} to {max(r):.2f})")
    evaluation = median(run["eval_seconds"] for run in found["arms"]["rftlab"])
    overrides = " ".join(spec["overrides"]) or "no overrides"
    return "\n".join(
        [
            f"# rftlab against TRL: {overrides}, engine={spec['engine']}, reward={spec['reward']}",
            "",
            f"{found['device']} ({found['machine']}), {found['threads']} thread(s); "
            + ", ".join(f"{k} {v}" for k, v in found["versions"].items())
            + f". Medians of {len(found['arms']['rftlab'])} x {spec['steps'] - 2} steps, runs alternating.",
            "",
            SETTINGS,
            *lines,
            "",
            f"rftlab / TRL ({rival}), medians over repeats (and their range): {'; '.join(said)}.",
            f"An evaluation of 64 completions takes rftlab {evaluation:.2f} s.",
            *(f"{arm} failed: {why}" for arm, why in found["left_out"].items()),
            "",
        ]
    )


if __name__ == "__main__":
    main()
