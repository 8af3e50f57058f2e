"""A run, from its first question to its last evaluation. ``core.py`` has the nouns, this page the verbs."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path

from omegaconf import DictConfig

from rftlab import lab as labs
from rftlab.calibration import step_scores
from rftlab.core import Budget, Group, InputError, Request, StepContext
from rftlab.engines.base import Job
from rftlab.lab import Lab
from rftlab.ledger import spent, step_rollouts, total_rollouts
from rftlab.measure import completion_rows, group_rows, step_metrics
from rftlab.out_of_memory import is_out_of_memory
from rftlab.run import Run
from rftlab.samplers.checks import class_name
from rftlab.signals import Stopped, Stopper
from rftlab.trace import Trace

EMPTY_STEPS = 3
"""Consecutive steps without a group to train on after which it is said."""


def train(cfg: DictConfig) -> Path:
    """Trains what ``cfg`` says, or goes on where it stopped, or finds that it is done; returns the run's directory.

    Raises:
        InputError: the input is wrong; nothing was changed. Or the sampler asks for nothing: the run ends there.
        Stopped: a signal came; the run is saved and the same command goes on.
        torch.OutOfMemoryError: likewise.
        SystemExit: another rank has ended, which has been said (``RankLost``); likewise.
    """
    with Stopper() as stopper, Run(cfg) as run:
        if run.already_done():
            return run.path
        with labs.build(cfg, stopper.poll) as lab:
            run.start(lab)
            with Trace(run.path, run.clock, cfg.tracking.profile, run.console.note) as trace:
                try:
                    loop(lab, run, stopper, trace)
                except (Exception, SystemExit) as error:
                    # a learner that has moved on within the step is not the state at its start
                    cut = isinstance(error, SystemExit) or is_out_of_memory(error)
                    if isinstance(error, Stopped) or (cut and lab.learner.version == run.step):
                        run.save(lab)
                    raise
            run.finish(lab)
    return run.path


def loop(lab: Lab, run: Run, stopper: Stopper, trace: Trace) -> None:
    """Evaluate when due, log, save when due, take a step; all that a resume needs is state of ``run`` and ``lab``."""
    while True:
        run.ended = spent(run.ledger, run.step, lab.cfg.budget)
        if run.ended:
            run.save(lab)  # before the evaluation that only the end asks for: a longer run goes on without it
        if run.evaluation_due():
            with run.clock.timed("eval"):
                run.evaluated(lab, lab.evaluator.run(lab.engine, run.step))
                if lab.panel and (predicted := lab.sampler.predict()) is not None:
                    run.panel_read(lab.panel.run(lab.engine, predicted))
        run.log()
        if run.ended:
            return
        if run.save_due():
            run.save(lab)
        stopper.poll()
        trace.begin(run.step + 1)
        run.begin_step(lab)
        take_step(lab, run, stopper)


def take_step(lab: Lab, run: Run, stopper: Stopper) -> None:
    """One step: the conversation with the sampler, the update, the feedback."""
    start = time.perf_counter()
    sampler, ctx = lab.sampler, step_context(lab, run)
    talk = Conversation(lab, ctx)
    while requests := run.clock.call("ask", sampler.ask, ctx):
        groups = talk.answer(requests, run)
        run.clock.call("tell", sampler.tell, ctx, groups)
        stopper.poll()
    batch = sampler.batch(ctx)
    if not batch and not talk.rollouts:
        parts = ", ".join(f"{name} {class_name(part)}" for name, part in sampler.parts.items())
        raise InputError(
            f"the sampler asked for nothing in step {ctx.step}, with {ctx.left.rollouts:,} rollouts left ({parts}): "
            "repair the part, rftlab.testing.check_sampler tries it, or give another by sampler=NAME"
        )
    run.graded(talk.verdicts, talk.faults, talk.reason)
    run.empty_steps = 0 if batch else run.empty_steps + 1
    if run.empty_steps == EMPTY_STEPS:
        run.console.note(f"{EMPTY_STEPS} steps in a row had no group to train on: is sampler.admission too narrow?")
    # from here on nothing is interrupted: weights, sampler and records move together
    generated = talk.groups()
    rollouts = run.ledger.rollouts + talk.rollouts
    info = run.clock.call(
        "update",
        lab.learner.update,
        batch,
        generated,
        group_size=ctx.group_size,
        target_groups=ctx.target_groups,
        rollouts=rollouts,
    )
    run.clock.call("tell", sampler.end_step, ctx, info)
    run.clock.call("sync", lab.engine.sync, lab.learner)
    row = step_metrics(generated, batch, ctx.step) | dict(info.metrics) | sampler.metrics()
    row |= step_scores(generated, sampler.predicted)
    if ctx.left.rollouts < ctx.group_size and total_rollouts(lab.cfg.budget) - rollouts < ctx.group_size:
        run.clipped_at = total_rollouts(lab.cfg.budget)
    trained = {group.task.index for group, _ in batch}
    run.end_step(
        row | {"step/rounds": float(talk.asked)},
        seconds=time.perf_counter() - start,
        rollouts=talk.rollouts,
        tokens=talk.tokens,
        groups=group_rows(generated, talk.rounds(), sampler.admitted, trained, sampler.predicted),
        completions=completion_rows(generated, lab.cfg.tracking.save_completions, batch, info.advantages),
    )


def step_context(lab: Lab, run: Run) -> StepContext:
    budget = lab.cfg.budget
    total = total_rollouts(budget)
    return StepContext(
        step=run.step + 1,
        version=lab.learner.version,
        target_groups=budget.prompts,
        group_size=budget.group_size,
        progress=max(run.step / budget.steps, run.ledger.rollouts / total),
        left=Budget(min(step_rollouts(budget), total - run.ledger.rollouts), budget.max_rounds),
        stats=lab.sampler.stats,
        seed=lab.cfg.seed,
        truth=lab.engine.truth(),
    )


class Conversation:
    """Answers a step's requests with verified groups and remembers all of them."""

    def __init__(self, lab: Lab, ctx: StepContext) -> None:
        self.lab, self.ctx = lab, ctx
        self._groups: dict[tuple[int, str], Group] = {}
        self._round: dict[tuple[int, str], int] = {}
        self._ordinal: Counter[int] = Counter()
        self.rollouts = self.tokens = self.asked = self.verdicts = self.faults = 0
        self.reason = ""
        """Why the first rollout that was not graded was not."""

    def answer(self, requests: list[Request], run: Run) -> list[Group]:
        """Generates and verifies; groups in request order."""
        tasks = self.lab.dataset.train.tasks
        jobs = [Job(tasks[r.task], self._ordinal[r.task], r.n) for r in requests]
        stream = ("train", self.lab.cfg.seed, self.ctx.step)
        done = run.clock.call("generate", self.lab.engine.generate, jobs, self.lab.sampling, stream)
        items = [(c.text, job.task) for job, completions in zip(jobs, done, strict=True) for c in completions]
        said = run.clock.call("verify", self.lab.verifier.grade, items)
        self.verdicts += len(said)
        self.faults += sum(not v.valid for v in said)
        self.reason = self.reason or next(iter(self.lab.verifier.reasons.values()), "")
        verdicts, groups = iter(said), []
        for request, completions in zip(requests, done, strict=True):
            group = Group(
                tasks[request.task],
                tuple(completions),
                tuple(next(verdicts) for _ in completions),
                self.ctx.step,
                request.purpose,
            )
            self._remember(group)
            groups.append(group)
        self.asked += 1
        return groups

    def _remember(self, group: Group) -> None:
        key = (group.task.index, str(group.purpose))
        self._ordinal[group.task.index] += len(group.completions)
        self.rollouts += len(group.completions)
        self.tokens += sum(len(c.tokens) for c in group.completions)
        self._round.setdefault(key, self.asked)
        self._groups[key] = self._groups[key].extended(group) if key in self._groups else group

    def groups(self) -> list[Group]:
        """Every group of the step, in the order of first request."""
        return list(self._groups.values())

    def rounds(self) -> list[int]:
        """The round in which each of ``groups()`` was opened."""
        return list(self._round.values())
