"""The ranks beside rank 0: they build a policy and an engine and do what they are told, in silence."""

from __future__ import annotations

import os
import traceback
from typing import Any

import torch
from omegaconf import OmegaConf

from rftlab.canary import CanaryError
from rftlab.core import Completion, InputError
from rftlab.lab import policy_and_engine
from rftlab.out_of_memory import explained
from rftlab.policy import NonFiniteError, Policy
from rftlab.prompts import Prompts
from rftlab.ranks_lead import take_state
from rftlab.ranks_team import Abandoned, RankLost, Team

SAID = (InputError, CanaryError, NonFiniteError, RankLost)
"""Errors that rank 0 finds too and says, as they come from equal input or equal sums; or that another rank caused."""


def follow(team: Team, terminal: int) -> int:
    """Does what rank 0 says until it says that this was all; returns the exit status.

    Args:
        terminal: descriptor of standard error as it was, for tracebacks.
    """
    try:
        _obey(team)
        team.leave()
        return 0
    except BaseException as error:
        if isinstance(error, SAID):
            team.outlast()  # said by rank 0, whose end ends this process; else it was found here alone
        text = f" {error}\n" if isinstance(error, InputError) else "\n" + "".join(traceback.format_exception(error))
        os.write(terminal, f"rftlab: rank {team.rank} failed:{text}".encode())
        return 1


def _obey(team: Team) -> None:
    policy: Any = None
    engine: Any = None
    cfg: Any = None
    while True:
        name, args = team.heard()
        if name == "end":
            return
        try:
            match name, args:
                case "build", (config,):
                    cfg = OmegaConf.create(config)
                    team.begin(cfg.get("shard", False))
                    policy, engine = policy_and_engine(cfg, Prompts.of(cfg.model), team.poll, Policy)
                case "state", (state,):
                    take_state(policy, state)
                case "generate", (parts, sampling, stream):
                    team.gather(_generate(engine, parts[team.rank], sampling, stream))
                case "train", (rows, lr):
                    policy.train(rows, lr)
                case "gap", (rows,):
                    policy.logps(rows)
                case "sync", ():
                    engine.sync(policy)
                case "close", ():
                    engine.close()
                    policy = engine = None
        except torch.OutOfMemoryError as error:
            raise explained(error, cfg) from error


def _generate(engine: Any, *work: Any) -> list[list[Completion]]:
    try:
        return engine.generate(*work)
    except Abandoned:
        return []
