"""From the rows of a file to a pool to train on and a disjoint pool to evaluate on. Every file format ends here."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from rftlab.core import Float, InputError, Task, TaskPool, task_id
from rftlab.datasets.base import Dataset

SHOWN = 5
"""Bad rows named in an error; the others are counted."""


@dataclass(frozen=True)
class Row:
    """One row of a file and where it stands, e.g. ``train.jsonl:17``."""

    where: str
    fields: Mapping[str, Any]


@dataclass(frozen=True)
class Columns:
    """Which keys of a row mean what."""

    prompt: str
    """A text, which becomes one user message, or a list of chat messages, taken as it is."""
    answer: str
    category: str | None = None
    level: str | None = None
    id: str | None = None
    """An explicit identity: two rows that share it must be equal."""
    references: Mapping[str, str] = field(default_factory=dict)
    """Reference model -> key of its pass rate; null or NaN = unknown."""
    system: str | None = None
    """System message before every text prompt."""
    template: str | None = None
    """What a text prompt is put into, in place of ``{prompt}``."""

    def __post_init__(self) -> None:
        if self.template is not None and "{prompt}" not in self.template:
            raise InputError(f"dataset.template={self.template!r} does not say where the {{prompt}} goes")

    def used(self) -> set[str]:
        """The keys that are not carried over into ``Task.meta``."""
        return {self.prompt, self.answer, *self.references.values()}


@dataclass(frozen=True)
class Entry:
    """A readable row: what a task is made of, before tasks are numbered."""

    id: str
    prompt: tuple[Mapping[str, str], ...]
    answer: str
    meta: Mapping[str, Any]
    category: str | None
    level: float
    references: Mapping[str, float]
    explicit_id: str | None

    @property
    def prompt_hash(self) -> str:
        """The same for rows that ask the same, whatever they take for the answer."""
        return task_id(self.prompt, "", "prompt")


class BadRow(ValueError):
    """Why a row cannot be a task."""


def read_jsonl(path: str | Path) -> list[Row]:
    """The rows of a file with one JSON object a line; empty lines are skipped, line numbers kept."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file {str(path)!r}: give one with a JSON object a line, dataset.path=FILE.jsonl")
    rows, bad = [], []
    try:
        with path.open(encoding="utf-8-sig") as lines:
            for number, line in enumerate(lines, 1):
                if not line.strip():
                    continue
                try:
                    content = json.loads(line)
                except (ValueError, RecursionError):  # not JSON, an integer of over 4,300 digits, nested too deep
                    content = None
                if isinstance(content, dict):
                    rows.append(Row(f"{path.name}:{number}", content))
                else:
                    bad.append(f"line {number} is not a JSON object")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{str(path)!r} cannot be read as UTF-8 text: {error}") from error
    _stop_on(bad, len(rows) + len(bad), str(path))
    if not rows:
        raise InputError(f"{str(path)!r} has no row: wanted one JSON object a line")
    return rows


def entries(rows: Sequence[Row], columns: Columns, source: str) -> tuple[list[Entry], int]:
    """The distinct rows as entries, in order, and the number of identical ones left out."""
    read: list[tuple[str, Entry]] = []
    bad: list[str] = []
    for row in rows:
        try:
            read.append((row.where, _entry(row, columns)))
        except BadRow as problem:
            bad.append(f"line {row.where.rpartition(':')[2]} {problem}")
    _stop_on(bad, len(rows), source)
    _one_content_per_id(read, source)
    distinct = {entry.id: entry for _, entry in reversed(read)}  # the first of equal rows wins
    kept = [entry for _, entry in read if distinct[entry.id] is entry]
    return kept, len(read) - len(kept)


def split(found: Sequence[Entry], fraction: float) -> tuple[list[Entry], list[Entry]]:
    """Training and evaluation entries: those whose prompt hash falls into the lowest ``fraction`` are evaluated on.

    So an entry stays on its side when rows are added, removed or shuffled. At least one is evaluated on.
    """
    if not 0 < fraction < 1:
        raise InputError(f"dataset.eval_fraction={fraction:g}: wanted a share in (0, 1), or dataset.eval_path=FILE")
    bound = max(int(fraction * 2**64), min(int(e.prompt_hash, 16) for e in found) + 1)
    sides: tuple[list[Entry], list[Entry]] = [], []
    for entry in found:
        sides[int(entry.prompt_hash, 16) < bound].append(entry)
    return sides


