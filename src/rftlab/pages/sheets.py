"""The figures of a page while they are drawn: kept for the page, written for print."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from rftlab.outfile import outfolder
from rftlab.pages.figure import Drawing, save, to_svg
from rftlab.pages.words import AXES


class Sheets:
    """Draws pictures and keeps them by name.

    In ``folder`` each lies as SVG and as PNG; of one that is drawn against several x axes the first is NAME, the others
    are NAME-by-AXIS.svg. Raises ``InputError`` where the folder cannot be written.
    """

    def __init__(self, folder: Path, axes: Sequence[str] = tuple(AXES)) -> None:
        self.folder, self.axes = outfolder(folder), axes
        self.drawings: dict[str, Drawing] = {}
        folder.mkdir(parents=True, exist_ok=True)

    def add(self, name: str, title: str, alt: str, figure: Figure, caption: str = "") -> None:
        self.drawings[name] = Drawing(name, title, alt, {"": save(figure, self.folder, name)}, caption)

    def switchable(self, name: str, title: str, alt: str, draw: Callable[[str], Figure], caption: str = "") -> None:
        """``draw`` is called with every axis."""
        svg = {}
        for axis in self.axes:
            figure = draw(axis)
            if axis == self.axes[0]:
                svg[axis] = save(figure, self.folder, name)
            else:
                svg[axis] = to_svg(figure)
                (self.folder / f"{name}-by-{axis}.svg").write_text(svg[axis], encoding="utf-8")
        self.drawings[name] = Drawing(name, title, alt, svg, caption)
