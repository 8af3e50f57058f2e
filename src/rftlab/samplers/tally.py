"""Groups to counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from rftlab.core import Feedback, Group


def tally(
    tasks: Iterable[int],
    *books: Mapping[int, Group],
    trained: Iterable[int] = (),
    abs_advantage: Mapping[int, float] | None = None,
) -> Feedback:
    """One row per task, its rollouts in all ``books`` (task -> group) together; faults are no trials."""
    tasks, known = list(tasks), abs_advantage or {}
    sums = np.zeros((len(tasks), 3))
    for row, task in enumerate(tasks):
        for o in (book[task].outcomes() for book in books if task in book):
            sums[row] += o.wins, o.trials, o.score[o.valid].sum()
    index = np.array(tasks, np.int64)
    return Feedback(
        tasks=index,
        wins=sums[:, 0].astype(np.int64),
        trials=sums[:, 1].astype(np.int64),
        score=sums[:, 2],
        trained=np.isin(index, list(trained)),
        abs_advantage=np.array([known.get(task, np.nan) for task in tasks], np.float64),
    )
