"""Pass rates of a model on a training pool: measured by ``rftlab profile``, read by ``references`` of ``rftlab train``.

A profile is a JSONL file: a first line that says how it was made, then a line a task. It grows as it is made, so that
the same command goes on where it was stopped.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from omegaconf import OmegaConf

from rftlab.core import Float, InputError, Task, TaskPool
from rftlab.engines.base import Engine, Sampling
from rftlab.evaluate import roll_out
from rftlab.verifiers.pool import VerifierPool

FORMAT = 1


def main(cfg: Any) -> Path:
    """The verb ``profile``: measures what is missing in ``cfg.out`` and prints what the pool looks like."""
    from rftlab.lab import build_engine, fitting
    from rftlab.signals import Stopper
    from rftlab.verifiers.pool import build_pool

    dataset = fitting(cfg)
    pool = dataset.train
    path = Path(cfg.out or Path(cfg.outputs_dir) / "profiles" / f"{pool.name}_{cfg.model.name}.jsonl")
    with Stopper() as stopper, ExitStack() as stack:
        done = _begin(path, made_by(cfg), stack)
        todo = [task for task in pool.tasks if task.id not in done]
        if todo:
            verifier = stack.enter_context(build_pool(cfg.verifier, stopper.poll))
            learner, engine = build_engine(cfg, dataset, stopper.poll)
            stack.callback(engine.close)
            engine.sync(learner)
            sampling = Sampling(cfg.model.max_new_tokens, cfg.temperature)
            with path.open("a", encoding="utf-8") as file:
                for start in range(0, len(todo), cfg.tasks_at_once):
                    _measure(todo[start : start + cfg.tasks_at_once], cfg, engine, verifier, sampling, file)
                    print(
                        f"{start + len(todo[start : start + cfg.tasks_at_once]):,} of {len(todo):,} tasks", flush=True
                    )
    rates, cost = read(path, pool, "out")
    print("\n".join(summary(rates, cost)))
    print(path)
    return path


def made_by(cfg: Any) -> dict[str, Any]:
    """What decides the rates: two profiles with the same are interchangeable."""
    from rftlab.lab import is_simulated

    check: Any = OmegaConf.to_container(cfg.verifier.check, resolve=True)
    return {
        "profile": FORMAT,
        "simulated": OmegaConf.to_container(cfg.engine, resolve=True) if is_simulated(cfg) else None,
        "model": cfg.model.path,
        "revision": cfg.model.revision,
        "dtype": cfg.model.dtype,
        "init_from": cfg.init_from,
        "dataset": cfg.dataset.name,
        "verifier": {"name": cfg.verifier.name, **check},
        "rollouts": cfg.rollouts,
        "temperature": float(cfg.temperature),
        "max_new_tokens": cfg.model.max_new_tokens,
        "seed": cfg.seed,
        # None where older profiles have nothing
        "prompt": None if cfg.model.prompt == "chat" else cfg.model.prompt,
        "template_options": OmegaConf.to_container(cfg.model.template_options or OmegaConf.create({})) or None,
        "own_files": {**(cfg.model.own_files or {}), **(cfg.verifier.own_files or {})} or None,
    }


def read(path: Path, pool: TaskPool, key: str, *, simulated: bool = True) -> tuple[Float, int]:
    """Pass rates float64 [N] by task id, NaN where nothing could be graded, and the rollouts that they have cost.

    Raises:
        InputError: no profile, or one that does not know every task of the pool, or, unless ``simulated`` ones will do,
            one of a simulated learner; ``key`` is the option to repair.
    """
    if not path.is_file():
        raise InputError(f"{key}={path}: no such file; make it with rftlab profile")
    head, rows = _rows(path, key)
    known = sum(task.id in rows for task in pool.tasks)
    if known < len(pool):
        raise InputError(
            f"{key}={path} knows {known} of the {len(pool)} tasks of dataset {pool.name!r}: it was made for another "
            "pool, or not to its end; make it anew, or finish it, with rftlab profile"
        )
    if head.get("simulated") and not simulated:
        raise InputError(f"{key}={path} holds pass rates of a simulated learner: profile a real model")
    mine = [rows[task.id] for task in pool.tasks]
    wins, trials = np.array([r["wins"] for r in mine], np.float64), np.array([r["trials"] for r in mine], np.float64)
    rates = np.divide(wins, trials, out=np.full(len(pool), np.nan), where=trials > 0)
    return rates, sum(r["rollouts"] for r in mine)


def with_references(pool: TaskPool, files: Mapping[str, str] | None, simulated: bool) -> TaskPool:
    """The pool with the profiles in ``files`` (name -> path) beside the references of its dataset.

    Rates of a simulated learner are refused unless the run is ``simulated`` too.
    """
    rates, costs = dict(pool.references), dict(pool.reference_rollouts)
    for name, path in (files or {}).items():
        rates[name], costs[name] = read(Path(path), pool, f"references.{name}", simulated=simulated)
    return replace(pool, references=rates, reference_rollouts=costs)


def summary(rates: Float, cost: int) -> list[str]:
    """What a reader wants to know of a pool's rates: mean, dead tasks, a histogram by tenths."""
    known = rates[~np.isnan(rates)]
    if not known.size:
        return [f"{len(rates):,} tasks, none could be graded"]
    counts, _ = np.histogram(known, bins=10, range=(0, 1))
    widest = counts.max()
    return [
        f"{len(rates):,} tasks, {cost:,} rollouts, mean pass rate {known.mean():.3f}, "
        f"never solved {np.mean(known == 0):.0%}, always solved {np.mean(known == 1):.0%}"
        + (f", {len(rates) - len(known):,} not graded" if len(known) < len(rates) else ""),
        *(f"  {b / 10:.1f}-{(b + 1) / 10:.1f} {n:7,} {'#' * round(40 * n / widest)}" for b, n in enumerate(counts)),
    ]


