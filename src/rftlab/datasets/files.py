"""Rows from local files: JSON lines, JSON, CSV, TSV and Parquet, the text formats also gzipped, or a folder of them."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rftlab.core import InputError
from rftlab.datasets.rows import Row
from rftlab.first_line import first_line

NO_OBJECT = "is not a JSON object"


def read(path: str | Path, records: str | None = None, key: str = "dataset.path") -> list[Row]:
    """The rows of a file; what is no row (a torn line, a number) becomes a row with a defect.

    Args:
        path: its suffix names the format; ``.gz`` after it is unpacked.
        records: key of the list of rows in a JSON file that holds one object; None = its only list of objects.
        key: the option that names the file, for messages.
    """
    path = Path(path)
    if not path.is_file():
        raise InputError(f"no file {str(path)!r}: wanted one of {', '.join(FORMATS)}, {key}=FILE")
    reader = FORMATS.get(_format(path))
    if reader is None:
        raise InputError(f"{str(path)!r}: unknown format {path.suffix!r}, wanted one of {', '.join(FORMATS)}, or .gz")
    try:
        rows = [Row(f"{path.name}:{number}", *found, file=path) for number, *found in reader(path, records)]
    except UnicodeDecodeError as error:
        raise InputError(f"{str(path)!r} cannot be read as UTF-8 text ({error}): save it as UTF-8") from error
    except (OSError, EOFError, zlib.error, csv.Error) as error:
        raise InputError(f"{str(path)!r} cannot be read: {error}") from error
    if not rows:
        raise InputError(f"{str(path)!r} has no row")
    return rows


def read_all(path: str | Path, patterns: Sequence[str] | None, key: str, records: str | None = None) -> list[Row]:
    """The rows of a file, or of every file of a folder that a pattern names, in the order of their names.

    ``patterns`` None = whatever has a known format; ``key`` is the option that sets them, for messages.
    """
    path = Path(path)
    if not path.is_dir():
        return read(path, records, key.replace("files", "path"))
    try:
        found = {file for pattern in patterns or ["*"] for file in path.glob(pattern) if _format(file) in FORMATS}
    except (ValueError, NotImplementedError) as error:
        raise InputError(f"{key}={list(patterns or [])}: {error}; wanted names or patterns in the folder") from None
    found = {file for file in found if file.is_file()}
    if not found:
        wanted = ", ".join(patterns) if patterns else f"file of {', '.join(FORMATS)}"
        raise InputError(f"folder {str(path)!r} holds no {wanted}: give the file itself, or other names by {key}=[…]")
    return [row for file in sorted(found) for row in read(file, records)]


def _format(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    return suffixes[-2] if len(suffixes) > 1 and suffixes[-1] == ".gz" else suffixes[-1] if suffixes else ""


def _text(path: Path) -> io.TextIOBase:
    if path.suffix.lower() == ".gz":
        return gzip.open(path, "rt", encoding="utf-8-sig", newline="")  # type: ignore[return-value]
    return path.open(encoding="utf-8-sig", newline="")


Found = Iterator[tuple[Any, ...]]
"""(number from 1, fields) or (number, {}, defect)."""


def _lines(path: Path, _: str | None) -> Found:
    with _text(path) as lines:
        yield from _objects(lines)


def _objects(lines: Sequence[str] | io.TextIOBase) -> Found:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        content = _loaded(line)
        yield (number, content) if isinstance(content, dict) else (number, {}, NO_OBJECT)


def _loaded(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):  # not JSON, an integer of over 4,300 digits, nested too deep
        return None


def _json(path: Path, records: str | None) -> Found:
    """A list of objects, an object with such a list, or, as some publish under this suffix, an object a line."""
    with _text(path) as file:
        text = file.read()
    content = _loaded(text)
    if content is None:  # several objects are no JSON
        yield from _objects(text.split("\n"))  # not splitlines: a text may hold other line ends
        return
    if isinstance(content, dict):
        content = _records(path, content, records)
    if not isinstance(content, list):
        raise InputError(f"{str(path)!r} holds a {type(content).__name__}, wanted a list of objects")
    for number, each in enumerate(content, 1):
        yield (number, each) if isinstance(each, dict) else (number, {}, NO_OBJECT)


def _records(path: Path, content: Mapping[str, Any], records: str | None) -> Any:
    lists = [key for key, value in content.items() if isinstance(value, list) and value and isinstance(value[0], dict)]
    key = records or (lists[0] if len(lists) == 1 else None)
    if key is None and not lists:
        return [content]
    if key not in content:
        has = f"no {key!r}" if key else f"{len(lists)} lists"
        raise InputError(f"{str(path)!r} has {has}: name the list of rows by dataset.records, one of {lists}")
    return content[key]


def _table(delimiter: str) -> Callable[[Path, str | None], Found]:
    def rows(path: Path, _: str | None) -> Found:
        csv.field_size_limit(2**31 - 1)
        with _text(path) as file:
            reader = csv.DictReader(file, delimiter=delimiter, restkey="")
            names = reader.fieldnames or []
            if twice := sorted({name for name in names if names.count(name) > 1}):
                raise InputError(f"{str(path)!r} has several columns {', '.join(map(repr, twice))}: give each a name")
            for number, fields in enumerate(reader, 1):
                short = any(value is None for value in fields.values())
                yield (number, {}, "has too few or too many columns") if short or "" in fields else (number, fields)

    return rows


def _parquet(path: Path, _: str | None) -> Found:
    import pyarrow
    import pyarrow.parquet

    try:
        yield from enumerate(pyarrow.parquet.read_table(path).to_pylist(), 1)
    except pyarrow.ArrowException as error:
        raise InputError(f"{str(path)!r} cannot be read as Parquet: {first_line(error)}") from error


FORMATS: dict[str, Callable[[Path, str | None], Found]] = {
    ".jsonl": _lines,
    ".json": _json,
    ".csv": _table(","),
    ".tsv": _table("\t"),
    ".parquet": _parquet,
}