def dataset(
    name: str,
    train_rows: Sequence[Row],
    columns: Columns,
    eval_rows: Sequence[Row] | None = None,
    eval_fraction: float = 0.1,
    limit: int | None = None,
    reference_rollouts: Mapping[str, int] | None = None,
) -> Dataset:
    """The dataset of these rows.

    Training tasks whose prompt also stands among the evaluation tasks are left out and counted. ``limit`` keeps the
    first so many training tasks of what remains.
    """
    train, duplicates = entries(train_rows, columns, f"{name!r} (training)")
    for model, key in columns.references.items():
        if not any(key in row.fields for row in train_rows):
            raise InputError(f"no training row of {name!r} has {key!r}, named by dataset.references.{model}")
    counts = {"rows read": len(train_rows), "identical rows dropped": duplicates}
    if eval_rows is None:
        train, held_out = split(train, eval_fraction)
    else:
        held_out, duplicates = entries(eval_rows, columns, f"{name!r} (evaluation)")
        counts |= {"evaluation rows read": len(eval_rows), "identical evaluation rows dropped": duplicates}
    unseen = {entry.prompt_hash for entry in held_out}
    kept = [entry for entry in train if entry.prompt_hash not in unseen]
    counts["training rows dropped for standing in the evaluation set"] = len(train) - len(kept)
    if not kept:
        raise InputError(
            f"dataset {name!r} has no training task left beside its {len(held_out)} evaluation tasks: "
            "give more rows, or other rows by dataset.eval_path=FILE"
        )
    if limit is not None and limit < 1:
        raise InputError(f"dataset.limit={limit}: wanted at least 1, or null for all")
    share = min(limit or len(kept), len(kept)) / len(kept)
    kept = kept[:limit]
    categories = sorted({entry.category for entry in [*kept, *held_out] if entry.category is not None})
    costs = dict(reference_rollouts or {})
    if unknown := set(costs) - set(columns.references):
        raise InputError(f"dataset.reference_rollouts names {sorted(unknown)}, which dataset.references does not")
    costs = {model: round(cost * share) for model, cost in costs.items()}  # of the tasks that are kept
    return Dataset(
        _pool(name, kept, columns, categories, costs),
        _pool(f"{name}-eval", held_out, columns, categories, {}),
        counts,
    )


def _stop_on(bad: Sequence[str], total: int, source: str) -> None:
    """Raises with the first bad rows and their count, if there is any."""
    if bad:
        more = f"; and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        raise InputError(f"{len(bad)} of {total} rows of {source} cannot be used: {'; '.join(bad[:SHOWN])}{more}")


def _entry(row: Row, columns: Columns) -> Entry:
    prompt = _messages(row, columns)
    answer = row.fields.get(columns.answer)
    if isinstance(answer, bool | list | dict):
        raise BadRow(f"has a {type(answer).__name__} for {columns.answer!r}, wanted a text or a number")
    if answer is None or not str(answer).strip() or (isinstance(answer, float) and not math.isfinite(answer)):
        raise BadRow(f"has no {columns.answer!r} (dataset.answer_key)")
    category = row.fields.get(columns.category) if columns.category else None
    if columns.category and category is None:
        raise BadRow(f"has no {columns.category!r} (dataset.category_key)")
    level = _number(row, columns.level) if columns.level else math.nan
    if columns.level and math.isnan(level):
        raise BadRow(f"has no {columns.level!r} (dataset.level_key)")
    explicit = row.fields.get(columns.id) if columns.id else None
    if columns.id and explicit is None:
        raise BadRow(f"has no {columns.id!r} (dataset.id_key)")
    meta = {k: v for k, v in row.fields.items() if k not in columns.used()} | {"row": row.where}
    try:
        identity = task_id(prompt, str(answer))
    except UnicodeEncodeError:
        raise BadRow("holds half of a surrogate pair, which is no character") from None
    return Entry(
        id=identity,
        prompt=prompt,
        answer=str(answer),
        meta=meta,
        category=None if category is None else str(category),
        level=level,
        references={name: _number(row, key) for name, key in columns.references.items()},
        explicit_id=None if explicit is None else str(explicit),
    )


def _messages(row: Row, columns: Columns) -> tuple[Mapping[str, str], ...]:
    prompt = row.fields.get(columns.prompt)
    if prompt is None or prompt == [] or (isinstance(prompt, str) and not prompt.strip()):
        raise BadRow(f"has no {columns.prompt!r} (dataset.prompt_key)")
    if isinstance(prompt, str):
        system = ({"role": "system", "content": columns.system},) if columns.system else ()
        text = columns.template.replace("{prompt}", prompt) if columns.template else prompt
        return (*system, {"role": "user", "content": text})
    if isinstance(prompt, list) and all(
        isinstance(m, dict) and isinstance(m.get("role"), str) and isinstance(m.get("content"), str) for m in prompt
    ):
        return tuple({"role": m["role"], "content": m["content"]} for m in prompt)
    raise BadRow(f"has a {columns.prompt!r} that is neither a text nor a list of messages with role and content")


def _number(row: Row, key: str) -> float:
    """The number under ``key``; NaN where it is null, NaN or missing."""
    value = row.fields.get(key)
    if value is None:
        return math.nan
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadRow(f"has {value!r:.40} for {key!r}, wanted a number")
    return float(value)


def _one_content_per_id(read: Iterable[tuple[str, Entry]], source: str) -> None:
    first: dict[str, tuple[str, Entry]] = {}
    for where, entry in read:
        if entry.explicit_id is None:
            continue
        seen_at, seen = first.setdefault(entry.explicit_id, (where, entry))
        if seen.id != entry.id:
            raise InputError(
                f"id {entry.explicit_id!r} of {source} has two contents, at {seen_at} and {where}: "
                "make the ids distinct, or dataset.id_key=null"
            )


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
