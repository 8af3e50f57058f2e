"""What a sampler costs beside the rollouts: `python scripts/bench_samplers.py`.

For every preset and pool size: the median processor time of a step (one thread, so a busy machine changes little) in
`ask` (with the belief that the composer reads when a step begins), `tell` and `batch` + `end_step`, in milliseconds;
the bytes for each task of what its parts have learnt, in arrays with a row or a column a task and in all; and the size
of a checkpoint of the whole sampler, composer's counts included. `growth` is the time over that of the size before.

P = 256 tasks of G = 8 rollouts, answers drawn from fixed pass rates; the pool has categories, levels, two references
and 64 random features a task. Each cell is a process of its own, stopped at its time limit: `too slow` is what it says,
and larger pools are then not tried. Making the answers is not timed.
"""

from __future__ import annotations

import argparse
import csv
import json
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np

from rftlab.checkpoint import save_tree
from rftlab.core import (
    Budget,
    Completion,
    Finish,
    Float,
    Group,
    InputError,
    Request,
    StepContext,
    Task,
    TaskPool,
    UpdateInfo,
    Verdict,
)
from rftlab.listing import options
from rftlab.samplers import shelf
from rftlab.samplers.build import build_sampler
from rftlab.samplers.composer import TaskSampler

P, G, D = 256, 8, 64
WARM_UP = 2
"""Steps before the clock counts: first permutations, first fits."""


@dataclass
class Cell:
    """One preset on one pool."""

    preset: str
    tasks: int
    step_ms: float | None = None
    ask_ms: float | None = None
    tell_ms: float | None = None
    end_ms: float | None = None
    worst_ms: float | None = None
    growth: float | None = None
    row_bytes: float | None = None
    """Bytes of the parts' own arrays with a row or a column a task, for each task."""
    state_bytes: float | None = None
    """Bytes of all that the parts have learnt, for each task."""
    checkpoint_mb: float | None = None
    rounds: int | None = None
    problem: str = ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--presets", nargs="*", help="default: all of them")
    parser.add_argument("--sizes", nargs="*", type=lambda n: int(float(n)), default=[10**3, 10**4, 10**5, 10**6])
    parser.add_argument("--steps", type=int, default=7, help=f"timed steps, after {WARM_UP} that are not")
    parser.add_argument("--limit", type=float, default=60, help="seconds for one preset on one pool")
    parser.add_argument("--json", type=Path, help="write the numbers here as well")
    parser.add_argument("--csv", type=Path, help="write the numbers here as well")
    args = parser.parse_args()
    unknown = set(args.presets or ()) - set(options("sampler"))
    if unknown:
        parser.error(f"no such presets: {', '.join(sorted(unknown))}; there are: {', '.join(options('sampler'))}")
    presets = args.presets or list(options("sampler"))
    print(f"P={P} G={G}, {args.steps} timed steps a cell, milliseconds of processor time a step (median)\n")
    print(HEAD, flush=True)
    last: dict[str, Cell] = {}
    cells = []
    for size in sorted(args.sizes):
        pool, rates = bench_pool(size)
        for preset in presets:
            cell = measured(preset, pool, rates, args.steps, args.limit, last.get(preset))
            last[preset] = cell
            cells.append(cell)
            print(row(cell), flush=True)
        print(flush=True)
    write(cells, args.json, args.csv)
    return 0


def measured(preset: str, pool: TaskPool, rates: Float, steps: int, limit: float, before: Cell | None) -> Cell:
    """The cell, from a process of its own that shares the pool."""
    if before is not None and before.problem:
        return Cell(preset, len(pool), problem=f"skipped: {before.problem.removeprefix('skipped: ')}")
    here, there = multiprocessing.Pipe(duplex=False)
    process = multiprocessing.get_context("fork").Process(target=measure, args=(preset, pool, rates, steps, there))
    process.start()
    there.close()
    try:
        cell = here.recv() if here.poll(limit) else Cell(preset, len(pool), problem=f"too slow: over {limit:g} s")
    except EOFError:
        cell = Cell(preset, len(pool), problem="died (out of memory?)")
    process.kill()
    process.join()
    if before is not None and cell.step_ms and before.step_ms:
        cell.growth = cell.step_ms / before.step_ms
    return cell


def measure(preset: str, pool: TaskPool, rates: Float, steps: int, there: Connection) -> None:
    """Plays the steps and sends the numbers."""
    cell = Cell(preset, len(pool))
    try:
        sampler = build_sampler(shelf.preset(preset), pool, G, truth=True)
        times = np.array([play(sampler, rates, step) for step in range(WARM_UP + steps)])
        timed = times[WARM_UP:, :3] * 1e3
        cell.ask_ms, cell.tell_ms, cell.end_ms = np.median(timed, axis=0).tolist()
        cell.step_ms, cell.worst_ms = float(np.median(timed.sum(1))), float(timed.sum(1).max())
        cell.rounds = int(times[WARM_UP:, 3].max())
        learnt = {name: part.state_dict() for name, part in sampler.parts.items()}
        cell.row_bytes = sum(array.nbytes for array in arrays(learnt) if len(pool) in array.shape) / len(pool)
        cell.state_bytes = sum(array.nbytes for array in arrays(learnt)) / len(pool)
        with tempfile.TemporaryDirectory() as folder:
            save_tree(Path(folder) / "state.npz", sampler.state_dict())
            cell.checkpoint_mb = (Path(folder) / "state.npz").stat().st_size / 1e6
    except InputError as error:
        cell.problem = f"refused: {error}"
    except Exception as error:
        cell.problem = f"failed: {error!r}"
    there.send(cell)


