"""Every preset and every crossing of the shipped parts under the whole contract: `make conformance`.

Each sampler goes through runs on the simulated engine: a learner whose pass rates move with what the sampler chose, on
the bundled tasks, with conditions of every step (budget, rounds, faults) drawn from the seed, saved and restored at a
random step. Presets, and with --thorough crossings too, go through all scenarios of `rftlab.testing` before. The first
thing that breaks is named with the command that repeats it, the others are still run, and the exit status is 1.
"""

from __future__ import annotations

import argparse
import copy
import logging
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from rftlab.core import (
    Float,
    Group,
    InputError,
    Pick,
    Request,
    Status,
    StepContext,
    TaskPool,
    UpdateInfo,
    Verdict,
)
from rftlab.datasets.ladder import load
from rftlab.engines.base import Job, Sampling
from rftlab.engines.sim import SimEngine
from rftlab.listing import options
from rftlab.samplers import shelf
from rftlab.samplers.contract import Scenario
from rftlab.testing import SCENARIOS, Make, check_run, check_sampler, make_from

SMALL = {"hidden": 16, "z_dim": 8, "updates_per_step": 2}
SAMPLING = Sampling(max_new_tokens=16)


class SimWorld:
    """The simulated learner as a world that answers a checked run; some gradings fail, as the scenario says."""

    def __init__(self, pool: TaskPool, seed: int) -> None:
        self.engine, self.pool, self.seed = SimEngine(pools=[pool], seed=seed, lr=5.0), pool, seed

    def __deepcopy__(self, memo: dict[int, Any]) -> SimWorld:
        """The tasks are shared, what is learnt is not: an update replaces it."""
        twin = copy.copy(self)
        twin.engine = copy.copy(self.engine)
        return twin

    def truth(self, scenario: Scenario, step: int) -> Float:
        return self.engine.truth()

    def answer(self, scenario: Scenario, ctx: StepContext, request: Request, first: int) -> Group:
        task = self.pool.tasks[request.task]
        (rollouts,) = self.engine.generate([Job(task, first, request.n)], SAMPLING, ("train", self.seed, ctx.step))
        faults = np.random.default_rng((self.seed, ctx.step, request.task, first)).random(request.n) < scenario.faults
        verdicts = [
            Verdict(0.0, False, Status.FAULT) if f else Verdict(float(c.text == task.answer), c.text == task.answer)
            for c, f in zip(rollouts, faults, strict=True)
        ]
        return Group(task, tuple(rollouts), tuple(verdicts), ctx.step, request.purpose)

    def learn(self, batch: Sequence[tuple[Group, Pick]], ctx: StepContext) -> UpdateInfo:
        groups = [group for group, _ in batch]
        sizes = {"group_size": ctx.group_size, "target_groups": ctx.target_groups}
        return self.engine.update(batch, groups, **sizes, rollouts=0)


@dataclass
class Result:
    """What came of one sampler."""

    name: str
    runs: int = 0
    steps: int = 0
    seconds: float = 0.0
    failed: str = ""


@dataclass(frozen=True)
class Plan:
    """What every sampler goes through."""

    steps: int
    runs: int
    seed: int
    thorough: bool


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help="samplers whose name holds this: a preset, or SELECTOR-ALLOCATOR-ADMISSION")
    parser.add_argument("--limit", type=int, help="so many crossings at most, evenly spread")
    parser.add_argument("--steps", type=int, default=4, help="of a scenario; simulated runs have three times that")
    parser.add_argument("--runs", type=int, default=2, help="simulated runs of each sampler")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count())
    parser.add_argument("--thorough", action="store_true", help="all scenarios for crossings too: hours")
    args = parser.parse_args()
    crossed = ["-".join(row) for row in shelf.crossings()]
    if args.limit and args.limit < len(crossed):
        crossed = [crossed[i] for i in np.linspace(0, len(crossed) - 1, args.limit).astype(int)]
    names = [name for name in (*options("sampler"), *crossed) if not args.only or args.only in name]
    plan = Plan(args.steps, args.runs, args.seed, args.thorough)
    done: list[Result] = []
    start = time.monotonic()
    with ProcessPoolExecutor(args.jobs) as workers:
        for result in workers.map(run, names, [plan] * len(names), chunksize=4):
            done.append(result)
            progress(done, len(names), start)
            if result.failed:
                print(f"\n{result.name} FAILED: {result.failed}\n    {command(result.name, plan)}", flush=True)
    return summary(done, time.monotonic() - start)


