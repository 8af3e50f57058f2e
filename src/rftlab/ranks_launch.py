"""``rftlab train launcher=accelerate num_processes=N``: the same command again, N times, by accelerate's launcher.

The launcher answers every end but a clean one with 1 and a page of text, and gives its processes 30 seconds to stop. So
rank 0 tells this command its process and its exit status beside the launcher, and is told of signals likewise. No torch
is imported here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from rftlab.core import InputError
from rftlab.gpus import visible_gpus
from rftlab.signals import Stopper

REPORT = "RFTLAB_RANKS"
"""Environment: a folder with the ``leash`` that this command holds, and ``process`` and ``status`` of rank 0."""
POLL = 0.05
"""Seconds between two looks at the launcher."""

inside = False
"""Whether a launcher has started this process, so that nothing is to be launched."""


def processes(cfg: Any) -> int:
    """How many ranks ``cfg`` asks for; 1 = this process is enough."""
    asked = cfg.num_processes
    if inside:
        return 1
    if cfg.launcher is None:
        if (asked or 1) > 1:
            raise InputError(f"num_processes={asked}: nothing starts them; give launcher=accelerate")
        return 1
    gpus = visible_gpus()
    if asked is None and not gpus:
        raise InputError("launcher=accelerate: no GPU is visible, so the number of ranks is yours: num_processes=N")
    if gpus and (asked or 1) > len(gpus):
        raise InputError(f"num_processes={asked}: {len(gpus)} GPUs are visible; give at most num_processes={len(gpus)}")
    return asked or len(gpus)


def launch(cfg: Any, count: int) -> int:
    """Runs this job as ``count`` ranks; returns rank 0's exit status, or the launcher's where rank 0 left none."""
    from hydra.core.hydra_config import HydraConfig

    from hydra_plugins.rftlab_launcher import job_options

    hydra = HydraConfig.get()
    command = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", f"--num_processes={count}"]
    command += ["--num_machines=1", "--mixed_precision=no", "--dynamo_backend=no", "--main_process_port=0"]
    command += [f"--num_cpu_threads_per_process={cfg.threads}", "--module", "rftlab", "train"]
    command += [*job_options(hydra), *hydra.overrides.task]
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder)
        os.mkfifo(report / "leash")
        held = os.open(report / "leash", os.O_RDWR)  # closes with this process, and rank 0 sees it
        try:
            code, stopped = _watch(command, report)
        finally:
            os.close(held)
        if (report / "status").is_file():
            return int((report / "status").read_text())
    return 128 + stopped if stopped is not None else code


def _watch(command: list[str], report: Path) -> tuple[int, int | None]:
    """The launcher's exit status, and the signal that came meanwhile: rank 0 gets it, and saves and ends the others."""
    environment = {**os.environ, REPORT: str(report)}
    with Stopper() as stopper:
        launcher = subprocess.Popen(command, env=environment, start_new_session=True)
        told = False
        try:
            while launcher.poll() is None:
                if stopper.number is not None and not told:
                    told = _tell(report, stopper.number)
                time.sleep(POLL)
        except BaseException:  # a second Ctrl-C
            os.killpg(launcher.pid, signal.SIGKILL)
            launcher.wait()
            raise
        return launcher.returncode, stopper.number


def _tell(report: Path, number: int) -> bool:
    try:
        os.kill(int((report / "process").read_text()), number)
    except (OSError, ValueError):  # not begun, or ended
        return False
    return True
