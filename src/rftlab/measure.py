"""What a step has shown, as metrics and as rows for the records. Pure functions of its groups."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from rftlab.canonical import content_hash
from rftlab.core import Finish, Float, Group, Pick, Purpose, Status, Task


def step_metrics(generated: Sequence[Group], batch: Sequence[tuple[Group, Pick]], step: int) -> dict[str, float]:
    """Metrics of everything generated in a step, and of the batch that was trained on.

    A group is mixed when 0 < pass rate < 1 over its valid rollouts. ``group/etr`` is the share of mixed groups in the
    batch (BOTS' effective task ratio), ``group/yield`` the same over all generated groups. Shares of no group are NaN.
    """
    trained = [group for group, _ in batch]
    train = [group for group in generated if group.purpose is Purpose.TRAIN]
    rates, batch_rates = _rates(train), _rates(trained)
    completions = [c for group in generated for c in group.completions]
    verdicts = [v for group in generated for v in group.verdicts]
    lengths = np.array([len(c.tokens) for c in completions] or [0])
    scores = [v.score for v in verdicts if v.valid]
    stds = [float(np.std([v.score for v in g.verdicts if v.valid])) for g in train if any(v.valid for v in g.verdicts)]
    out = {
        "reward/mean": _mean(scores) if scores else float("nan"),  # nothing graded is not a reward of 0
        "reward/group_std": _mean(stds),
        "group/etr": _share(batch_rates, _mixed(batch_rates)),
        "group/yield": _share(rates, _mixed(rates)),
        "group/all_pass": _share(rates, rates == 1),
        "group/all_fail": _share(rates, rates == 0),
        "group/generated": float(len(train)),
        "group/trained": float(len(trained)),
        "group/trained_carried": float(sum(group.step < step for group in trained)),
        "group/size_mean": _mean([len(pick.rollouts) for _, pick in batch]),
        "completion/tokens_mean": float(lengths.mean()),
        "completion/tokens_max": float(lengths.max()),
        "completion/truncated": _mean([c.finish is Finish.LENGTH for c in completions]),
    }
    for status in (Status.UNPARSABLE, Status.TIMEOUT, Status.FAULT):
        out[f"verdict/{status}"] = _mean([v.status is status for v in verdicts])
    return out


def group_rows(
    generated: Sequence[Group],
    rounds: Sequence[int],
    admitted: Mapping[int, bool],
    trained: Collection[int],
    predicted: Float | None,
) -> list[dict[str, Any]]:
    """A row for ``groups.jsonl`` per generated group.

    ``predicted`` float64 [N] is the belief before the step. ``trained`` says whether the group was trained on in this
    step; an admitted one that was not may be carried, and ``group/trained_carried`` counts it when its time comes.
    """
    rows = []
    for group, round_ in zip(generated, rounds, strict=True):
        o, k = group.outcomes(), group.task.index
        rows.append(
            {
                "step": group.step,
                "round": round_,
                "task": group.task.id,
                "index": k,
                "purpose": str(group.purpose),
                "wins": o.wins,
                "trials": o.trials,
                "rollouts": len(group.completions),
                "tokens": int(o.tokens.sum()),
                "predicted": None if predicted is None else round(float(predicted[k]), 4),
                "admitted": group.purpose is Purpose.TRAIN and admitted.get(k, False),
                "trained": group.purpose is Purpose.TRAIN and k in trained,
            }
        )
    return rows


def completion_rows(
    generated: Sequence[Group],
    limit: int,
    batch: Sequence[tuple[Group, Pick]] = (),
    advantages: Mapping[int, Float] | None = None,
) -> list[dict[str, Any]]:
    """Readable completions of a step, one of each group in turn until ``limit``; -1 = all.

    ``advantages`` are those that ``batch`` was trained with (``UpdateInfo``). A rollout that no optimiser saw in this
    step has none: a fault, of a probe or of a group that was refused or carried, or one that its pick left out.
    """
    trained = {
        (_key(group), int(i)): float(a)
        for group, pick in batch
        if advantages and pick.task in advantages
        for i, a in zip(pick.rollouts, advantages[pick.task], strict=True)
    }
    depth = max((len(g.completions) for g in generated), default=0)
    order = [(g, i) for i in range(depth) for g in generated if i < len(g.completions)]
    order = order if limit < 0 else order[:limit]
    metas = {task.index: meta_hash(task) for task in {g.task.index: g.task for g, _ in order}.values()}
    return [
        {
            "step": g.step,
            "task": g.task.id,
            "prompt": g.task.prompt[-1]["content"],
            "answer": g.task.answer,
            "text": g.completions[i].text,
            "score": g.verdicts[i].score,
            "passed": g.verdicts[i].passed,
            "status": str(g.verdicts[i].status),
            "parsed": g.verdicts[i].answer,
            "finish": str(g.completions[i].finish),
            "tokens": len(g.completions[i].tokens),
            "advantage": trained.get((_key(g), i)),
            "meta": metas[g.task.index],
        }
        for g, i in order
    ]


def meta_hash(task: Task) -> str:
    """8 hex digits of what a verifier may read beside the answer; where the task stands in its file is none of it."""
    return content_hash({key: value for key, value in task.meta.items() if key != "row"})


def _key(group: Group) -> tuple[int, str, int]:
    """The same for a group that was extended: a sampler and the records keep one each."""
    return group.task.index, group.purpose, group.step


def _rates(groups: Sequence[Group]) -> Float:
    outcomes = [group.outcomes() for group in groups]
    return np.array([o.wins / o.trials for o in outcomes if o.trials], np.float64)


def _mixed(rates: Float) -> np.ndarray:
    return (rates > 0) & (rates < 1)


def _share(rates: Float, mask: np.ndarray) -> float:
    return float(mask.mean()) if rates.size else float("nan")  # no group is not a share of 0


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if len(values) else 0.0
