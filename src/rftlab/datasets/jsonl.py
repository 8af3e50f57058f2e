"""Any local file with one JSON object a line."""

from __future__ import annotations

from collections.abc import Mapping

from rftlab.core import InputError
from rftlab.datasets.base import Dataset
from rftlab.datasets.rows import Columns, dataset, read_jsonl


def load(
    path: str | None = None,
    prompt_key: str = "prompt",
    answer_key: str = "answer",
    eval_path: str | None = None,
    eval_fraction: float = 0.1,
    limit: int | None = None,
    references: Mapping[str, str] | None = None,
    reference_rollouts: Mapping[str, int] | None = None,
    category_key: str | None = None,
    level_key: str | None = None,
    id_key: str | None = None,
    system: str | None = None,
    template: str | None = None,
    name: str = "jsonl",
) -> Dataset:
    """The dataset in a file. The keys of ``conf/dataset/jsonl.yaml`` are these arguments and are explained there."""
    if not path:
        raise InputError("dataset=jsonl needs a file with one JSON object a line: dataset.path=FILE.jsonl")
    columns = Columns(
        prompt=prompt_key,
        answer=answer_key,
        category=category_key,
        level=level_key,
        id=id_key,
        references=references or {},
        system=system,
        template=template,
    )
    eval_rows = read_jsonl(eval_path) if eval_path else None
    return dataset(name, read_jsonl(path), columns, eval_rows, eval_fraction, limit, reference_rollouts)
