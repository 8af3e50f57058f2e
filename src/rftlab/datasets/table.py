"""Any table of tasks: local files or a repository of the hub, its columns named in YAML."""

from __future__ import annotations

import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rftlab.core import InputError
from rftlab.datasets.assemble import Source, assemble
from rftlab.datasets.base import Dataset
from rftlab.datasets.files import read_all
from rftlab.datasets.hub import KEYS, read_hub
from rftlab.datasets.rows import Columns, Row
from rftlab.nearest import unknown_key

Adapter = Callable[[Sequence[Row]], list[Row]]


def load(
    path: str | None = None,
    files: Sequence[str] | None = None,
    eval_path: str | None = None,
    eval_files: Sequence[str] | None = None,
    hub: Mapping[str, Any] | None = None,
    revision: str | None = None,
    records: str | None = None,
    adapt: str | None = None,
    prompt_key: str = "prompt",
    answer_key: str = "answer",
    category_key: str | None = None,
    level_key: str | None = None,
    id_key: str | None = None,
    references: Mapping[str, str] | None = None,
    reference_samples: Mapping[str, int] | None = None,
    system: str | None = None,
    template: str | None = None,
    filter: Mapping[str, Any] | None = None,
    bad_rows: str = "stop",
    eval_fraction: float = 0.1,
    limit: int | None = None,
    name: str = "file",
) -> Dataset:
    """The dataset in files or on the hub. The arguments are explained in ``conf/dataset/file.yaml``."""
    if bad_rows not in ("stop", "skip"):
        raise InputError(f"dataset.bad_rows={bad_rows}: wanted stop or skip")
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
    if path is not None:
        train, held_out = _local(path, files, eval_path, eval_files, records)
    elif hub is not None:
        train, held_out = _remote(hub, revision, name, eval_path, eval_files, records)
    else:
        raise InputError(
            f"dataset={name} needs tasks: dataset.path=FILE or FOLDER, or +dataset.hub.path=OWNER/NAME of the hub"
        )
    change = list if adapt is None else _adapter(adapt)
    return assemble(
        name,
        Source(change(train), columns, filter or {}, skip=bad_rows == "skip"),
        None if held_out is None else Source(change(held_out), columns, filter or {}, skip=bad_rows == "skip"),
        eval_fraction,
        limit,
        reference_samples,
    )


def _local(
    path: str,
    files: Sequence[str] | None,
    eval_path: str | None,
    eval_files: Sequence[str] | None,
    records: str | None,
) -> tuple[list[Row], list[Row] | None]:
    train = read_all(path, files, "dataset.files", records)
    if eval_path is not None:
        return train, read_all(eval_path, eval_files, "dataset.eval_files", records)
    if eval_files and Path(path).is_dir():
        try:
            return train, read_all(path, eval_files, "dataset.eval_files", records)
        except InputError as error:
            raise InputError(
                f"{error}; or dataset.eval_files=null, which holds out dataset.eval_fraction of the rows"
            ) from None
    return train, None


def _remote(
    hub: Mapping[str, Any],
    revision: str | None,
    name: str,
    eval_path: str | None,
    eval_files: Sequence[str] | None,
    records: str | None,
) -> tuple[list[Row], list[Row] | None]:
    for key in hub:
        if key not in KEYS:
            raise InputError(unknown_key(f"dataset.hub.{key}", [f"dataset.hub.{each}" for each in KEYS]))
    if not isinstance(hub.get("path"), str) or not hub["path"].strip():
        raise InputError(f"dataset.hub={dict(hub)}: wanted the repository, dataset.hub={{path: OWNER/NAME}}")
    train = read_hub(hub, hub.get("split") or "train", revision, name)
    if eval_path is not None:
        return train, read_all(eval_path, eval_files, "dataset.eval_files", records)
    return train, read_hub(hub, hub["eval_split"], revision, name) if hub.get("eval_split") else None


def _adapter(path: str) -> Adapter:
    from hydra.utils import get_method

    try:
        function = get_method(path)
    except Exception as error:
        raise InputError(f"dataset.adapt={path} is no function that can be imported: {error}") from error

    def change(rows: Sequence[Row]) -> list[Row]:
        wanted = "wanted a function list[Row] -> list[Row], as rftlab.datasets.adapters.gsm8k.rows"
        try:
            found = function(rows)
        except InputError:
            raise
        except Exception as error:
            at = traceback.extract_tb(error.__traceback__)[-1]
            said = f"{type(error).__name__}: {error}, {Path(at.filename).name}:{at.lineno}"
            raise InputError(f"dataset.adapt={path} failed ({said}): {wanted}") from error
        if not isinstance(found, list) or not all(isinstance(row, Row) for row in found):
            raise InputError(f"dataset.adapt={path} returned {found!r:.60}: {wanted}")
        return found

    return change
