"""The records of runs as tables. Reading JSON takes seconds for a long run, so a parquet copy is kept beside it.

A copy (``.metrics.parquet`` and so on) holds for the size and the time of change of what it was made from. Where it
can't be written, it is not. Lines that are no JSON are left out and counted: ``frame.attrs["skipped"]``.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.json
import pyarrow.parquet as pq

FORMAT = 1
"""Of the copies; raised when they are made in another way."""
Parse = Callable[[], tuple[pd.DataFrame, int]]


def read(run: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """``metrics.jsonl``: a row a step in the order of steps, float64; ``step`` is int64. Unknown values are NaN.

    Args:
        run: the run's directory.
        columns: the only ones to be read, in this order; one that the run does not have is NaN.
    """
    path = run / "metrics.jsonl"

    def parse() -> tuple[pd.DataFrame, int]:
        frame, skipped = _lines(path)
        for name in [n for n, kind in frame.dtypes.items() if kind.kind not in "biuf"]:  # hardly ever one
            frame[name] = pd.to_numeric(frame[name], errors="coerce")
        frame = frame.astype(float)
        if lost := int(frame["step"].isna().sum() if "step" in frame else len(frame)):
            frame = frame.dropna(subset=["step"]) if "step" in frame else pd.DataFrame({"step": []})
        if not frame["step"].is_monotonic_increasing or not frame["step"].is_unique:
            frame = frame.drop_duplicates("step", keep="last").sort_values("step")
        return frame.astype({"step": np.int64}).reset_index(drop=True), skipped + lost

    return _cached(run / ".metrics.parquet", [path], parse, columns)


def groups(run: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """``groups.jsonl``: a row a group, in the order in which they were generated; columns as ``measure.group_rows``."""
    path = run / "groups.jsonl"
    return _cached(run / ".groups.parquet", [path], lambda: _lines(path), columns)


def evals(run: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Every evaluation: a row a task, ``step`` in front; columns as ``Evaluation.rows``."""
    return _of_folder(run, "evals", columns)


def panel(run: Path, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """Every measurement of the fixed panel: a row a task, ``step`` in front; columns as ``Reading.rows``."""
    return _of_folder(run, "panel", columns)


def _of_folder(run: Path, folder: str, columns: Sequence[str] | None) -> pd.DataFrame:
    files = sorted((run / folder).glob("step_*.jsonl"))

    return _cached(run / f".{folder}.parquet", files, lambda: _joined(files), columns)


def _joined(files: Sequence[Path]) -> tuple[pd.DataFrame, int]:
    """The rows of several files, ``step`` in front, and how many lines were no rows. All at once if all are whole."""
    steps = [int(file.stem.removeprefix("step_")) for file in files]
    texts = [file.read_bytes() for file in files]
    frame, bad = _rows(b"".join(texts))
    counts = [text.count(b"\n") for text in texts]
    if bad or len(frame) != sum(counts) or not all(text.endswith(b"\n") for text in texts):
        found = [_rows(text) for text in texts]
        frame = pd.concat([rows for rows, _ in found], ignore_index=True)
        counts, bad = [len(rows) for rows, _ in found], sum(n for _, n in found)
    frame = frame.drop(columns="step", errors="ignore")
    frame.insert(0, "step", np.repeat(np.array(steps, np.int64), counts))
    return frame, bad


# --- the copy -------------------------------------------------------------------------------------------------------


def _cached(copy: Path, sources: Sequence[Path], parse: Parse, columns: Sequence[str] | None) -> pd.DataFrame:
    made_from = _signature(sources)
    frame, skipped = _from_copy(copy, made_from, columns)
    if frame is None:
        frame, skipped = parse()
        _write(copy, frame, {"made_from": made_from, "skipped": str(skipped)})
    if columns is not None:
        frame = frame.reindex(columns=list(columns))
    frame.attrs["skipped"] = skipped
    return frame


def _signature(sources: Sequence[Path]) -> str:
    """Names, sizes and times of change, taken before the reading: a file that grows meanwhile is read again."""
    found = []
    for path in sources:
        with contextlib.suppress(OSError):
            stat = path.stat()
            found.append([path.name, stat.st_size, stat.st_mtime_ns])
    return json.dumps([FORMAT, found])


def _from_copy(copy: Path, made_from: str, columns: Sequence[str] | None) -> tuple[pd.DataFrame | None, int]:
    """The copy if it was made from just these files; a damaged one counts as none."""
    with contextlib.suppress(OSError, pa.ArrowException, KeyError, ValueError), pq.ParquetFile(copy) as file:
        notes = file.schema_arrow.metadata
        if notes[b"made_from"].decode() == made_from:
            there = None if columns is None else [c for c in columns if c in file.schema_arrow.names]
            return file.read(there, use_threads=False).to_pandas(), int(notes[b"skipped"])
    return None, 0


def _write(copy: Path, frame: pd.DataFrame, notes: dict[str, str]) -> None:
    table = pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(notes)
    temporary = copy.with_name(f"{copy.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        pq.write_table(table, temporary, use_dictionary=_texts(table.schema))
        os.replace(temporary, copy)
    except OSError:  # a folder that only can be read, a full disk: the next reader parses again
        with contextlib.suppress(OSError):
            temporary.unlink()


def _texts(schema: pa.Schema) -> list[str]:
    """Columns whose values repeat; numbers hardly do, and looking for it takes time."""
    return [field.name for field in schema if pa.types.is_string(field.type) or pa.types.is_large_string(field.type)]


# --- lines ----------------------------------------------------------------------------------------------------------


def _lines(path: Path) -> tuple[pd.DataFrame, int]:
    return _rows(path.read_bytes() if path.is_file() else b"")


def _rows(raw: bytes) -> tuple[pd.DataFrame, int]:
    """The JSON objects, one a line, and how many lines were none; a last line without its end is one of these."""
    whole = raw[: raw.rfind(b"\n") + 1]
    half_written = int(len(whole) < len(raw))
    if not whole.strip():
        return pd.DataFrame({"step": []}, dtype=np.int64), half_written
    try:
        options = pyarrow.json.ReadOptions(use_threads=False, block_size=len(whole) + 1)  # one block: one set of types
        table = pyarrow.json.read_json(io.BytesIO(whole), read_options=options)
        return _plain(table.to_pandas()), half_written
    except (pa.ArrowException, UnicodeDecodeError):  # some line is broken
        rows, bad = _one_by_one(whole)
        return _plain(pd.DataFrame(rows, columns=None if rows else ["step"])), bad + half_written


def _one_by_one(whole: bytes) -> tuple[list[dict], int]:
    rows, bad = [], 0
    for line in whole.split(b"\n"):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if isinstance(row, dict):
            rows.append(row)
        else:
            bad += 1
    return rows, bad


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns without a value are numbers that are not known; mixed and nested ones are text."""
    for name in [n for n, kind in frame.dtypes.items() if pd.api.types.is_object_dtype(kind)]:
        values = frame[name].dropna()
        if values.empty:
            frame[name] = frame[name].astype(float)
        elif not values.map(lambda v: isinstance(v, bool)).all():
            frame[name] = frame[name].astype("str")
    return frame