def _measure(
    tasks: list[Task], cfg: Any, engine: Engine, verifier: VerifierPool, sampling: Sampling, file: TextIO
) -> None:
    _, verdicts = roll_out(engine, verifier, tasks, cfg.rollouts, sampling, ("profile", cfg.seed))
    for task, said in zip(tasks, verdicts, strict=True):
        valid = [v for v in said if v.valid]
        row = {"task": task.id, "wins": sum(v.passed for v in valid), "trials": len(valid), "rollouts": len(said)}
        file.write(json.dumps(row) + "\n")
    file.flush()


def _begin(path: Path, made: dict[str, Any], stack: ExitStack) -> set[str]:
    """Opens a profile for this process alone; the ids that it has already. A half-written last line is cut off."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = stack.enter_context(path.open("a+", encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot write to {path} ({error.strerror}); give another file by out=FILE") from error
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise InputError(f"{path} is being written by another process; give another file by out=FILE") from error
    text, head_line = path.read_bytes(), (json.dumps(made) + "\n").encode()
    whole = text.rfind(b"\n") + 1
    if not whole and not head_line.startswith(text):  # not even the beginning of a profile: somebody's file
        raise InputError(f"out={path} is no profile; give another file by out=FILE")
    if whole:
        if whole < len(text):
            file.truncate(whole)
        head, rows = _rows(path, "out")
        if different := [k for k in made if head.get(k) != made[k]]:
            said = ", ".join(f"{k}={head.get(k)} (asked for {made[k]})" for k in different)
            raise InputError(f"out={path} holds another profile: {said}; give another file by out=FILE, or remove it")
        return set(rows)
    file.truncate(0)
    file.write(head_line.decode())
    file.flush()
    return set()


def _rows(path: Path, key: str) -> tuple[dict[str, Any], dict[str, dict[str, Any]]]:
    """The first line, and the rows by task id."""
    try:
        *lines, _ = path.read_text(encoding="utf-8").split("\n")
        head, *rows = [json.loads(line) for line in lines]
        if head.get("profile") != FORMAT:
            raise ValueError(f"first line {head}")
        for row in rows:
            if not 0 <= row["wins"] <= row["trials"] <= row["rollouts"]:
                raise ValueError(f"row {row}")
        return head, {row["task"]: row for row in rows}
    except (ValueError, KeyError, AttributeError, TypeError) as error:
        raise InputError(f"{key}={path} is no profile ({error}); make one with rftlab profile") from error
