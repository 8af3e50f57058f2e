"""Templates, tables, and the file that comes of them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from rftlab import __version__
from rftlab.core import InputError
from rftlab.pages.style import css_colours
from rftlab.pages.words import AXES, NAMES
from rftlab.rundir import write_atomic


@dataclass(frozen=True)
class Table:
    """A table of a page; the first cell of a row is the row's heading."""

    caption: str
    heads: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[int] = frozenset()
    """Columns that are aligned to the right."""
    texts: frozenset[int] = frozenset()
    """Columns that keep their line breaks."""

    def markdown(self) -> str:
        """The same table in Markdown."""
        ruler = ["---:" if i in self.numeric else "---" for i in range(len(self.heads))]
        lines = [self.heads, ruler, *self.rows]
        return "".join("| " + " | ".join(_cell(cell) for cell in line) + " |\n" for line in lines)


def _cell(text: str) -> str:
    return str(text).replace("|", "\\|").replace("\n", " ")


@cache
def environment() -> Environment:
    """The templates; every value is escaped."""
    return Environment(
        loader=PackageLoader("rftlab.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def render(template: str, *, title: str, command: str = "", axes: Sequence[str] = tuple(AXES), **values: Any) -> str:
    """A whole page; ``axes`` are the choices of its switches."""
    return (
        environment()
        .get_template(template)
        .render(
            title=title,
            command=command,
            axes=list(axes),
            axis_names=NAMES,
            light=css_colours(dark=False),
            dark=css_colours(dark=True),
            version=__version__,
            made=time.strftime("%Y-%m-%d %H:%M"),
            **values,
        )
    )


def write(path: Path, text: str) -> None:
    """``InputError`` when the place can't be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text)
    except OSError as error:
        raise InputError(f"cannot write {path} ({error.strerror}); give a writable place by out=DIR") from error
