"""A process that a launcher has started as one of several: rank 0 runs the command, the others follow it."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from rftlab import ranks_launch
from rftlab.signals import Stopper

LAUNCHER_VARIABLES = ("WORLD_SIZE", "LOCAL_WORLD", "GROUP_", "ROLE_", "MASTER_", "TORCHELASTIC_")
SPREAD = ("train", "eval", "profile")
"""Verbs that use all ranks."""


def together(args: list[str], run: Callable[[], int]) -> int:
    """Joins the other ranks; on rank 0 does ``run``, elsewhere what rank 0 says. Returns the exit status."""
    rank = int(os.environ["RANK"])
    if rank:
        terminal = _hushed()
    ranks_launch.inside = Stopper.patient = True
    folder = os.environ.pop(ranks_launch.REPORT, None)
    report = Path(folder) if folder and rank == 0 else None
    if report:
        _tie(report)
    _take_gpu()  # before torch is imported, as some of its importers look for GPUs
    from rftlab import ranks
    from rftlab.ranks_follow import follow
    from rftlab.ranks_team import Team

    team = ranks.current = Team()
    for name in [name for name in os.environ if name.startswith(LAUNCHER_VARIABLES)]:
        del os.environ[name]  # this process's children are no ranks; vLLM reads RANK and LOCAL_RANK
    if rank:
        return follow(team, terminal)
    try:
        status = run() if args and args[0] in SPREAD else _refused(args)
    except SystemExit as stopped:  # saved, by a signal
        status = int(stopped.code or 0)
    in_order = team.leave()
    if report is None:
        return status
    (report / "status").write_text(str(status))
    return 0 if in_order else 1  # the launcher has a page of text for every other status


def _hushed() -> int:
    """Silences this process: no output, no signals but rank 0's word. Returns a descriptor of its standard error."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    terminal, nowhere = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    sys.stdout.flush()
    for stream in (1, 2):
        os.dup2(nowhere, stream)
    os.close(nowhere)
    return terminal


def _refused(args: list[str]) -> int:
    print(f"rftlab: {' '.join(args[:1])} runs in one process: start it without a launcher", file=sys.stderr)
    return 2


def _tie(report: Path) -> None:
    """Tells the command that has started the launcher who rank 0 is, and stops when that command is gone."""
    from rftlab.lifeline import follow

    leash = os.open(report / "leash", os.O_RDONLY | os.O_NONBLOCK)  # it may be gone already: then nobody writes
    os.set_blocking(leash, True)
    follow(leash)
    (report / "process").write_text(str(os.getpid()))


def _take_gpu() -> None:
    """This rank's GPU becomes the only one that it and its engine see."""
    from rftlab.gpus import visible_gpus

    local = int(os.environ.get("LOCAL_RANK", "0"))
    if len(gpus := visible_gpus()) > local:
        os.environ |= {"CUDA_VISIBLE_DEVICES": gpus[local], "LOCAL_RANK": "0"}
