"""The file that a verb writes at its end: what is wrong with it is said at the start, not after the work."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from rftlab.core import InputError
from rftlab.rundir import write_atomic


def outfile(out: object) -> Path:
    """``out`` as the path of a file that can be written; folders above it need not exist yet. Nothing is left behind.

    Raises ``InputError`` on an empty name, a folder, a place that takes no file.
    """
    if not str(out).strip():
        raise InputError("out is empty: wanted a file, out=FILE, or null for none")
    path = Path(str(out))
    try:
        if path.is_dir():
            raise InputError(f"out={out} is a folder: wanted a file, out={path / 'report.json'}")
        if not path.exists():
            with tempfile.TemporaryFile(dir=next(folder for folder in path.parents if folder.exists())):
                pass
    except OSError as error:
        raise InputError(f"out={out} cannot be written ({error.strerror}): give a writable place, out=FILE") from error
    return path


def outfolder(out: object, key: str = "out") -> Path:
    """``out`` as a folder that files can be written to; it need not exist yet. Nothing is left behind.

    Raises ``InputError`` on an empty name, a place that is no folder and cannot become one; ``key`` repairs it.
    """
    if not str(out).strip():
        raise InputError(f"{key} is empty: wanted a folder, {key}=DIR")
    path = Path(str(out))
    try:
        with tempfile.TemporaryFile(dir=next(p for p in (path, *path.absolute().parents) if os.path.lexists(p))):
            return path
    except OSError as error:
        raise InputError(f"cannot write to {out} ({error.strerror}): give a writable place by {key}=DIR") from error


def write(path: Path, text: str) -> None:
    """Writes the file, in folders that are made where they are missing."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file():  # a terminal, a pipe
            path.write_text(text, encoding="utf-8")
        else:
            write_atomic(path, text)
    except OSError as error:
        raise InputError(f"cannot write {path} ({error.strerror}): give a writable place, out=FILE") from error