def play(sampler: TaskSampler, rates: Float, step: int) -> tuple[float, float, float, int]:
    """One step: seconds in ask, tell, and batch + end_step; rounds."""
    left = Budget(rollouts=4 * P * G, rounds=16)
    ctx = StepContext(step, step, P, G, min(1.0, step / 100), left, sampler.stats, seed=0, truth=rates)
    rng = np.random.default_rng(step)
    spent = {"ask": 0.0, "tell": 0.0}
    rounds = 0
    while True:
        start = time.process_time()
        requests = sampler.ask(ctx)
        spent["ask"] += time.process_time() - start
        if not requests:
            break
        rounds += 1
        groups = [answer(sampler.pool, r, rates, step, rng) for r in requests]
        start = time.process_time()
        sampler.tell(ctx, groups)
        spent["tell"] += time.process_time() - start
    start = time.process_time()
    batch = sampler.batch(ctx)
    sampler.end_step(ctx, UpdateInfo(abs_advantage={pick.task: 0.5 for _, pick in batch}))
    return spent["ask"], spent["tell"], time.process_time() - start, rounds


TOKENS, LOGPS = np.zeros(16, np.int32), np.zeros(16, np.float32)


def answer(pool: TaskPool, request: Request, rates: Float, step: int, rng: np.random.Generator) -> Group:
    completion = Completion("", TOKENS, LOGPS, Finish.STOP, step)
    passed = rng.random(request.n) < rates[request.task]
    verdicts = tuple(Verdict(float(p), bool(p)) for p in passed)
    return Group(pool.tasks[request.task], (completion,) * request.n, verdicts, step, request.purpose)


def bench_pool(n: int) -> tuple[TaskPool, Float]:
    """A pool of n tasks that share one prompt, with every array, and their true pass rates."""
    rng = np.random.default_rng(n)
    prompt = ({"role": "user", "content": "a task"},)
    rates = rng.beta(0.7, 0.9, n)
    noise = rng.normal(0, 0.1, (2, n))
    references = {"weak": np.clip(0.7 * rates + noise[0], 0, 1), "strong": np.clip(1.1 * rates + noise[1], 0, 1)}
    pool = TaskPool(
        tasks=tuple(Task(f"{i:016x}", i, prompt, "yes") for i in range(n)),
        category=rng.integers(0, 10, n),
        categories=tuple("abcdefghij"),
        level=rng.integers(1, 11, n).astype(np.float64),
        references=references,
        reference_rollouts=dict.fromkeys(references, 16 * n),
        features=rng.standard_normal((n, D), np.float32),
        name=f"bench-{n}",
    )
    return pool, rates


def arrays(state: Any) -> list[np.ndarray]:
    """Every array in a state, those without a row left out."""
    if isinstance(state, np.ndarray):
        return [np.atleast_1d(state)]
    values = state.values() if isinstance(state, dict) else state if isinstance(state, list) else ()
    return [array for value in values for array in arrays(value)]


WIDTHS = {
    "preset": 18, "tasks": 9, "step_ms": 10, "ask_ms": 9, "tell_ms": 8, "end_ms": 8, "worst_ms": 10, "growth": 7,
    "row_bytes": 10, "state_bytes": 12, "checkpoint_mb": 14, "rounds": 7,
}  # fmt: skip
HEAD = "".join(f"{name:<{width}}" if name == "preset" else f"{name:>{width}}" for name, width in WIDTHS.items())


def row(cell: Cell) -> str:
    start = f"{cell.preset:<18}{cell.tasks:>9,}"
    if cell.problem:
        return f"{start}  {cell.problem}"
    values = asdict(cell)
    for name, width in list(WIDTHS.items())[2:]:
        value = values[name]
        text = "" if value is None else f"{value:,}" if isinstance(value, int) else f"{value:,.1f}"
        start += f"{text:>{width}}"
    return start


def write(cells: Sequence[Cell], as_json: Path | None, as_csv: Path | None) -> None:
    if as_json:
        as_json.write_text(json.dumps([asdict(cell) for cell in cells], indent=1) + "\n")
    if as_csv:
        with open(as_csv, "w", newline="") as file:
            table = csv.DictWriter(file, [f.name for f in fields(Cell)])
            table.writeheader()
            table.writerows(asdict(cell) for cell in cells)


if __name__ == "__main__":
    sys.exit(main())
