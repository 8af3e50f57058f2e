"""Two ranks on this machine, over gloo, started as a launcher starts them."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from ports import free_port
from rftlab.cli import main

QUICK = [
    *("budget=smoke", "eval.limit=16", "eval.samples=1", "panel.tasks=0", "tracking.wandb=off"),
    *("sampler=bots", "checkpoint.every_steps=2", "budget.rollouts=1000000"),
]


def environment(rank: int, port: int) -> dict[str, str]:
    address = {"RANK": str(rank), "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": str(port)}
    return os.environ | address | {"LOCAL_RANK": str(rank), "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "PASSIVE"}


class Pair:
    """``python COMMAND`` as ranks 0 and 1."""

    def __init__(self, command: list[str], cwd: Path | None = None) -> None:
        port = free_port()
        self.ranks = [
            subprocess.Popen(
                [sys.executable, *command],
                env=environment(rank, port),
                cwd=cwd,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
            for rank in (0, 1)
        ]

    def end(self, seconds: float = 180) -> tuple[list[int], list[str], list[str]]:
        """Exit statuses, outputs and errors of both ranks, which must end within some seconds."""
        said = []
        try:
            for process in self.ranks:
                said.append(process.communicate(timeout=seconds))
        finally:
            for process in self.ranks:
                process.kill()
        return [p.returncode for p in self.ranks], [out for out, _ in said], [err for _, err in said]


def train(outputs: Path, *overrides: str, cwd: Path | None = None) -> Pair:
    return Pair(["-m", "rftlab", "train", *QUICK, f"outputs_dir={outputs}", *overrides], cwd)


def jobs(outputs: Path, *overrides: str, cwd: Path | None = None) -> Pair:
    """A job for each override, one after another on the same two ranks; the exit status is that of the last."""
    script = """
import sys
from rftlab.cli import main
from rftlab.ranks_run import together
jobs = [["train", *sys.argv[2:], override] for override in sys.argv[1].split()]
sys.exit(together(["train"], lambda: [main(job) for job in jobs][-1]))
"""
    return Pair(["-c", script, " ".join(overrides), *QUICK, f"outputs_dir={outputs}"], cwd)


def alone(outputs: Path, *overrides: str) -> None:
    """The same run in this process."""
    assert main(["train", *QUICK, f"outputs_dir={outputs}", *overrides]) == 0


def folder(outputs: Path) -> Path:
    (path,) = outputs.glob("*/*/*/seed0")
    return path


def wait_for_step(outputs: Path, step: int) -> None:
    deadline = time.monotonic() + 180
    while time.monotonic() < deadline:
        for file in outputs.glob("*/*/*/seed0/metrics.jsonl"):
            if len(file.read_text().splitlines()) > step:
                return
        time.sleep(0.02)
    raise AssertionError(f"no step {step} within 180 s")
