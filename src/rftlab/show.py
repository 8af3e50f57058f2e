"""The verb ``show``: completions of a run, their verdicts and advantages, in a terminal or a pipe."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

import pandas as pd
from rich.console import Console
from rich.rule import Rule
from rich.text import Text

from rftlab import curves
from rftlab.core import InputError

LIMIT = 10
"""Completions shown when nothing says how many."""
KEYS: dict[str, type | tuple[type, ...]] = {
    "step": int,
    "task": (str, int),
    "prompt": object,
    "answer": object,
    "text": object,
    "score": (int, float),
    "passed": bool,
    "status": str,
    "parsed": object,
    "finish": object,
    "tokens": int,
}
"""What a row of completions holds."""
PROMPT = 400
"""Characters of a prompt that are shown."""


@dataclass(frozen=True)
class Wanted:
    """Which completions; what is None does not choose."""

    step: int | None = None
    """None = the last one with completions, or with ``task`` every one."""
    task: str | None = None
    """A task's id, or its beginning."""
    worst: int | None = None
    """So many of the lowest score, and of equal ones the longest."""
    best: int | None = None
    failed: bool = False
    """Only those that did not pass."""
    evaluation: bool = False
    """Those of evaluations, not of training."""


def show(run: Path, wanted: Wanted, file: TextIO | None = None) -> int:
    """Prints the completions that ``wanted`` chooses; returns how many."""
    rows, damaged = read(run, saved_steps(run, wanted.evaluation), wanted)
    out = Console(file=file, highlight=False, soft_wrap=True)
    out.print(Text(visible(told(run, rows, wanted))))
    if damaged:
        out.print(Text(f"{damaged:,} damaged {'line' if damaged == 1 else 'lines'} left out"))
    picked = choose(rows, wanted)
    for row in picked:
        _print(out, row, wanted.evaluation)
    if (more := len(_passing(rows, wanted)) - len(picked)) > 0:
        out.print(Text(f"{more:,} more: --worst N, --best N and --task ID choose among them"))
    return len(picked)


def saved_steps(run: Path, evaluation: bool = False) -> dict[int, Path]:
    """Step -> file, of the steps or evaluations whose completions were saved. ``InputError`` when there are none."""
    if not (run / "run.json").is_file() and not (run / "completions").is_dir():
        raise InputError(f"{run} is no run: no run.json there; give a run's directory, as outputs/NAME/…/seed0")
    found = saved_files(run, evaluation)
    if not found and evaluation:
        raise InputError(f"{run} has saved no completion of an evaluation: train with eval.save_completions=32")
    if not found:
        raise InputError(f"{run} has saved no completion: train with tracking.save_completions=8, or -1 for all")
    return found


def saved_files(run: Path, evaluation: bool) -> dict[int, Path]:
    """As ``saved_steps``; empty when there are none."""
    folder = run / "eval_completions" if evaluation else run / "completions"
    return {int(p.stem.removeprefix("step_")): p for p in sorted(folder.glob("step_*.jsonl"))}


def read(run: Path, steps: dict[int, Path], wanted: Wanted) -> tuple[list[dict[str, Any]], int]:
    """The saved completions of the step, or of the task, in the order in which they were saved; the damaged lines."""
    if wanted.step is not None and wanted.step not in steps:
        near = min(steps, key=lambda step: abs(step - wanted.step))  # type: ignore[operator]
        what, each = (
            ("evaluation at", "evaluations from step") if wanted.evaluation else ("completions of", "steps from")
        )
        there = (
            f"{len(steps):,} {each} {min(steps)} to {max(steps)}" if len(steps) > 1 else f"those of step {near} alone"
        )
        raise InputError(f"{run} has no {what} step {wanted.step}; it has {there}: --step {near}")
    if wanted.step is not None:
        files = [steps[wanted.step]]
    else:
        files = [steps[max(steps)]] if wanted.task is None else list(steps.values())
    found = [_split(file) for file in files]
    rows, damaged = [row for whole, _ in found for row in whole], sum(lost for _, lost in found)
    if wanted.task is None:
        return rows, damaged
    of_task = [row for row in rows if str(row["task"]).startswith(wanted.task)]
    if not of_task:
        where = f"step {wanted.step}" if wanted.step is not None else "any step"
        raise InputError(
            f"no completion of task {wanted.task} was saved in {where} of {run}; rftlab show {run} shows some, and "
            f"{'eval' if wanted.evaluation else 'tracking'}.save_completions=-1 keeps all"
        )
    return of_task, damaged


