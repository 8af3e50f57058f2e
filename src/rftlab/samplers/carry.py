"""A group as plain lists and arrays and back, so that surplus groups survive in a checkpoint."""

from __future__ import annotations

from typing import Any

import numpy as np

from rftlab.core import Completion, Finish, Group, InputError, Purpose, Status, TaskPool, Verdict


def group_to_state(group: Group) -> dict[str, Any]:
    """Numbers go into arrays (exact, NaN included), texts into lists; token rows are concatenated, with lengths."""
    c, v = group.completions, group.verdicts
    return {
        "task": group.task.id,
        "index": group.task.index,
        "step": group.step,
        "purpose": group.purpose.value,
        "texts": [x.text for x in c],
        "lengths": np.array([len(x.tokens) for x in c], np.int64),
        "logp_lengths": np.array([len(x.logps) for x in c], np.int64),
        "tokens": np.concatenate([x.tokens for x in c]).astype(np.int32),
        "logps": np.concatenate([x.logps for x in c]).astype(np.float32),
        "finish": [x.finish.value for x in c],
        "version": np.array([x.version for x in c], np.int64),
        "score": np.array([x.score for x in v], np.float64),
        "passed": np.array([x.passed for x in v], bool),
        "status": [x.status.value for x in v],
        "answers": [x.answer for x in v],
        "seconds": np.array([x.seconds for x in v], np.float64),
    }


def group_from_state(state: dict[str, Any], pool: TaskPool) -> Group:
    """Inverse of ``group_to_state``."""
    task = pool.tasks[int(state["index"])]
    if task.id != state["task"]:
        raise InputError(f"a carried group belongs to task {state['task']}, the pool has {task.id} in its place")
    tokens = np.split(np.asarray(state["tokens"], np.int32), np.cumsum(state["lengths"])[:-1])
    logps = np.split(np.asarray(state["logps"], np.float32), np.cumsum(state["logp_lengths"])[:-1])
    completions = tuple(
        Completion(text, t, lp, Finish(finish), int(version))
        for text, t, lp, finish, version in zip(
            state["texts"], tokens, logps, state["finish"], state["version"], strict=True
        )
    )
    verdicts = tuple(
        Verdict(float(score), bool(passed), Status(status), answer, float(seconds))
        for score, passed, status, answer, seconds in zip(
            state["score"], state["passed"], state["status"], state["answers"], state["seconds"], strict=True
        )
    )
    return Group(task, completions, verdicts, int(state["step"]), Purpose(state["purpose"]))
