"""Verdicts a second, and what hanging completions cost.

    python scripts/bench_verifiers.py

Four lines: ``exact`` in this process, ``number`` in this process and in workers, and a verifier in workers of which 1 %
of the completions hang. The last must take about hangs x deadline / workers seconds, and nothing else may be lost.
"""

from __future__ import annotations

import argparse
import time

from rftlab.core import Status, Task, Verdict
from rftlab.verifiers.base import Verifier
from rftlab.verifiers.exact import Exact
from rftlab.verifiers.number import Number
from rftlab.verifiers.pool import Item, VerifierPool


class HangingNumber(Number):
    """``Number``, but a completion that says HANG never ends."""

    def grade(self, text: str, task: Task) -> Verdict:
        while text == "HANG":
            time.sleep(1)
        return super().grade(text, task)


class NumberHere(Number):
    """``Number`` without worker processes, to see what they cost."""

    trusted = True


def completions(count: int, hanging: float = 0.0) -> list[Item]:
    """Worked solutions of 300 characters, 8 a task, as a training step has them."""
    tasks = [Task(f"{i:016x}", i, ({"role": "user", "content": "?"},), str(i)) for i in range(count // 8 + 1)]
    every = round(1 / hanging) if hanging else count + 1
    steps = "He buys 3 boxes of 12 eggs for $4.50 each. " * 7
    return [("HANG" if i % every == every - 1 else f"{steps}#### {i // 8}", tasks[i // 8]) for i in range(count)]


def measure(what: str, verifier: Verifier, items: list[Item], workers: int, deadline: float) -> None:
    with VerifierPool(verifier, workers, deadline, memory_gib=2.0) as pool:
        pool.grade(items[:1])  # the workers are up
        started = time.perf_counter()
        verdicts = pool.grade(items)
        seconds = time.perf_counter() - started
    faults = sum(v.status is Status.FAULT for v in verdicts)
    print(
        f"{what:<28} {len(items):>7,} verdicts  {seconds:7.2f} s  {len(items) / seconds:>9,.0f}/s  "
        f"{sum(v.passed for v in verdicts):>7,} passed  {faults:>4} stopped  {pool.replaced:>4} workers replaced"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=50_000)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--deadline", type=float, default=0.5, help="seconds, in the line with hanging completions")
    args = parser.parse_args()
    items = completions(args.count)
    exact = [(task.answer, task) for _, task in items]
    measure("exact, in this process", Exact(), exact, args.workers, 10.0)
    measure("number, in this process", NumberHere(), items, args.workers, 10.0)
    measure(f"number, {args.workers} workers", Number(), items, args.workers, 10.0)
    hanging = completions(min(args.count, 2_000), hanging=0.01)
    measure(f"number, 1 % hang, {args.workers} workers", bench.HangingNumber(), hanging, args.workers, args.deadline)


if __name__ == "__main__":
    # A worker imports the verifier's class by the name of its module, and there __main__ is another.
    import bench_verifiers as bench

    main()