def lines(file: Path) -> list[dict[str, Any]]:
    """The rows of a file of completions; damaged lines, and those that lack a key, are left out."""
    return _split(file)[0]


def _split(file: Path) -> tuple[list[dict[str, Any]], int]:
    """The rows of a file, and how many lines are none."""
    rows, damaged = [], 0
    for line in filter(str.strip, file.read_text(encoding="utf-8", errors="replace").split("\n")):
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if isinstance(row, dict) and all(key in row and isinstance(row[key], kind) for key, kind in KEYS.items()):
            rows.append(row)
        else:
            damaged += 1
    return rows, damaged


def choose(rows: Sequence[dict[str, Any]], wanted: Wanted) -> list[dict[str, Any]]:
    """The rows that are shown."""
    kept = _passing(rows, wanted)
    if wanted.worst is not None:
        return sorted(kept, key=lambda row: (row["score"], -row["tokens"]))[: wanted.worst]
    if wanted.best is not None:
        return sorted(kept, key=lambda row: (-row["score"], row["tokens"]))[: wanted.best]
    return kept[:LIMIT]


def _passing(rows: Sequence[dict[str, Any]], wanted: Wanted) -> list[dict[str, Any]]:
    return [row for row in rows if not (wanted.failed and row["passed"])]


def told(run: Path, rows: Sequence[dict[str, Any]], wanted: Wanted) -> str:
    """How many of the rollouts were saved."""
    steps = sorted({row["step"] for row in rows})
    if wanted.evaluation:
        where = f"evaluation at step {steps[0]}" if len(steps) == 1 else f"{len(steps):,} evaluations"
        return f"{run}, {where}: {len(rows):,} rollouts were saved (of the next: eval.save_completions=N, -1 for all)"
    groups = curves.groups(run)
    of_step = groups if wanted.step is None and wanted.task is not None else _of_steps(groups, rows)
    if wanted.task is not None and len(of_step):
        of_step = of_step[of_step["task"].str.startswith(wanted.task)]
    generated = int(of_step["rollouts"].sum()) if len(of_step) else 0
    where = f"step {steps[0]}" if len(steps) == 1 else f"{len(steps):,} steps"
    text = f"{run}, {where}: {len(rows):,} of {generated:,} rollouts were saved"
    return text + (" (all of a next run: tracking.save_completions=-1)" if len(rows) < generated else "")


def _of_steps(groups: pd.DataFrame, rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    return groups[groups["step"].isin({row["step"] for row in rows})] if len(groups) else groups


def advantage(row: Mapping[str, Any]) -> tuple[float | None, str]:
    """The advantage that a rollout was trained with, as its step has written it down, or None and why."""
    value = row.get("advantage", "")
    if row["status"] == "fault":
        return None, "a fault is no trial"
    if value is None:
        return None, "not trained on in this step"
    if not isinstance(value, int | float):
        return None, "not recorded: the run is of an older version"
    return float(value), ""


def _print(out: Console, row: dict[str, Any], evaluation: bool) -> None:
    value, why = advantage(row)
    weight = f"advantage {value:+.2f}  " if value is not None else f"no advantage ({why})  "
    verdict = "passed" if row["passed"] else "failed" if row["status"] == "ok" else str(row["status"])
    head = f"step {row['step']}  task {row['task']}  {verdict}  score {row['score']:g}  "
    head += f"{'' if evaluation else weight}{row['tokens']} tokens"
    head += "  cut at max_new_tokens" if row["finish"] == "length" else ""
    style = "green" if row["passed"] else "red"
    head = visible(head)
    out.print(Rule(Text(head, style), align="left") if out.is_terminal else Text("\n" + head))
    prompt = visible(str(row["prompt"]))
    if len(prompt) > PROMPT:
        prompt = f"{prompt[:PROMPT]}… ({len(prompt):,} characters)"
    parsed = "nothing was parsed" if row["parsed"] is None else f"parsed {visible(str(row['parsed']))}"
    for label, text in (("prompt", prompt), ("answer", f"{visible(str(row['answer']))}  ({parsed})")):
        out.print(Text.assemble((f"{label:<8}", "dim"), text))
    out.print(Text.assemble(("wrote   ", "dim"), visible(str(row["text"]))))


def visible(text: str) -> str:
    """Without characters that would act on a terminal, or turn the order of letters round.

    Control characters are shown as their Unicode pictures, the others as U+FFFD.
    """
    text = re.sub(r"[\x7f-\x9f\u202a-\u202e\u2066-\u2069]", "\ufffd", text)
    return re.sub(r"[\x00-\x08\x0b-\x1f]", lambda m: chr(0x2400 + ord(m[0])), text)
