"""``rftlab runs``: how the runs under a folder stand, once or live; and the table that a sweep ends with."""

from __future__ import annotations

import json
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING

from rftlab import runs
from rftlab.runs import RunState
from rftlab.sweep_plan import AtWork, at_work
from rftlab.terminal import duration, say

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

    from rftlab.sweep_cells import Sweep

STYLES = {"done": "green", "running": "cyan", "stale": "yellow", "stopped": "yellow", "failed": "red", "waiting": "dim"}
NUMBERS = ("step", "accuracy", "ETA", "objective", "time")
"""Columns that are set to the right."""
BELOW = 3
"""Lines of the live view under the runs, the cursor's among them."""
ORDER = {"running": 0, "failed": 1, "unreadable": 1, "stale": 1, "stopped": 2, "done": 3}
"""What a watcher wants to see first, if not all fits."""


def main(folder: Path, watch: bool, as_json: bool, every: float = 2.0) -> int:
    """Prints the table of ``folder``; with ``watch`` again and again, until Ctrl-C, if there is a terminal to do so."""
    from rich.console import Console

    if as_json:
        print(json.dumps([{**asdict(run), "path": str(run.path)} for run in runs.find(folder)], indent=1))
    elif watch and (console := Console()).is_terminal:
        live_view(console, folder, every)
    else:
        found = runs.find(folder)
        print("\n".join(view(folder, found, at_work(folder, found))))
    return 0


def live_view(console: Console, folder: Path, every: float) -> None:
    """The table, kept up to date; what does not fit the terminal is counted, finished runs first."""
    from rich.live import Live

    try:
        with Live(console=console, auto_refresh=False) as live:
            while True:
                found = runs.find(folder)
                sweeps = at_work(folder, found)
                groups = len({run.group for run in found}) + len(sweeps)
                lines = view(folder, found, sweeps, console.height - 2 * groups - BELOW)
                live.update(coloured(lines), refresh=True)
                time.sleep(every)
    except KeyboardInterrupt:
        pass


def coloured(lines: Sequence[str]) -> Text:
    """Lines of a view for a terminal: each in the colour of its state, cut at the edge."""
    from rich.text import Text

    text = Text(no_wrap=True, overflow="ellipsis")
    for line in lines:
        state = next((word for word in line.split()[1:2] if word in STYLES), "") if line.startswith("  ") else ""
        text.append(line + "\n", STYLES.get(state))
    return text


def view(folder: Path, found: Sequence[RunState], sweeps: Sequence[AtWork] = (), rows: int | None = None) -> list[str]:
    """A table for each experiment, one for the jobs of each sweep that have no run, and a line of counts, as lines.

    At most ``rows`` runs and jobs; None = all.
    """
    if not found and not sweeps:
        return [f"no runs in {folder}"]
    shown = {run.path for run in sorted(found, key=lambda run: ORDER[run.state])[: rows and max(1, rows)]}
    lines = []
    for name, members in groupby(found, key=lambda run: run.group):
        table = [row(run) for run in members if run.path in shown]
        if table:
            lines += [name, *aligned(("  run", "state", "step", "accuracy", "ETA", ""), table)]
    hidden = len(found) - len(shown)
    for sweep in sweeps:
        free = None if rows is None else max(0, rows - len(shown))  # the same for each: two sweeps here are rare
        if table := [(f"  {label}", state) for label, state in sweep.jobs[:free]]:
            lines += [f"{sweep.folder.name}, without a run", *aligned(("  job", "state"), table)]
        hidden += len(sweep.jobs) - len(table)
    if hidden:
        lines.append(f"and {hidden:,} more")
    return [*lines, totals(found, sweeps)]


def totals(found: Sequence[RunState], sweeps: Sequence[AtWork]) -> str:
    """The line of counts, and about how long the sweeps at work have still to go."""
    states = [run.state for run in found] + [state for sweep in sweeps for _, state in sweep.jobs]
    left = [sweep.seconds_left(found) for sweep in sweeps]
    known = [seconds for seconds in left if seconds is not None]
    return counts(states) + (f"; about {duration(max(known))} to go" if left and len(known) == len(left) else "")


def row(run: RunState) -> tuple[str, ...]:
    eta = "" if run.eta is None else duration(run.eta)
    return f"  {run.arm}/{run.path.name}", run.state, *progress(run), eta, run.reason


def progress(run: RunState | None) -> tuple[str, str]:
    """Step and accuracy."""
    if run is None:
        return "", ""
    step = f"{run.step}/{run.steps}" if run.steps else str(run.step)
    return step, "" if run.accuracy is None else f"{run.accuracy:.3f}"


def sweep_table(sweep: Sweep) -> None:
    """Prints every job and what became of it, and the best one if the sweep looked for it."""
    cells = sweep.cells
    measured = {cell.objective: cell for cell in cells if cell.objective is not None}
    table = [
        (
            cell.label,
            cell.outcome,
            *progress(runs.read(cell.run) if cell.run is not None else None),
            *(["" if cell.objective is None else f"{cell.objective:.4f}"] if measured else []),
            "" if cell.seconds is None else duration(cell.seconds),
            cell.reason,
        )
        for cell in cells
    ]
    names = ("job", "state", "step", "accuracy", *(["objective"] if measured else []), "time", "")
    say("\n".join([*aligned(names, table), counts([cell.outcome for cell in cells])]))
    if measured:
        best = measured[max(measured)]
        say(f"largest objective: {best.objective:.4f} with {best.label}")


def aligned(names: Sequence[str], table: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, columns two blanks apart under their names."""
    widths = [max(map(len, column)) for column in zip(names, *table, strict=True)]
    places = [f"{{:{'>' if name in NUMBERS else '<'}{width}}}" for name, width in zip(names, widths, strict=True)]
    form = "  ".join(places)
    return [form.format(*cells).rstrip() for cells in (names, *table)]


def counts(states: Sequence[str]) -> str:
    """``35 cells: 12 done, 2 running``."""
    parts = [f"{n:,} {state}" for state, n in Counter(states).most_common()]
    return f"{len(states):,} {'cell' if len(states) == 1 else 'cells'}: {', '.join(parts)}"
