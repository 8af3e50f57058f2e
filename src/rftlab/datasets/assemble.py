"""From rows to a pool to train on and a disjoint pool to evaluate on. Every table of tasks ends here."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rftlab.core import Float, InputError, Task, TaskPool
from rftlab.datasets.base import Dataset
from rftlab.datasets.rows import Columns, Entry, Row, entries, field_of, there


@dataclass(frozen=True)
class Source:
    """Rows and how they are read."""

    rows: Sequence[Row]
    columns: Columns
    filter: Mapping[str, Any]
    """Key -> a value, a list of values, or ``{min, max}`` (closed; either may be missing). Numbers are compared as
    such, also where the rows hold them as text."""
    skip: bool = False
    """Leave out what cannot be a task, instead of stopping."""

    def entries(self, name: str, kind: str) -> tuple[list[Entry], dict[str, int], list[tuple[str, str]]]:
        """Distinct entries, what was counted, and (where, why) of the rows left out."""
        kept = self._filtered(name, kind)
        found, same, bad = entries(kept, self.columns, f"{name!r} ({kind} rows)", self.skip)
        counts = {
            f"{kind} rows read": len(self.rows),
            f"{kind} rows left out by dataset.filter": len(self.rows) - len(kept),
            f"identical {kind} rows dropped": same,
            f"{kind} rows left out that cannot be a task": len(bad),
        }
        return found, counts, bad

    def _filtered(self, name: str, kind: str) -> list[Row]:
        good = [row for row in self.rows if row.defect is None]
        for key in self.filter:
            if not any(field_of(row.fields, str(key)) is not None for row in good):
                raise InputError(f"dataset.filter.{key}: no {kind} row of {name!r} has it; they have {there(good)}")
        kept = [row for row in self.rows if row.defect is not None or self._passes(row)]
        if not kept:
            raise InputError(f"no {kind} row of {name!r} passes dataset.filter={dict(self.filter)}: loosen it")
        return kept

    def _passes(self, row: Row) -> bool:
        return all(_matches(key, wanted, field_of(row.fields, str(key))) for key, wanted in self.filter.items())


def _matches(key: str, wanted: Any, value: Any) -> bool:
    if isinstance(wanted, Mapping):
        if set(wanted) - {"min", "max"} or not all(isinstance(v, int | float) for v in wanted.values()):
            raise InputError(f"dataset.filter.{key}={dict(wanted)}: wanted a value, [values] or {{min: A, max: B}}")
        try:
            number = float(value)
        except (TypeError, ValueError):
            return False
        return wanted.get("min", -np.inf) <= number <= wanted.get("max", np.inf)
    return any(_same(each, value) for each in (wanted if isinstance(wanted, list | tuple) else [wanted]))


def _same(wanted: Any, value: Any) -> bool:
    """As texts, or as numbers where both are: 3, 3.0 and "3" are the same level."""
    if str(wanted) == str(value):
        return True
    numbers = _number(wanted), _number(value)
    return None not in numbers and numbers[0] == numbers[1]


def _number(value: Any) -> int | float | None:
    if isinstance(value, str):
        for kind in (int, float):  # int first: a float knows 16 digits of an id
            try:
                return kind(value)
            except ValueError:
                continue
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def split(found: Sequence[Entry], fraction: float) -> tuple[list[Entry], list[Entry]]:
    """Training and evaluation entries: those whose prompt hash falls into the lowest ``fraction`` are evaluated on.

    So an entry stays on its side when rows are added, removed or shuffled. At least one is evaluated on; 1 = all are.
    """
    if not 0 < fraction <= 1:
        raise InputError(
            f"dataset.eval_fraction={fraction:g}: wanted a share in (0, 1], 1 = all, or dataset.eval_path=FILE"
        )
    bound = max(int(fraction * 2**64), min(int(e.prompt_hash, 16) for e in found) + 1)
    sides: tuple[list[Entry], list[Entry]] = [], []
    for entry in found:
        sides[int(entry.prompt_hash, 16) < bound].append(entry)
    return sides


def assemble(
    name: str,
    train: Source,
    held_out: Source | None = None,
    eval_fraction: float = 0.1,
    limit: int | None = None,
    reference_samples: Mapping[str, int] | None = None,
) -> Dataset:
    """The dataset of these rows.

    Training tasks whose prompt also stands among the evaluation tasks (``Entry.leak_key``) are left out and counted.
    ``limit`` keeps the first so many training tasks of what remains. Without ``held_out`` a share of the rows is
    evaluated on; a share of 1 leaves a dataset that is for evaluation only. ``reference_samples`` is how many rollouts
    stand behind a known rate of a reference.
    """
    if limit is not None and limit < 1:
        raise InputError(f"dataset.limit={limit}: wanted at least 1, or null for all")
    found, counts, left_out = train.entries(name, "training")
    if not found:
        raise InputError(
            f"dataset {name!r} has no row that can be a task: "
            + "; ".join(f"{w} {why}" for w, why in left_out[:5])
            + f". The rows have {there(train.rows)}"
        )
    columns = train.columns
    for model, key in columns.references.items():
        if not any(field_of(row.fields, key) is not None for row in train.rows):
            raise InputError(f"no training row of {name!r} has {key!r}, named by dataset.references.{model}")
    if held_out is None:
        found, unseen = split(found, eval_fraction)
    else:
        unseen, more, bad = held_out.entries(name, "evaluation")
        counts, left_out = counts | more, left_out + bad
    kept = _not_leaked(found, unseen)
    counts["training rows dropped for standing in the evaluation set"] = len(found) - len(kept)
    if not unseen or (not kept and (held_out is not None or eval_fraction < 1)):
        raise InputError(
            f"dataset {name!r} has no {'training' if unseen else 'evaluation'} task left beside its "
            f"{len(unseen) or len(kept)} {'evaluation' if unseen else 'training'} tasks: "
            "give more rows, or other rows by dataset.eval_path=FILE"
        )
    kept = kept[:limit]
    costs = _costs(reference_samples or {}, columns, kept)
    categories = sorted({entry.category for entry in [*kept, *unseen] if entry.category is not None})
    return Dataset(
        _pool(name, kept, columns, categories, costs) if kept else None,
        _pool(f"{name}-eval", unseen, columns, categories, {}),
        counts,
        tuple(left_out),
    )


def _not_leaked(train: Sequence[Entry], held_out: Sequence[Entry]) -> list[Entry]:
    unseen = {entry.leak_key for entry in held_out}
    return [entry for entry in train if entry.leak_key not in unseen]


def _costs(samples: Mapping[str, int], columns: Columns, kept: Sequence[Entry]) -> dict[str, int]:
    """What the known rates of these tasks have cost in rollouts."""
    if unknown := set(samples) - set(columns.references):
        raise InputError(f"dataset.reference_samples names {sorted(unknown)}, which dataset.references does not")
    for model, each in samples.items():
        if not isinstance(each, int) or isinstance(each, bool) or each < 1:
            raise InputError(f"dataset.reference_samples.{model}={each}: wanted the rollouts of one task, 1 or more")
    return {model: each * sum(not np.isnan(e.references[model]) for e in kept) for model, each in samples.items()}


def _pool(
    name: str, kept: Sequence[Entry], columns: Columns, categories: Sequence[str], costs: Mapping[str, int]
) -> TaskPool:
    number = {category: i for i, category in enumerate(categories)}
    references: dict[str, Float] = {
        model: np.array([e.references[model] for e in kept], np.float64) for model in columns.references
    }
    return TaskPool(
        tasks=tuple(Task(e.id, i, e.prompt, e.answer, e.meta) for i, e in enumerate(kept)),
        category=np.array([number[str(e.category)] for e in kept], np.int64) if columns.category else None,
        categories=tuple(categories),
        level=np.array([e.level for e in kept], np.float64) if columns.level else None,
        references=references,
        reference_rollouts=costs,
        name=name,
    )
