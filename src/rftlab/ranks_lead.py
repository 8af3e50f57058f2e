"""Rank 0 of several: it tells the others what to do and does its share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from omegaconf import OmegaConf
from torch import Tensor

from rftlab import ranks
from rftlab.core import Completion, Float, InputError, Task
from rftlab.engines.base import Engine, Job, Learner, Sampling
from rftlab.lab import policy_and_engine
from rftlab.policy import Policy
from rftlab.prompts import Prompts
from rftlab.ranks import balanced
from rftlab.ranks_team import Team
from rftlab.update import Row, Totals


class LeadPolicy(Policy):
    """A policy that all ranks train. Its files are rank 0's alone: what it reads, it gives to the others."""

    ranks: Team

    def train(self, rows: Sequence[Row], lr: float) -> Totals:
        with self.ranks.command("train", rows, lr):
            return super().train(rows, lr)

    def add_gap(self, rows: Sequence[Row], totals: Totals) -> list[Tensor]:
        if not self.ranks.sharded or self.ranks.working:
            return super().add_gap(rows, totals)
        with self.ranks.command("gap", rows):  # a forward through layers that lie on all ranks
            return super().add_gap(rows, totals)

    def load(self, folder: Path) -> None:
        super().load(folder)
        self.share_state()

    def share_state(self) -> None:
        """Makes the other ranks' policies equal to this one."""
        state = {
            "parameters": [p.detach().cpu() for p in self.parameters],
            "optimizer": self.optimizer.state_dict(),
            "version": self.version,
            "bad_steps": self.bad_steps,
        }
        with self.ranks.command("state", state):
            pass


def lead(cfg: Any, prompts: Prompts, poll: Callable[[], None]) -> tuple[LeadPolicy, LeadEngine]:
    """The learner and the engine of all ranks; the others build theirs at the same time."""
    team = ranks.current
    assert isinstance(team, Team)
    team.begin(cfg.get("shard", False))
    if cfg.engine.get("mode") == "colocated" and (split := cfg.engine.get("tensor_parallel", 1)) > 1:
        raise InputError(
            f"engine.tensor_parallel={split}: each of the {team.size} ranks has one GPU and an engine of its own; "
            "give engine.tensor_parallel=1, or engine.mode=server"
        )
    with team.command("build", OmegaConf.to_container(cfg, resolve=True)):
        policy, engine = policy_and_engine(cfg, prompts, poll, LeadPolicy)
    if "algo" in cfg:
        policy.share_state()
    return policy, LeadEngine(engine, team, lambda task: len(prompts.ids(task)))


@torch.no_grad()
def take_state(policy: Policy, state: dict[str, Any]) -> None:
    """Brings a policy to what ``LeadPolicy.share_state`` has sent."""
    for p, value in zip(policy.parameters, state["parameters"], strict=True):
        p.copy_(value)
    policy.optimizer.load_state_dict(state["optimizer"])
    policy.version, policy.bad_steps = state["version"], state["bad_steps"]


class LeadEngine:
    """The engines of all ranks as one: jobs are scattered, groups gathered in the order of the jobs.

    Ranks get about equal numbers of expected tokens: a job's prompt and the mean completion of this process so far,
    times its rollouts. A group stays whole, so that its prompt is prefilled once; as tokens are keyed by task and
    ordinal, it does not matter which rank samples them.

    Args:
        engine: rank 0's own.
        length: tokens of a task's prompt.
    """

    LEARNS = False

    def __init__(self, engine: Engine, team: Team, length: Callable[[Task], int]) -> None:
        self.engine, self.team, self.length = engine, team, length
        self.separate = engine.separate
        self._tokens = self._rollouts = 0

    def generate(self, jobs: Sequence[Job], sampling: Sampling, stream: tuple[Any, ...]) -> list[list[Completion]]:
        """Completions of every job, in order; see ``Engine.generate``."""
        mean = self._tokens / self._rollouts if self._rollouts else sampling.max_new_tokens / 2
        shares = balanced([job.n * (self.length(job.task) + mean) for job in jobs], self.team.size)
        parts = [[_light(jobs[i]) for i in share] for share in shares]
        mine: list[list[Completion]] = []
        error: Exception | None = None
        with self.team.command("generate", parts, sampling, stream):
            try:
                mine = self.engine.generate([jobs[i] for i in shares[0]], sampling, stream)
            except Exception as raised:  # a signal, mostly: the others stop too, and all are ready for the next command
                error = raised
                self.team.abandon()
            gathered = self.team.gather(mine)
        if error is not None:
            raise error
        out: list[list[Completion]] = [[] for _ in jobs]
        for rank, (share, groups) in enumerate(zip(shares, gathered, strict=True)):
            for i, group in zip(share, groups, strict=True):
                out[i] = [replace(c, engine=rank + self.team.size * c.engine) for c in group]  # servers of each rank
        self._tokens += sum(len(c.tokens) for group in out for c in group)
        self._rollouts += sum(len(group) for group in out)
        return out

    def sync(self, learner: Learner) -> None:
        with self.team.command("sync"):
            self.engine.sync(learner)

    def truth(self) -> Float | None:
        return self.engine.truth()

    def close(self) -> None:
        if self.team.working or self.team.broken:  # nobody listens
            self.engine.close()
            return
        with self.team.command("close"):
            self.engine.close()


def _light(job: Job) -> Job:
    """A job without what only a verifier reads."""
    return replace(job, task=replace(job.task, answer="", meta={}))
