"""``rftlab runs``: how the runs under a folder stand, once or live."""

from __future__ import annotations

import json
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from itertools import groupby
from pathlib import Path

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rftlab import runs
from rftlab.runs import RunState
from rftlab.sweep import Sweep
from rftlab.terminal import duration

STYLES = {"done": "green", "running": "cyan", "stale": "yellow", "stopped": "yellow"}
"""Of states and outcomes; the rest has gone wrong."""
PLAIN_WIDTH = 240
"""Columns where the output is not a terminal: nothing is folded."""


def main(folder: Path, watch: bool, as_json: bool, every: float = 2.0) -> int:
    """Prints the table of ``folder``; with ``watch`` again and again, until Ctrl-C, if there is a terminal to do so."""
    console = terminal()
    if as_json:
        print(json.dumps([{**asdict(run), "path": str(run.path)} for run in runs.find(folder)], indent=1))
    elif watch and console.is_terminal:
        live_view(console, folder, every)
    elif found := runs.find(folder):
        console.print(view(found))
    else:
        print(f"no runs in {folder}")
    return 0


def live_view(console: Console, folder: Path, every: float) -> None:
    """The table, kept up to date; what does not fit the terminal is counted, finished runs first."""
    try:
        with Live(console=console, auto_refresh=False, screen=False) as live:
            while True:
                found = runs.find(folder)
                live.update(view(found, console.height - 8) if found else Text(f"no runs in {folder}"), refresh=True)
                time.sleep(every)
    except KeyboardInterrupt:
        pass


def view(found: Sequence[RunState], rows: int | None = None) -> Group:
    """A table for each experiment and a line of counts. At most ``rows`` rows; None = all."""
    shown = {run.path for run in (found if rows is None else fitting(found, max(1, rows)))}
    parts: list[Table | Text] = []
    for name, members in groupby(found, key=lambda run: run.group):
        table = columns("run", "state", "step", "accuracy", "ETA", "")
        for run in [run for run in members if run.path in shown]:
            table.add_row(*row(run))
        if table.row_count:
            parts += [Text(name, "bold"), table]
    if hidden := len(found) - len(shown):
        parts.append(Text(f"and {hidden:,} more", "dim"))
    return Group(*parts, counts([run.state for run in found]))


def fitting(found: Sequence[RunState], rows: int) -> list[RunState]:
    """The ``rows`` runs that a watcher wants to see: first those that run, then what is wrong, finished ones last."""
    order = {"running": 0, "failed": 1, "unreadable": 1, "stale": 1, "stopped": 2, "done": 3}
    return sorted(found, key=lambda run: order[run.state])[:rows]


def row(run: RunState) -> tuple[str | Text, ...]:
    return (
        f"  {run.arm}/{run.path.name}",
        styled(run.state),
        f"{run.step}/{run.steps}" if run.steps else str(run.step),
        "" if run.accuracy is None else f"{run.accuracy:.3f}",
        "" if run.eta is None else duration(run.eta),
        Text(run.reason, "dim"),
    )


def sweep_table(sweep: Sweep) -> None:
    """The table that a sweep ends with."""
    seeks = any(cell.objective is not None for cell in sweep.cells)
    table = columns("job", "state", "step", "accuracy", *(["objective"] if seeks else []), "time", "")
    for cell in sweep.cells:
        run = runs.read(cell.path) if cell.path is not None else None
        objective = "" if cell.objective is None else f"{cell.objective:.4f}"
        table.add_row(
            cell.label,
            styled(cell.outcome),
            "" if run is None else f"{run.step}/{run.steps}" if run.steps else str(run.step),
            "" if run is None or run.accuracy is None else f"{run.accuracy:.3f}",
            *([objective] if seeks else []),
            "" if cell.seconds is None else duration(cell.seconds),
            Text(cell.reason, "dim"),
        )
    terminal().print(table, counts([cell.outcome for cell in sweep.cells]))


def columns(*names: str) -> Table:
    table = Table(box=None, pad_edge=False)
    for name in names:
        table.add_column(name, justify="right" if name in ("step", "accuracy", "ETA", "objective", "time") else "left")
    return table


def styled(state: str) -> Text:
    return Text(state, STYLES.get(state.split(" ")[0], "red"))


def counts(states: Sequence[str]) -> Text:
    """``35 cells: 12 done, 2 running``."""
    parts = [f"{n:,} {state}" for state, n in Counter(states).most_common()]
    return Text(f"{len(states):,} {'cell' if len(states) == 1 else 'cells'}: {', '.join(parts)}")


def terminal() -> Console:
    """Standard output; wide where it is a file or a pipe."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else PLAIN_WIDTH)
