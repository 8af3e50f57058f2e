"""How long ``rftlab runs`` takes to read thousands of runs: ``python scripts/bench_runs.py [CELLS]``, 5,000 by default.

Every directory has what a finished run of 120 steps leaves that is read: status, configuration, 121 rows of metrics of
the usual size. One in a hundred runs. The first pass reads files that were just written; none is from a cold disk.
"""

from __future__ import annotations

import json
import resource
import sys
import tempfile
import time
from pathlib import Path

from rftlab import runs
from rftlab.config import compose

SEEDS = 5


def main() -> None:
    cells = int(sys.argv[1]) if len(sys.argv) > 1 else 5000
    with tempfile.TemporaryDirectory() as folder:
        write(Path(folder), cells)
        for attempt in ("first", "second", "third"):
            started, used = time.perf_counter(), time.process_time()
            found = runs.find(folder)
            seconds, used = time.perf_counter() - started, time.process_time() - used
            print(f"{attempt} pass: {len(found):,} runs in {seconds:.2f} s, {used:.2f} s of them on the processor")
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")


def write(root: Path, cells: int) -> None:
    from omegaconf import OmegaConf

    config = OmegaConf.to_yaml(compose(["sampler=bots"]), resolve=True)
    row = {f"group/metric_{i}": 0.123456789 for i in range(50)}
    rows = [row | {"step": float(s), "time/step": 0.5, "ledger/rollouts": 256 * s} for s in range(121)]
    for at in range(0, 121, 10):
        rows[at] = rows[at] | {"eval/accuracy": at / 200}
    metrics = "".join(json.dumps(row) + "\n" for row in rows)
    for i in range(cells):
        path = root / f"exp{i // 500}" / "tiny_ladder" / f"arm-{i // SEEDS:08x}" / f"seed{i % SEEDS}"
        for part in ("checkpoints", "completions", "evals"):
            (path / part).mkdir(parents=True)
        state = "running" if i % 100 == 0 else "done"
        status = {"state": state, "step": 120, "pid": 1, "host": "elsewhere", "heartbeat": time.time()}
        (path / ".lock").touch()
        (path / "status.json").write_text(json.dumps(status))
        (path / "config.yaml").write_text(config)
        (path / "metrics.jsonl").write_text(metrics)


if __name__ == "__main__":
    main()
