"""How many jobs run beside each other on this machine, and which GPU each of them sees. torch is not imported."""

from __future__ import annotations

import os
import re
import subprocess
from typing import Any

from omegaconf import OmegaConf

from rftlab.core import InputError


def slots(n_jobs: Any, gpus: Any, jobs: int, cfg: Any) -> list[str | None]:
    """The places for jobs, each with its GPU or None.

    Args:
        n_jobs: How many; None = one a GPU, without GPUs one for every ``cfg.threads`` cores (1 where a verb has no such
            key), and for several ranks as many times that. Never more than ``jobs``.
        gpus: A list (indices, UUIDs, "0,1" for a pair) whose members the places get in turn; "auto" = what is here, a
            GPU for each rank of a job.
        jobs: How many jobs there are.
    """
    if n_jobs is not None and (not isinstance(n_jobs, int) or isinstance(n_jobs, bool) or n_jobs < 1):
        raise InputError(f"hydra.launcher.n_jobs={n_jobs}: wanted a whole number of at least 1, or null")
    asked = OmegaConf.select(cfg, "num_processes")
    ranks = asked if isinstance(asked, int) and asked > 0 else 1  # what is wrong with it, the jobs say
    if gpus == "auto":
        simulated = str(OmegaConf.select(cfg, "engine._target_")).startswith("rftlab.engines.sim.")
        here = [] if simulated else visible_gpus()
        devices = [",".join(here[i : i + ranks]) for i in range(0, len(here) - ranks + 1, ranks)]
    elif OmegaConf.is_list(gpus) or isinstance(gpus, list | tuple):
        if wrong := [gpu for gpu in gpus if not _names_gpus(gpu)]:
            raise InputError(
                f"hydra.launcher.gpus: {wrong[0]!r} names no GPU: wanted indices or UUIDs, as in "
                "hydra.launcher.gpus=[0,1]; a pair for every job is text, as in 'hydra.launcher.gpus=[\"0,1\"]'"
            )
        devices = [str(gpu) for gpu in gpus]
    else:
        raise InputError(f"hydra.launcher.gpus={gpus}: wanted auto or a list, as in hydra.launcher.gpus=[0,1]")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    places = n_jobs or len(devices) or max(1, cores // max(1, int(OmegaConf.select(cfg, "threads") or 1) * ranks))
    return [devices[i % len(devices)] if devices else None for i in range(max(1, min(places, jobs)))]


def _names_gpus(gpu: Any) -> bool:
    """Whether it can stand in ``CUDA_VISIBLE_DEVICES``."""
    if isinstance(gpu, int) and not isinstance(gpu, bool):
        return gpu >= 0
    return isinstance(gpu, str) and re.fullmatch(r"[^\s\[\]{}]+", gpu) is not None


def visible_gpus() -> list[str]:
    """The GPUs that this process may use, without importing torch: ``CUDA_VISIBLE_DEVICES``, else ``nvidia-smi``."""
    if (visible := os.environ.get("CUDA_VISIBLE_DEVICES")) is not None:
        return [gpu.strip() for gpu in visible.split(",") if gpu.strip() not in ("", "-1")]
    try:
        ask = ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"]
        said = subprocess.run(ask, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return said.stdout.split() if said.returncode == 0 else []
