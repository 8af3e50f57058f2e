"""The records of a run: JSON lines in its directory, and Weights & Biases as a mirror that never stops the run."""

from __future__ import annotations

import json
import math
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TextIO

from rftlab import metrics
from rftlab.core import InputError
from rftlab.rundir import write_atomic
from rftlab.wandb_mirror import Mirror, open_mirror

Row = Mapping[str, Any]


def _say(text: str) -> None:
    print(text, file=sys.stderr)


class Tracker:
    """Writes what happens, as it happens.

    Within a step: ``groups``, ``completions`` and ``histogram`` first, ``log`` last, which sends all of them to the
    mirror as one row.

    Args:
        run_dir: The run's directory; ``metrics.jsonl``, ``groups.jsonl`` and ``completions/`` are written there.
        cfg: The ``tracking`` group.
        config: The whole configuration, for the mirror.
        identity: The content of ``run.json``, for the mirror.
        warn: Called with one line when the mirror goes offline or off.
    """

    def __init__(
        self, run_dir: Path, cfg: Any, *, config: Row, identity: Row, warn: Callable[[str], None] = _say
    ) -> None:
        self.run_dir, self.cfg = run_dir, cfg
        (run_dir / "completions").mkdir(parents=True, exist_ok=True)
        self._mirror: Mirror | None = open_mirror(run_dir, cfg, config=config, identity=identity, warn=warn)
        self._files: dict[str, TextIO] = {}

    # --- writing ----------------------------------------------------------------------------------------------------

    def log(self, row: Mapping[str, float]) -> None:
        """One line of ``metrics.jsonl``. Raises ``KeyError`` on a key that the catalogue does not have."""
        metrics.check(row)
        self._append("metrics.jsonl", [row])
        if self._mirror:
            self._mirror.log(row)

    def groups(self, rows: Sequence[Row]) -> None:
        """The groups of a step, a line each."""
        self._append("groups.jsonl", rows)
        rates = [row["wins"] / row["trials"] for row in rows if row.get("trials")]
        self.histogram("groups/pass_rate", rates)

    def completions(self, step: int, rows: Sequence[Row]) -> None:
        """The first ``tracking.save_completions`` completions of a step (-1 = all), fewer of them in the mirror."""
        kept = rows if self.cfg.save_completions < 0 else rows[: self.cfg.save_completions]
        if kept:
            write_atomic(self.run_dir / "completions" / f"step_{step:06d}.jsonl", _lines(kept))
        if self._mirror and (shown := rows[: self.cfg.completions]):
            self._mirror.table("completions", shown)

    def histogram(self, name: str, values: Sequence[float]) -> None:
        """A distribution; in the mirror only, as ``groups.jsonl`` holds the numbers."""
        if self._mirror and len(values):
            self._mirror.histogram(name, values)

    def close(self, status: str) -> None:
        """Ends the record; ``status`` is done, stopped or failed."""
        for file in self._files.values():
            file.close()
        self._files.clear()
        if self._mirror:
            self._mirror.close(status)

    def _append(self, name: str, rows: Sequence[Row]) -> None:
        if name not in self._files:
            self._files[name] = (self.run_dir / name).open("a", encoding="utf-8")
        self._files[name].write(_lines(rows))
        self._files[name].flush()

    # --- reading and cutting ----------------------------------------------------------------------------------------

    def rows(self) -> list[dict[str, Any]]:
        """``metrics.jsonl`` as it stands; numbers that were not finite are None."""
        return read_jsonl(self.run_dir / "metrics.jsonl")

    def cut(self, step: int) -> None:
        """Back to the boundary after ``step``, where a resumed run goes on.

        Groups, completions and evaluations of later steps go. So does the metrics row of ``step`` itself, which is
        logged again, and a last line that was only half written.
        """
        for name, last in (("metrics.jsonl", step - 1), ("groups.jsonl", step)):
            if name in self._files:
                self._files.pop(name).close()
            if (path := self.run_dir / name).exists():
                write_atomic(path, _lines([row for row in read_jsonl(path) if row["step"] <= last]))
        for folder in ("completions", "evals", "eval_completions", "panel"):
            for file in (self.run_dir / folder).glob("step_*"):
                if (found := re.match(r"step_(\d+)", file.name)) and int(found[1]) > step:
                    file.unlink()


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file that is only ever appended to; a half-written last line is left out."""
    if not path.exists():
        return []
    *lines, _half_written = path.read_bytes().split(b"\n")  # bytes: a text may hold other line ends, or half a letter
    rows = []
    for number, line in enumerate(lines, 1):
        try:
            rows.append(json.loads(line))
        except ValueError:
            raise InputError(f"{path}, line {number} is not JSON: repair or remove the line") from None
    return rows


def _lines(rows: Sequence[Row]) -> str:
    return "".join(json.dumps(_finite(row), ensure_ascii=False, allow_nan=False) + "\n" for row in rows)


def _finite(row: Row) -> dict[str, Any]:
    """JSON has no NaN: null stands for it."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}
