"""The state of a run outside learner and sampler: step, ledger, records, checkpoints, best evaluation."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from rftlab import checkpoint
from rftlab.calibration import Reading
from rftlab.clock import Clock
from rftlab.config import LENGTH, run_dir, schedule_reads_progress
from rftlab.core import InputError
from rftlab.evaluate import Evaluation
from rftlab.lab import Lab
from rftlab.ledger import Ledger, step_rollouts, total_rollouts
from rftlab.out_of_memory import is_out_of_memory
from rftlab.rundir import RunDir, write_atomic
from rftlab.signals import Stopped
from rftlab.terminal import Console
from rftlab.tracking import Tracker

UNGRADED_STEPS = 3
"""Consecutive steps in which every rollout is a fault before the run stops."""


class Run:
    """One run directory while a process works in it.

    A checkpoint of step n is taken at the boundary after step n and holds n's row, logged or not yet. A resumed run
    cuts the records back to before that row, logs it and goes on: stopping anywhere leaves one clean record.

    A longer run of the same fingerprint is the same run, extended. The last step of a run that ends by its rollouts may
    be cut short. Its checkpoint says under which total: a longer run goes on from the one before, as if never so short.
    """

    def __init__(self, cfg: Any) -> None:
        self.cfg = cfg
        self.path = run_dir(cfg, schedule_reads_progress(cfg))
        self.dir = RunDir(self.path)
        self.console = Console()
        self.tracker: Tracker | None = None
        self.step, self.ledger, self.next_eval, self.best = 0, Ledger(), 0, float("-inf")
        self.clipped_at: int | None = None
        """Total of rollouts under which a step was cut short."""
        self._saved = -1
        """Step of the checkpoint that holds the present state."""
        self.row: dict[str, float] = {"step": 0.0}
        self.ended: str | None = None
        """The budget key that ended the run."""
        self.clock = Clock()
        self._sampler_before: dict[str, Any] | None = None
        self._warned, self._ungraded, self.empty_steps = False, 0, 0

    def __enter__(self) -> Run:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        self.console.close()
        try:
            if self.tracker is not None:  # else nothing was begun, and what an earlier process wrote stays
                state = "done" if error is None else "stopped" if isinstance(error, Stopped) else "failed"
                if error is not None:
                    self._set_status(state, reason=f"{type(error).__name__}: {error}"[:500])
                self.tracker.close(state)
        except OSError:
            if error is None:  # else a full disk has two things to say, and the first is the cause
                raise
        finally:
            self.dir.close()

    # ---------------------------------------------------------------- start and end

    def already_done(self) -> bool:
        """Whether this very run has ended by its budget. Less than it has is an error."""
        status, total = self.dir.status(), total_rollouts(self.cfg.budget)
        if status.get("state") == "done" and status.get("length") == self._length():
            self.console.note(f"done already ({status['step']} steps): {self.path}")
            return True
        if status.get("step", 0) > self.cfg.budget.steps:
            raise InputError(
                f"{self.path} has {status['step']} steps, budget.steps={self.cfg.budget.steps} asks "
                f"for fewer; ask for at least as many, or name another experiment by name=NAME"
            )
        if status.get("rollouts", 0) > total:
            raise InputError(
                f"{self.path} has generated {status['rollouts']:,} rollouts, {total:,} are asked for; ask for at least "
                "as many by budget.rollouts or budget.steps, or name another experiment by name=NAME"
            )
        return False

    def _length(self) -> dict[str, Any]:
        return {key: OmegaConf.select(self.cfg, key) for key in LENGTH}

    def start(self, lab: Lab) -> None:
        """Identity, records, and the newest complete checkpoint if there is one."""
        config = OmegaConf.to_container(self.cfg, resolve=True)
        identity = self.dir.identify(fingerprint=self.path.parent.name, seed=self.cfg.seed, **lab.facts())
        write_atomic(self.path / "config.yaml", OmegaConf.to_yaml(self.cfg, resolve=True))
        self.tracker = Tracker(self.path, self.cfg.tracking, config=config, identity=identity, warn=self.console.note)
        self.ledger.reference_rollouts = lab.sampler.reference_rollouts()
        self.console.start([str(self.path), *lab.title()])
        self._restore(lab)
        self.tracker.cut(self.step)
        if "eval/accuracy" not in self.row:  # a shorter run ended here and was evaluated for that alone
            for folder in ("evals", "eval_completions", "panel"):
                (self.path / folder / f"step_{self.step:06d}.jsonl").unlink(missing_ok=True)
        shutil.rmtree(self.path / "adapters" / "last", ignore_errors=True)
        if (lost := self.step - len(self.tracker.rows())) > 0:
            self.console.note(f"metrics.jsonl lacks {lost} of {self.step} rows: they were lost before this start")
        self._set_status("running")

    def _restore(self, lab: Lab) -> None:
        """Goes back to the newest checkpoint from which this run's length can be reached, if there is one."""
        there = checkpoint.complete(self.path / "checkpoints")
        for folder in reversed(there):
            state = self._load(lab, folder)
            if state is not None:
                break
        else:
            self._start_anew(there)
            return
        lab.sampler.load_state_dict(state["sampler"])
        lab.engine.sync(lab.learner)
        self.step, self.row = state["step"], state["row"]
        self.ledger = Ledger(**state["ledger"])
        self.next_eval, self.best, self.clipped_at = state["next_eval"], state["best"], state["clipped_at"]
        self._saved = self.step
        for later in there:  # not readable now, or of a shorter run's end: they would count as the newest
            if checkpoint.step_of(later) > self.step:
                checkpoint.put_aside(later)
        if (folder / "best").is_dir():
            checkpoint.replace_folder(self.path / "adapters" / "best", lambda to: _copy(folder / "best", to))
        self.console.note(f"going on after step {self.step}, from {folder.name}")

    def _load(self, lab: Lab, folder: Path) -> dict[str, Any] | None:
        """The state of a checkpoint, the learner brought to it; None when it is damaged or was cut short too early."""
        try:
            state = checkpoint.load(folder)
            if state["clipped_at"] not in (None, total_rollouts(self.cfg.budget)):
                return None
            lab.learner.load(folder)
            return state
        except Exception as error:  # every reader has errors of its own for damaged bytes
            if is_out_of_memory(error):
                raise
            self.console.note(f"{folder} is damaged and left aside ({type(error).__name__})")
            return None

    def _start_anew(self, there: list[Path]) -> None:
        """Says it when work that was done can't be gone on with; refuses when it was finished."""
        status = self.dir.status()
        if there or status.get("state") == "done":
            raise InputError(
                f"{self.path} has {status.get('step', '?')} steps but no checkpoint to go on from; "
                "remove the directory to start again, or name another experiment by name=NAME"
            )
        if status.get("step", 0) > 0:
            self.console.note(f"stopped before its first checkpoint, at step {status['step']}: starting again")

    def finish(self, lab: Lab) -> None:
        """The adapter, the table. ``spent`` has said which bound ended the run."""
        checkpoint.replace_folder(self.path / "adapters" / "last", lab.learner.save_weights)
        assert self.tracker is not None
        self._set_status("done", length=self._length(), ended_by=self.ended)
        self.console.finish(self.tracker.rows(), self.path, self.ended)

    # ---------------------------------------------------------------- the steps

    def begin_step(self, lab: Lab) -> None:
        self._sampler_before = lab.sampler.state_dict()

    def end_step(
        self,
        row: dict[str, float],
        *,
        seconds: float,
        rollouts: int,
        tokens: int,
        groups: list[dict[str, Any]],
        completions: list[dict[str, Any]],
    ) -> None:
        """Moves the run past a step whose update is done: ledger, row, records of groups and completions."""
        assert self.tracker is not None
        self.step += 1
        self._sampler_before = None
        self.ledger.rollouts += rollouts
        self.ledger.tokens += tokens
        self.ledger.seconds += seconds
        self.row = {
            "step": float(self.step),
            **row,
            "step/rollouts": float(rollouts),
            "time/step": seconds,
            "rate/tokens_per_second": tokens / max(1e-9, seconds),
            **self.clock.take(),
        }
        self.tracker.groups(groups)
        self.tracker.completions(self.step, completions)

    def log(self) -> None:
        assert self.tracker is not None
        for phase, seconds in self.clock.take().items():
            self.row[phase] = self.row.get(phase, 0.0) + seconds
        self.row |= self.ledger.metrics()
        self.tracker.log(self.row)
        self.console.step(self.row, steps=self.cfg.budget.steps, rollouts=total_rollouts(self.cfg.budget))
        self._set_status("running")

    def _set_status(self, state: str, **more: Any) -> None:
        self.dir.set_status(state, self.step, rollouts=self.ledger.rollouts, **more)

    def graded(self, verdicts: int, faults: int, reason: str) -> None:
        """Warns once when rollouts could not be graded; stops a run whose verifier grades nothing at all."""
        if faults and not self._warned:
            self._warned = True
            self.console.note(f"{faults} of {verdicts} rollouts of a step could not be graded: {reason}")
        self._ungraded = self._ungraded + 1 if faults and faults == verdicts else 0
        if self._ungraded >= UNGRADED_STEPS:
            raise _graded_nothing(f"{self._ungraded} consecutive steps", reason)

    # ---------------------------------------------------------------- evaluation

    def evaluation_due(self) -> bool:
        """At the start, past each mark of ``eval.every_rollouts``, at the end; never twice for one state."""
        evaluated = "eval/accuracy" in self.row
        return not evaluated and (self.ended is not None or self.ledger.rollouts >= self.next_eval)

    def evaluated(self, lab: Lab, found: Evaluation) -> None:
        """Takes an evaluation into the row and the records; keeps the adapter if it is the best so far."""
        if self.step == 0 and found.metrics["eval/faults"] == 1:
            raise _graded_nothing("the first evaluation", next(iter(lab.verifier.reasons.values()), ""))
        every = self.cfg.eval.every_rollouts
        self.next_eval = (self.ledger.rollouts // every + 1) * every
        self.ledger.eval_rollouts += found.rollouts
        self.row |= found.metrics
        self._keep("evals", found.rows)
        if found.completions:
            self._keep("eval_completions", found.completions)
        if found.metrics["eval/accuracy"] > self.best:
            self.best = found.metrics["eval/accuracy"]
            checkpoint.replace_folder(self.path / "adapters" / "best", lab.learner.save_weights)

    def panel_read(self, found: Reading) -> None:
        """Takes a measurement of the panel into the row and the records."""
        self.ledger.panel_rollouts += found.rollouts
        self.row |= found.metrics
        self._keep("panel", found.rows)

    def _keep(self, folder: str, rows: list[dict[str, Any]]) -> None:
        """Rows of this step boundary, in a file of their own."""
        (self.path / folder).mkdir(exist_ok=True)
        lines = "".join(json.dumps(row) + "\n" for row in rows)
        write_atomic(self.path / folder / f"step_{self.step:06d}.jsonl", lines)

    # ---------------------------------------------------------------- checkpoints

    def save_due(self) -> bool:
        """Every so many steps, and before a step that the run's total of rollouts may cut short."""
        near_the_end = total_rollouts(self.cfg.budget) - self.ledger.rollouts < step_rollouts(self.cfg.budget)
        return self.step > 0 and (self.step % self.cfg.checkpoint.every_steps == 0 or near_the_end)

    def save(self, lab: Lab) -> None:
        """The state at the last step boundary: inside a step nothing but the sampler has moved."""
        if self._saved == self.step:
            return
        state = {
            "step": self.step,
            "row": self.row,
            "ledger": self.ledger.state_dict(),
            "next_eval": self.next_eval,
            "best": self.best,
            "clipped_at": self.clipped_at,
            "sampler": self._sampler_before or lab.sampler.state_dict(),
        }

        def write(folder: Path) -> None:
            lab.learner.save(folder)
            if (best := self.path / "adapters" / "best").is_dir():  # so that it goes back with the rest
                _copy(best, folder / "best")

        with self.clock.timed("checkpoint"):
            checkpoint.save(self.path / "checkpoints", self.step, state, write, self.cfg.checkpoint.keep)
        self._saved = self.step


def _graded_nothing(where: str, reason: str) -> InputError:
    return InputError(f"the verifier graded nothing in {where}: {reason}; try rftlab validate dataset=… verifier=…")


def _copy(source: Path, target: Path) -> None:
    shutil.copytree(source, target, dirs_exist_ok=True)
