"""What the composer checks of the parts' answers: a part that breaks the protocol is named at once."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rftlab.core import Bool, Float, Group, InputError, Int, Outcomes, Pick, Request, TaskPool
from rftlab.samplers.base import Admission, Allocator, Part, Selector


def class_name(part: Part) -> str:
    return f"{type(part).__module__}.{type(part).__qualname__}"


def check_tasks(selector: Selector, method: str, tasks: Int, most: int, taken: Bool) -> None:
    """``tasks`` must be at most ``most`` distinct indices that are not ``taken`` (bool [N])."""
    wrong = None
    if not isinstance(tasks, np.ndarray) or not np.issubdtype(tasks.dtype, np.integer):
        wrong = f"{getattr(tasks, 'dtype', type(tasks).__name__)}, wanted an array of integers"
    elif len(tasks) > most:
        wrong = f"{len(tasks)} tasks, wanted {most} at most"
    elif len(tasks) and (tasks.min() < 0 or tasks.max() >= len(taken)):
        wrong = f"indices in [{tasks.min()}, {tasks.max()}] of a pool of {len(taken)}"
    elif len(np.unique(tasks)) < len(tasks):
        wrong = "a task twice"
    elif taken[tasks].any():
        wrong = f"task {tasks[taken[tasks]][0]}, which is taken"
    if wrong:
        raise ValueError(f"{class_name(selector)}.{method} returned {wrong}")


def check_prediction(selector: Selector, rate: Float | None, n: int) -> Float | None:
    """``rate`` must be float64 [N] or None; it is handed on."""
    if rate is not None and np.shape(rate) != (n,):
        raise ValueError(f"{class_name(selector)}.predict returned the shape {np.shape(rate)}, wanted ({n},) or None")
    return rate


def check_numbers(allocator: Allocator, method: str, n: Int, rows: int, least: int) -> None:
    """``n`` must be ``rows`` numbers of rollouts, none below ``least``."""
    if n.shape != (rows,) or (n < least).any():
        raise ValueError(
            f"{class_name(allocator)}.{method} returned {n.tolist()}, wanted {rows} numbers of at least {least}"
        )


def check_pick(admission: Admission, pick: Pick, o: Outcomes, least: int) -> None:
    """``pick`` must be at least ``least`` distinct valid rollouts of that very task."""
    rows = pick.rollouts.tolist()
    valid = np.flatnonzero(o.valid).tolist()
    if pick.task != o.task or len(rows) < least or len(set(rows)) < len(rows) or not set(rows) <= set(valid):
        raise ValueError(
            f"{class_name(admission)}.assemble picked {rows} of task {pick.task}, "
            f"wanted at least {least} distinct valid rollouts of task {o.task}: {valid}"
        )
    if not 0 < pick.weight < float("inf"):
        raise ValueError(f"{class_name(admission)}.assemble gave task {pick.task} the weight {pick.weight}, wanted > 0")


def check_told(pool: TaskPool, asked: Sequence[Request], groups: Sequence[Group], step: int) -> None:
    """``groups`` must answer the requests, one by one."""
    told = [(g.task.id, len(g.completions), g.purpose.value, g.step) for g in groups]
    want = [(pool.tasks[r.task].id, r.n, r.purpose.value, step) for r in asked]
    if told != want:
        wrong = [pair for pair in zip(told, want, strict=False) if pair[0] != pair[1]]
        got, wanted = wrong[0] if wrong else (f"{len(told)} groups", len(want))
        raise ValueError(f"the groups told do not answer the requests: got {got}, asked for {wanted}")


def check_same(what: str, found: Any, wanted: Any) -> None:
    """A checkpoint's ``what`` must be this run's."""
    if found != wanted:
        raise InputError(
            f"the sampler state has {what} {found}, this run has {wanted}: "
            "resume with the dataset and sampler of the checkpoint, or start a new run"
        )
