"""What a person sees of a run: a live line on a terminal, plain lines elsewhere, a table at the end."""

from __future__ import annotations

import math
import os
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from rich.console import Console as Terminal
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

PHASES = ("ask", "generate", "verify", "tell", "update", "sync", "eval", "checkpoint")
PLAIN_LINES = 20
"""About so many lines of progress when the output is not a terminal."""


class Console:
    """Progress and results of one run.

    Args:
        file: Where to write; None = standard output.
    """

    def __init__(self, file: TextIO | None = None) -> None:
        self._out = Terminal(file=file, highlight=False, soft_wrap=True)
        self._live: Live | None = None
        self._began: tuple[float, float] | None = None
        self._accuracy: float | None = None
        self._last = -1

    def start(self, title: Sequence[str]) -> None:
        """What is run, a line each."""
        for i, line in enumerate(title):
            self._out.print(Text(line, "bold" if i == 0 else ""))

    def note(self, text: str) -> None:
        """Something that a reader should know, above the live line."""
        self._out.print(Text(text))

    def step(self, row: Mapping[str, Any], *, steps: int, rollouts: int | None = None) -> None:
        """A step is done. ``steps`` and ``rollouts`` are the run's totals: whichever is nearer sets the time to go."""
        self._accuracy = row.get("eval/accuracy", self._accuracy)
        done = row["step"] / steps
        if rollouts:
            done = max(done, row.get("ledger/rollouts", 0) / rollouts)
        done = min(1.0, done)
        left = self._seconds_left(done)
        place = f"step {int(row['step'])}/{steps}"
        to_go = [] if left is None else [f"ETA {duration(left)}"]
        if self._out.is_terminal:
            self._show("  ".join([place, *to_go]), "  ".join(self._numbers(row)), done)
        elif self._worth_a_line(row, steps):
            self._out.print("  ".join([place, *self._numbers(row), *to_go]))

    def finish(self, rows: Sequence[Mapping[str, Any]], run_dir: Path, ended: str | None = None) -> None:
        """The table of the whole run and where it lies; ``ended`` is the bound that ended it."""
        self.close()
        table = Table(show_header=False, box=None, pad_edge=False)
        table.add_column(style="dim")
        table.add_column()
        for name, value in final_table(rows):
            table.add_row(name, value)
        if ended:
            table.add_row("ended by", ended)
        self._out.print(table)
        self._out.print(Text(str(run_dir)))

    def close(self) -> None:
        """Leaves the live line as it stands."""
        if self._live is not None:
            self._live.stop()
            self._live = None

    def _show(self, place: str, numbers: str, done: float) -> None:
        head = Table.grid(padding=(0, 2))
        head.add_row(ProgressBar(total=1.0, completed=done, width=40), place)
        shown = Group(head, Text(numbers, no_wrap=True, overflow="ellipsis"))
        if self._live is None:
            self._live = Live(shown, console=self._out, refresh_per_second=4)
            self._live.start()
        self._live.update(shown)

    def _worth_a_line(self, row: Mapping[str, Any], steps: int) -> bool:
        every = max(1, steps // PLAIN_LINES)
        step = int(row["step"])
        return step % every == 0 or step == steps or "eval/accuracy" in row

    def _numbers(self, row: Mapping[str, Any]) -> list[str]:
        parts = [f"rollouts {int(row.get('ledger/rollouts', 0)):,}"]
        for name, key, form in (
            ("reward", "reward/mean", ".3f"),
            ("ETR", "group/etr", ".2f"),
            ("tok/s", "rate/tokens_per_second", ",.0f"),
            ("cut", "completion/truncated", ".0%"),
        ):
            if (value := row.get(key)) is not None and math.isfinite(value):
                parts.append(f"{name} {value:{form}}")
        if self._accuracy is not None:
            parts.append(f"eval {self._accuracy:.3f}")
        return parts

    def _seconds_left(self, done: float) -> float | None:
        """From the share done since this process began to log: a resumed run is not credited with earlier work."""
        now = time.monotonic()
        if self._began is None:
            self._began = (now, done)
        start, before = self._began
        return None if done <= before else (now - start) / (done - before) * (1 - done)


def final_table(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What a run came to, from its metrics rows: label and text."""
    if not rows:
        return []
    out = []
    evals = [row for row in rows if row.get("eval/accuracy") is not None]
    if evals:
        first, last = evals[0], evals[-1]
        best = max(evals, key=lambda row: row["eval/accuracy"])
        out.append(("eval accuracy, start", _accuracy(first)))
        out.append(("eval accuracy, end", _accuracy(last)))
        out.append(("eval accuracy, best", f"{_accuracy(best)} at step {int(best['step'])}"))
    end = rows[-1]
    out.append(("steps", f"{int(end['step']):,}"))
    for label, key in (("rollouts", "ledger/rollouts"), ("tokens", "ledger/tokens")):
        out.append((label, f"{int(end.get(key) or 0):,}"))
    if rates := [row["group/etr"] for row in rows if row.get("group/etr") is not None]:
        out.append(("ETR, mean", f"{sum(rates) / len(rates):.2f}"))
    panels = [row for row in rows if row.get("panel/mae") is not None]
    if panels:
        rank, error = panels[-1].get("panel/spearman"), panels[-1]["panel/mae"]
        text = f"mean error {error:.3f}" + (f", rank correlation {rank:.2f}" if rank is not None else "")
        out.append(("belief on the panel, end", text))
    totals = {phase: sum(row.get(f"time/{phase}") or 0.0 for row in rows) for phase in PHASES}
    split = ", ".join(f"{phase} {seconds:.1f}" for phase, seconds in totals.items() if seconds >= 0.05)
    out.append(("seconds", f"{sum(totals.values()):.1f}" + (f" ({split})" if split else "")))
    return out


def _accuracy(row: Mapping[str, Any]) -> str:
    error = row.get("eval/accuracy_se")
    return f"{row['eval/accuracy']:.3f}" + (f" ± {error:.3f}" if error is not None else "")


def say(text: str, file: TextIO | None = None) -> None:
    """Prints lines at once. When the reader of a pipe has gone, here and from then on nobody is told."""
    file = file or sys.stdout
    try:
        print(text, file=file, flush=True)
    except BrokenPipeError:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, file.fileno())
        os.close(nowhere)


def duration(seconds: float) -> str:
    """12s, 3m04s, 2h05m."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
