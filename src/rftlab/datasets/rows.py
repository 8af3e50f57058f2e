"""What makes a row of a table a task: which column means what, and what is wrong with a row that cannot be one."""

from __future__ import annotations

import math
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Any

from rftlab.core import InputError, task_id

SHOWN = 5
"""Bad rows named in an error; the others are counted."""
INSTRUCTIONS = (
    r"Let's think step by step and output the final answer within \boxed{}.",
    'Let\'s think step by step and output the final answer after "####".',
    r"Please output the final answer within \boxed{}.",
    r"Please reason step by step, and put your final answer within \boxed{}.",
)
"""What published files, those in verl's layout above all, write behind every question."""


@dataclass(frozen=True)
class Row:
    """One row of a table and where it stands, e.g. ``train.jsonl:17``."""

    where: str
    fields: Mapping[str, Any]
    defect: str | None = None
    """Why it cannot be a task, where that is already known."""
    file: Path | None = None
    """None = not from a local file."""


class BadRow(ValueError):
    """Why a row cannot be a task."""


def mapped(rows: Iterable[Row], change: Callable[[dict[str, Any]], Mapping[str, Any] | None]) -> list[Row]:
    """Rows with new fields, for adapters.

    ``change`` gets a copy of a row's fields and returns the new ones, or None for a row of another kind, which is left
    out. ``BadRow`` from it becomes the row's defect.
    """
    done = []
    for row in rows:
        if row.defect is not None:
            done.append(row)
            continue
        try:
            fields = change(dict(row.fields))
        except BadRow as problem:
            done.append(replace(row, defect=str(problem)))
        else:
            if fields is not None:
                done.append(replace(row, fields=fields))
    return done


@dataclass(frozen=True)
class Columns:
    """Which keys of a row mean what. A key with dots reaches into nested fields: ``reward_model.ground_truth``."""

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
    leak_key: str
    """The same for prompts that ask the same (``squeezed``)."""

    @property
    def prompt_hash(self) -> str:
        """The same for rows that ask the same, whatever they take for the answer."""
        return task_id(self.prompt, "", "prompt")


def field_of(fields: Mapping[str, Any], key: str) -> Any:
    """The value under ``key``, which may be a path with dots; None where there is none."""
    if key in fields:
        return fields[key]
    value: Any = fields
    for name in key.split("."):
        if not isinstance(value, Mapping) or name not in value:
            return None
        value = value[name]
    return value


def entries(
    rows: Sequence[Row], columns: Columns, source: str, skip: bool = False
) -> tuple[list[Entry], int, list[tuple[str, str]]]:
    """The distinct rows as entries, in order, the number of identical ones left out, and (where, why) of the bad ones.

    Bad rows raise ``InputError``, unless ``skip``.
    """
    read: list[tuple[str, Entry]] = []
    bad: list[tuple[str, str]] = []
    for row in rows:
        try:
            read.append((row.where, _entry(row, columns)))
        except BadRow as problem:
            bad.append((row.where, str(problem)))
    if bad and not skip:
        shown = "; ".join(f"{where} {why}" for where, why in bad[:SHOWN])
        more = f"; and {len(bad) - SHOWN} more" if len(bad) > SHOWN else ""
        cure = "Repair them, or leave them out: dataset.bad_rows=skip" if read else _has(rows)
        raise InputError(f"{len(bad)} of {len(rows)} rows of {source} cannot be used: {shown}{more}. {cure}")
    _one_content_per_id(read, source)
    distinct = {entry.id: entry for _, entry in reversed(read)}  # the first of equal rows wins
    kept = [entry for _, entry in read if distinct[entry.id] is entry]
    return kept, len(read) - len(kept), bad


def there(rows: Iterable[Row]) -> list[str]:
    """The keys of the first rows that are any, for messages."""
    return sorted({key for row in islice((r for r in rows if r.defect is None), 100) for key in map(str, row.fields)})


def _has(rows: Sequence[Row]) -> str:
    return f"The rows have {names}" if (names := there(rows)) else "Repair them"


def _entry(row: Row, columns: Columns) -> Entry:
    if row.defect is not None:
        raise BadRow(row.defect)
    prompt = _messages(row, columns)
    answer = field_of(row.fields, columns.answer)
    if isinstance(answer, bool | list | dict | bytes):
        raise BadRow(f"has a {type(answer).__name__} for {columns.answer!r}, wanted a text or a number")
    if answer is None or not str(answer).strip() or (isinstance(answer, float) and not math.isfinite(answer)):
        raise BadRow(f"has no {columns.answer!r} (dataset.answer_key)")
    category = field_of(row.fields, columns.category) if columns.category else None
    if columns.category and category is None:
        raise BadRow(f"has no {columns.category!r} (dataset.category_key)")
    if isinstance(category, list | dict | bytes):
        raise BadRow(f"has a {type(category).__name__} for {columns.category!r}, wanted a name")
    level = _number(row, columns.level) if columns.level else math.nan
    if columns.level and math.isnan(level):
        raise BadRow(f"has no {columns.level!r} (dataset.level_key)")
    explicit = field_of(row.fields, columns.id) if columns.id else None
    if columns.id and explicit is None:
        raise BadRow(f"has no {columns.id!r} (dataset.id_key)")
    meta = {k: v for k, v in row.fields.items() if k not in columns.used()} | {"row": row.where}
    try:
        identity = task_id(prompt, str(answer))
    except UnicodeEncodeError:
        raise BadRow("holds half of a surrogate pair, which is no character") from None
    asked = field_of(row.fields, columns.prompt)
    return Entry(
        id=identity,
        prompt=prompt,
        answer=str(answer),
        meta=meta,
        category=None if category is None else str(category),
        level=level,
        references={name: _number(row, key) for name, key in columns.references.items()},
        explicit_id=None if explicit is None else str(explicit),
        leak_key=squeezed(
            asked if isinstance(asked, str) else "\n".join(m["content"] for m in prompt if m["role"] != "system")
        ),
    )


def squeezed(text: str) -> str:
    """A text without what does not make it another question: white space, case, compatibility characters, and an
    instruction of ``INSTRUCTIONS`` behind it."""
    plain = _plain(text)
    return next((cut for each in INSTRUCTIONS if (cut := plain.removesuffix(_plain(each))) not in ("", plain)), plain)


def _plain(text: str) -> str:
    return "".join(unicodedata.normalize("NFKC", text).casefold().split())


def _messages(row: Row, columns: Columns) -> tuple[Mapping[str, str], ...]:
    prompt = field_of(row.fields, columns.prompt)
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
    """The number under ``key``, also as text (a CSV knows no other); NaN where it is null, NaN, empty or missing."""
    value = field_of(row.fields, key)
    if value is None or value == "":
        return math.nan
    try:
        number = math.inf if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        number = math.inf
    if math.isinf(number):
        raise BadRow(f"has {value!r:.40} for {key!r}, wanted a finite number")
    return number


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
