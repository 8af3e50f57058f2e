"""From a matplotlib figure to a file for print and to an SVG that lives in a page."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from rftlab.pages.style import HEIGHT, PAPER, RC, VARIABLES, WIDTH

DPI = 300
NO_METADATA = {"Date": None, "Creator": None, "Format": None, "Type": None}


@dataclass(frozen=True)
class Drawing:
    """One picture of a page, perhaps drawn against several x axes."""

    name: str
    """Of its files; letters, digits and hyphens."""
    title: str
    alt: str
    """What the picture shows, for those who can't see it."""
    svg: Mapping[str, str]
    """x axis -> SVG text, complete and for print; a picture without a choice has the one key ``""``."""
    caption: str = ""

    def inline(self, axis: str) -> str:
        """The SVG for a page: colours are CSS variables, ids are its own, text is text."""
        return themed(self.svg[axis], f"{self.name}-{axis or 'all'}", self.alt)


@contextmanager
def drawn() -> Iterator[None]:
    """Figures made inside look as ``style.py`` says, whatever the user's matplotlibrc."""
    with matplotlib.rc_context():
        matplotlib.rcdefaults()
        matplotlib.rcParams.update(RC)
        yield


def sheet(width: float = WIDTH, height: float = HEIGHT) -> Figure:
    """An empty figure, inches; no pyplot, so that nothing global remembers it."""
    return Figure(figsize=(width, height), layout="constrained")


def to_svg(figure: Figure) -> str:
    """The figure as SVG, the same bytes for the same data."""
    out = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": "rftlab"}):
        figure.savefig(out, format="svg", metadata=NO_METADATA)
    return out.getvalue()


def save(figure: Figure, folder: Path, name: str) -> str:
    """Writes NAME.svg and NAME.png on white paper; returns the SVG."""
    svg = to_svg(figure)
    (folder / f"{name}.svg").write_text(svg, encoding="utf-8")
    figure.set_layout_engine("none")  # it stands as the SVG has it
    figure.savefig(folder / f"{name}.png", dpi=DPI, facecolor=PAPER, metadata={"Software": None})
    return svg


def themed(svg: str, prefix: str, alt: str) -> str:
    """An SVG file's content as a part of an HTML page.

    ``prefix`` keeps its ids apart from other pictures' ids; ids that nothing refers to go.
    """
    body = svg[svg.index("<svg") :]
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.S)
    body = re.sub(r"<!--.*?-->\s*", "", body, flags=re.S)
    used = set(re.findall(r'(?:url\(|href=")#([\w.-]+)', body))
    body = re.sub(r' id="([\w.-]+)"', lambda m: f' id="{prefix}-{m[1]}"' if m[1] in used else "", body)
    body = re.sub(r'(url\(|href=")#', rf"\1#{prefix}-", body)
    body = re.sub(r"#[0-9a-f]{6}\b", lambda m: f"var({VARIABLES[m[0]]})" if m[0] in VARIABLES else m[0], body)
    body = re.sub(r"<style.*?</style>", "", body, flags=re.S)  # a page's style sheet says it once
    body = re.sub(r' transform="rotate\(-0 [^"]*"', "", body).replace("'DejaVu Sans'", "system-ui")
    body = re.sub(r' (?:d|x|y)="[^"]*"', lambda m: re.sub(r"(\.\d)\d+", r"\1", m[0]), body)
    body = re.sub(r"\s*\n\s*", " ", body).replace("> <", "><")
    opening = re.search(r'viewBox="[^"]+"', body)
    assert opening is not None
    head = f'<svg {opening[0]} role="img" aria-label="{_attribute(alt)}" xmlns:xlink="http://www.w3.org/1999/xlink">'
    return head + body[body.index(">") + 1 :]


def _attribute(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
