"""Rows from the Hugging Face hub, through its own library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rftlab.core import InputError
from rftlab.datasets.rows import Row

KEYS = ("path", "name", "split", "eval_split", "data_files")
"""Of ``dataset.hub``: the repository, its configuration, the splits to train and to evaluate on (null = none)."""


def read_hub(hub: Mapping[str, Any], split: str, revision: str | None, dataset: str) -> list[Row]:
    """The rows of one split, numbered from 1 as the lines of a file are.

    Args:
        hub: ``path`` and, where the repository has several, ``name`` and ``data_files``.
        split: e.g. ``train``.
        revision: commit; None = the newest.
        dataset: its name here, for messages.
    """
    cure = "give local files instead, dataset.path=FILE or FOLDER"
    try:
        from datasets import load_dataset
    except ImportError:
        raise InputError(
            f"dataset={dataset} comes through the package `datasets`, which is missing: pip install datasets, or {cure}"
        ) from None
    try:
        found: Any = load_dataset(
            hub["path"], hub.get("name"), data_files=hub.get("data_files"), split=split, revision=revision
        )
        return [Row(f"{split}:{number}", fields) for number, fields in enumerate(found, 1)]
    except Exception as error:  # the client has no common class for no network, no such revision, no disk
        said = str(error).strip().split("\n")[0][:200]
        raise InputError(
            f"{hub['path']} did not come from the Hugging Face hub ({type(error).__name__}: {said}): {cure}"
        ) from error
