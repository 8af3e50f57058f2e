"""The page of a comparison: ``compare.html`` and ``figures/``."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from rftlab.comparison import Comparison
from rftlab.pages import chosen_figures, compare_figures, compare_tables
from rftlab.pages.figure import drawn
from rftlab.pages.html import Table, render, write
from rftlab.pages.sentences import COLOUR, TERMS, sentence, summary
from rftlab.pages.sheets import Sheets

PAGE = "compare.html"
SEVERITIES = {"error": ("bad", "Wrong"), "warning": ("look", "Mind"), "note": ("note", "Note")}
SHOWN = 12
"""Most arms of which each has its sentence in the first screen; else it is under a fold, and clear results above."""


def write_page(comparison: Comparison, folder: Path, command: str = "") -> Path:
    """Writes page and figures into ``folder``; returns the page.

    Args:
        command: the command line that made the comparison, for its foot.
    """
    sheets = Sheets(folder / "figures", comparison.axes)
    with drawn():
        compare_figures.draw(comparison, sheets)
        picked, fates, pool = chosen_figures.read(comparison)
        chosen_figures.draw(comparison, picked, fates, pool, sheets)
    page = render(
        "compare.html.j2",
        title=comparison.title,
        command=command,
        axes=comparison.axes,
        c=comparison,
        summary=summary(comparison),
        verdicts=verdicts(comparison),
        fold=len(comparison.arms) > SHOWN,
        severities=SEVERITIES,
        d=defaultdict(lambda: None, sheets.drawings),
        t=tables(comparison),
        some_arms=_some_arms(comparison, len(picked)),
        words=TERMS,
    )
    write(folder / PAGE, page)
    return folder / PAGE


def verdicts(comparison: Comparison) -> list[tuple[str, str]]:
    """CSS class and sentence of every arm: verdicts first, the baseline last."""

    def rank(place: int) -> tuple[int, int]:
        found = comparison.arms[place].against
        return (2 if found is None else 0 if found.verdict in COLOUR else 1), place

    arms = [comparison.arms[i] for i in sorted(range(len(comparison.arms)), key=rank)]
    return [(COLOUR.get(a.against.verdict, "") if a.against else "", sentence(comparison, a)) for a in arms]


def tables(comparison: Comparison) -> dict[str, Table]:
    return {
        "results": compare_tables.results(comparison),
        "speed": compare_tables.speed(comparison),
        "ttb": compare_tables.ttb_by_axis(comparison),
        "doubt": compare_tables.doubt(comparison),
        "shares": compare_tables.shares(comparison),
        "pass_at": compare_tables.pass_at(comparison),
        "cost": compare_tables.cost(comparison),
        "runs": compare_tables.runs(comparison),
        "refused": compare_tables.left_out("Refused: not of like with like", comparison.refused),
        "unfinished": compare_tables.left_out("Unfinished: shown, and in no verdict", comparison.unfinished),
        "differences": compare_tables.differences(comparison),
        "coverage": compare_tables.coverage(comparison),
        "facts": compare_tables.facts(comparison),
    }


def _some_arms(comparison: Comparison, drawn_arms: int) -> str:
    if not drawn_arms or drawn_arms >= len(comparison.arms):
        return ""
    return (
        f"Of {len(comparison.arms)} arms the pictures of single groups show the baseline and the best "
        f"{drawn_arms - 1} others; the tables have all."
    )