def run(name: str, plan: Plan) -> Result:
    """One sampler through everything."""
    logging.disable(logging.WARNING)  # short budgets are the point here
    start, result = time.monotonic(), Result(name)
    cfg = shelf.preset(name) if name in options("sampler") else small(shelf.crossing(*name.split("-")))
    try:
        make = make_from(cfg)
        if plan.thorough or name in options("sampler"):
            check_sampler(make, steps=plan.steps, seed=plan.seed)
            result.runs, result.steps = len(SCENARIOS), len(SCENARIOS) * plan.steps
        for number in range(plan.runs):
            check_simulated(make, plan, number)
            result.runs, result.steps = result.runs + 1, result.steps + 3 * plan.steps
    except (AssertionError, InputError) as error:
        result.failed = str(error)
    result.seconds = time.monotonic() - start
    return result


def small(cfg: dict[str, Any]) -> dict[str, Any]:
    """A crossing with a small network: its size is no matter of the contract, and presets keep theirs."""
    return cfg | {"selector": cfg["selector"] | {k: v for k, v in SMALL.items() if k in cfg["selector"]}}


def check_simulated(make: Make, plan: Plan, number: int) -> None:
    """A run on the simulated engine, with the conditions of every step drawn."""
    rng = np.random.default_rng((plan.seed, number))
    sizes = {"prompts": int(rng.integers(1, 12)), "group_size": int(rng.integers(2, 9))}
    whole = 6 * sizes["prompts"] * sizes["group_size"]
    steps = [
        Scenario(
            f"simulated run {number}",
            **sizes,
            rollouts=int(rng.integers(0, whole)),
            rounds=int(rng.integers(0, 18)),
            faults=float(rng.choice([0.0, 0.0, 0.2, 1.0])),
        )
        for _ in range(3 * plan.steps)
    ]
    check_run(make, steps, seed=plan.seed + number, pool=simulated_pool(), world=SimWorld)


@cache
def simulated_pool() -> TaskPool:
    """The first bundled tasks with their references, and random features: every array that a part can ask for."""
    pool = load(limit=300, references=["tiny", "tiny-strong"]).train
    features = np.random.default_rng(0).normal(size=(len(pool), 8)).astype(np.float32)
    return replace(pool, features=features)


def command(name: str, plan: Plan) -> str:
    knobs = f"--steps {plan.steps} --runs {plan.runs} --seed {plan.seed}{' --thorough' if plan.thorough else ''}"
    return f"python scripts/conformance.py --only {name} {knobs}"


def progress(done: list[Result], total: int, start: float) -> None:
    """A line that is written over on a terminal, and one line in twenty seconds elsewhere."""
    seconds = time.monotonic() - start
    failed = sum(bool(r.failed) for r in done)
    left = seconds / len(done) * (total - len(done))
    line = f"{len(done):,} of {total:,} samplers, {failed} failed, {seconds:.0f} s, about {left:.0f} s left"
    if sys.stderr.isatty():
        print(f"\r{line}  ", end="", file=sys.stderr, flush=True)
    elif len(done) == 1 or seconds - progress_state["said"] > 20:
        progress_state["said"] = seconds
        print(line, file=sys.stderr, flush=True)


progress_state: dict[str, float] = {"said": 0.0}


def summary(done: list[Result], seconds: float) -> int:
    """Prints the counts; returns the exit status."""
    presets = sum(r.name in options("sampler") for r in done)
    failed = [r for r in done if r.failed]
    slowest = sorted(done, key=lambda r: -r.seconds)[:5]
    print(f"\n{presets} presets, {len(done) - presets:,} crossings")
    print(f"{sum(r.runs for r in done):,} runs (each whole, again, and restored), {sum(r.steps for r in done):,} steps")
    print(f"{seconds:.0f} s; slowest: " + ", ".join(f"{r.name} {r.seconds:.1f} s" for r in slowest))
    print(f"{len(failed)} failed" + "".join(f"\n  {r.name}" for r in failed))
    return 1 if failed or not done else 0


if __name__ == "__main__":
    sys.exit(main())
