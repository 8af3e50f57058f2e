"""GSM8K: 7,473 + 1,319 grade-school word problems (Cobbe et al., arXiv:2110.14168)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rftlab.core import InputError
from rftlab.datasets.base import Dataset
from rftlab.datasets.rows import Columns, Row, dataset, read_jsonl

HUB = "openai/gsm8k"
TEMPLATE = "{prompt}\nThink step by step, then write the final number after ####."


def load(
    path: str | None = None,
    eval_path: str | None = None,
    eval_fraction: float = 0.1,
    limit: int | None = None,
    references: Mapping[str, str] | None = None,
    reference_rollouts: Mapping[str, int] | None = None,
    system: str | None = None,
    template: str = TEMPLATE,
    revision: str | None = None,
    name: str = "gsm8k",
) -> Dataset:
    """GSM8K from local files or from the Hugging Face hub.

    Args:
        path: a folder with ``train.jsonl`` and ``test.jsonl``, or a file of rows with ``question`` and ``answer``;
            None = the hub.
        eval_path: rows to evaluate on instead of ``test.jsonl``.
        eval_fraction: share of the rows to evaluate on where ``path`` is a file and there is no ``eval_path``.
        limit: keeps the first so many training tasks.
        references: reference model -> key of its pass rate in the rows.
        reference_rollouts: reference model -> rollouts that its pass rates have cost.
        system: system message before every question.
        template: what a question is put into, in place of ``{prompt}``.
        revision: commit of the data set on the hub; None = the newest.
        name: name of the pool.
    """
    held_out: list[Row] | None
    if path is None:
        train, held_out = _from_hub(revision)
    elif Path(path).is_dir():
        train = read_jsonl(Path(path) / "train.jsonl")
        held_out = None if eval_path else read_jsonl(Path(path) / "test.jsonl")
    else:
        train, held_out = read_jsonl(path), None
    if eval_path:
        held_out = read_jsonl(eval_path)
    columns = Columns("question", "answer", references=references or {}, system=system, template=template)
    return dataset(
        name,
        [_with_gold(row) for row in train],
        columns,
        None if held_out is None else [_with_gold(row) for row in held_out],
        eval_fraction,
        limit,
        reference_rollouts,
    )


def _with_gold(row: Row) -> Row:
    """The row with the number after ``####`` as its answer and the worked solution, which ends in it, kept beside."""
    worked = row.fields.get("answer")
    _, mark, number = worked.rpartition("####") if isinstance(worked, str) else ("", "", "")
    gold = number.strip().replace(",", "") if mark else None
    return Row(row.where, {**row.fields, "answer": gold, "solution": worked})


def _from_hub(revision: str | None) -> tuple[list[Row], list[Row]]:
    """Training and test rows, numbered from 1 as the lines of the files are."""
    cure = "give local files instead, dataset.path=FOLDER with train.jsonl and test.jsonl"
    try:
        from datasets import load_dataset
    except ImportError:
        raise InputError(
            f"{HUB} is read through the package `datasets`, which is missing: install it, or {cure}"
        ) from None
    try:
        found: Any = load_dataset(HUB, "main", revision=revision)
    except Exception as error:  # the hub client has no common class for no network, no such revision, no disk
        said = str(error).strip().split("\n")[0][:200]
        raise InputError(
            f"{HUB} did not come from the Hugging Face hub ({type(error).__name__}: {said}): {cure}"
        ) from error
    train, test = ([Row(f"{side}:{i}", row) for i, row in enumerate(found[side], 1)] for side in ("train", "test"))
    return train, test
