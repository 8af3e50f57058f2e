"""Verdicts a second of every verifier, what hanging completions cost, and whether memory stays flat.

    python scripts/bench_verifiers.py                  # two workers, about two minutes
    python scripts/bench_verifiers.py --only hanging

``speed``: completions that pass and near misses, half and half, 8 a task, 300 characters before the answer (programs
and JSON as they are). ``hanging``: 1 % of the completions never end; all others must be graded, in order, and no
verdict may take longer than the deadline and a second. ``memory``: resident memory of this process and its workers.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rftlab.config import compose
from rftlab.core import Status, Task, Verdict
from rftlab.verifiers.maths import Maths
from rftlab.verifiers.number import Number
from rftlab.verifiers.pool import Item, VerifierPool, build_pool

STEPS = "He buys 3 boxes of 12 eggs for $4.50 each. " * 7 + "\n"
SECONDS = 3.0
"""Aimed at for each line of ``speed``."""
WHOLE = ("exact", "json_schema", "length", "python", "regex", "cruxeval", "code")
"""Verifiers that get their completions without steps before them."""


class HangingMaths(Maths):
    """``math``, but a completion that says HANG never ends, inside a call that no alarm would interrupt."""

    def grade(self, text: str, task: Task) -> Verdict:
        while text == "HANG":
            time.sleep(1)
        return super().grade(text, task)


def task(i: int, answer: str, **meta: Any) -> Task:
    return Task(f"{i:016x}", i, ({"role": "user", "content": "?"},), answer, meta)


def close_enough(text: str, task: Task) -> bool:
    """The function of the line ``python``."""
    return text == task.answer


OPTIONS = ["12 km", "13 km", "14 km", "15 km", "16 km"]
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]}


TASKS = {
    "exact": lambda i: task(i, f"answer {i}"),
    "number": lambda i: task(i, str(i)),
    "choice": lambda i: task(i, "ABCDE"[i % 5], options=OPTIONS),
    "format": lambda i: task(i, str(i)),
    "length": lambda i: task(i, str(i)),
    "composite": lambda i: task(i, str(i)),
    "python": lambda i: task(i, str(i)),
    "math": lambda i: task(i, [f"{i}", rf"\frac{{{i}}}{{7}}", f"({i}, {i + 1})", rf"{i}\sqrt{{2}}", f"x^2+{i}"][i % 5]),
    "regex": lambda i: task(i, rf"So .*\b{i}\b", example=f"So it is {i}"),
    "cruxeval": lambda i: task(i, f"[{i}]", mode="output", code="", input=str(i), output=f"[{i}]"),
    "code": lambda i: task(i, "", code=f"def f(n):\n    return n + {i}", test_list=[f"assert f(2) == {i + 2}"]),
    "json_schema": lambda i: task(i, json.dumps({"n": i}), schema=json.dumps(SCHEMA)),
}
"""Verifier -> its made-up tasks. Those that need a dataset's own rows are left out."""


def items_of(name: str, verifier: Any, count: int) -> list[Item]:
    """Gold completions and near misses in turn."""
    found: list[Item] = []
    before = "" if name in WHOLE else STEPS
    for i in itertools.count():
        each = TASKS[name](i)
        gold, near = verifier.gold(each), verifier.wrong(each) or ["wrong"]
        for k in range(4):
            found += [(before + gold, each), (near[k % len(near)], each)]
        if len(found) >= count:
            return found[:count]
    raise AssertionError("unreachable")


def speed(workers: int) -> Iterator[str]:
    for name in TASKS:
        more = ["verifier.check.function=bench_verifiers.close_enough"] if name == "python" else []
        with build_pool(compose([f"verifier={name}", f"verifier.pool.workers={workers}", *more]).verifier) as pool:
            few = items_of(name, pool.verifier, 40 if name == "code" else 400)
            pool.grade(few)  # the workers are up and have imported what they need
            _, rate = timed(pool, few)
            verdicts, rate = timed(pool, items_of(name, pool.verifier, int(min(100_000, max(40, SECONDS * rate)))))
            passed, faults = sum(v.passed for v in verdicts), sum(not v.valid for v in verdicts)
            where = "in this process" if pool.verifier.trusted else f"{workers} workers"
        counts = f"{len(verdicts):>7,} verdicts {passed:>7,} passed {faults:>3} faults"
        yield f"{name:<12} {where:<16} {rate:>9,.0f}/s  {counts}"


def timed(pool: VerifierPool, items: list[Item]) -> tuple[list[Verdict], float]:
    started = time.perf_counter()
    verdicts = pool.grade(items)
    return verdicts, len(items) / (time.perf_counter() - started)


def hanging(workers: int, deadline: float) -> Iterator[str]:
    """A hundredth of the inputs hangs: which were stopped, how late, and whether all others are what they would be."""
    numbers = [task(i, str(i)) for i in range(1000)]
    for what, hang in (("a call that never ends", "HANG"), ("a tower of powers", r"\boxed{9^{9^{9^{9}}}+x}")):
        items = [(hang if i % 100 == 99 else rf"{STEPS}\boxed{{{i}}}", each) for i, each in enumerate(numbers)]
        with VerifierPool(bench.HangingMaths(), workers, deadline, memory_gib=2.0) as pool:
            pool.grade(items[:8])
            started = time.perf_counter()
            verdicts = pool.grade(items)
            seconds = time.perf_counter() - started
            stopped = [v for v in verdicts if v.status in (Status.TIMEOUT, Status.FAULT)]
            right = all(v.passed and v.answer == str(i) for i, v in enumerate(verdicts) if i % 100 != 99)
            latest = max((v.seconds for v in verdicts), default=0.0)
            yield (
                f"math, 1 % is {what}: {len(items):,} verdicts in {seconds:.1f} s, {len(stopped)} stopped, the latest "
                f"after {latest:.2f} s (deadline {deadline:g} s), {pool.replaced} workers replaced, the others "
                f"{'right and in order' if right else 'NOT RIGHT'}"
            )
            assert right and latest <= deadline + 1.0, "a verdict is late, lost or out of order"


def memory(workers: int, count: int) -> Iterator[str]:
    items = items_of("number", Number(), count // 10)
    with VerifierPool(Number(), workers, 10.0, memory_gib=2.0) as pool:
        sizes = []
        for _ in range(10):
            pool.grade(items)
            sizes.append([resident("self"), *(resident(w.process.pid) for w in pool._workers)])
    for when, size in (("tenth", sizes[0]), ("half", sizes[4]), ("whole", sizes[-1])):
        parent, *children = (f"{mib:.1f}" for mib in size)
        yield f"after a {when} of {count:,} verdicts: {parent} MiB here, {' + '.join(children)} MiB in workers"


def resident(pid: int | str) -> float:
    """Resident memory of a process, MiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmRSS:")[2].split()[0]) / 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=("speed", "hanging", "memory"))
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--deadline", type=float, default=2.0, help="seconds, where completions hang")
    parser.add_argument("--count", type=int, default=100_000, help="verdicts, where memory is watched")
    args = parser.parse_args()
    parts = {
        "speed": lambda: speed(args.workers),
        "hanging": lambda: hanging(args.workers, args.deadline),
        "memory": lambda: memory(args.workers, args.count),
    }
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} before the start")
    for name, lines in parts.items():
        if args.only in (None, name):
            for line in lines():
                print(line, flush=True)


if __name__ == "__main__":
    # A worker imports the verifier's class by the name of its module, and there __main__ is another.
    import bench_verifiers as bench

    main()
