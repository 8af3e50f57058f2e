"""The page of one run: ``report.html``, ``report.md`` and ``figures/``."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from rftlab import metrics, show
from rftlab.pages import run_figures
from rftlab.pages.cautions import cautions
from rftlab.pages.figure import drawn
from rftlab.pages.html import Table, render, write
from rftlab.pages.record import Record, load, pool_of
from rftlab.pages.selection import chosen
from rftlab.pages.sheets import Sheets
from rftlab.pages.words import count, known, number, share

COMPLETIONS = 12
"""Completions in a table: of the first and of the last step that saved some, worst, middling and best."""
SEVERITIES = {"bad": "Wrong", "look": "Mind", "note": "Note"}


def report(run: Path, out: Path | None = None) -> Path:
    """Writes the page of ``run`` into ``out`` (default: the run's directory); returns the page."""
    record = load(run)
    folder = out or run
    pool = pool_of(record)
    picked = chosen([record.groups], [record.metrics], pool)
    sheets = Sheets(folder / "figures")
    with drawn():
        run_figures.draw(record, picked, pool, sheets)
    facts = headline(record)
    page = render(
        "run.html.j2",
        title=title(record),
        command=f"rftlab report {run}" + (f" out={out}" if out else ""),
        where=f"{record.state.group}/{record.state.arm}/{run.name}",
        answer=answer(record),
        facts=facts,
        cautions=cautions(record),
        severities=SEVERITIES,
        d=defaultdict(lambda: None, sheets.drawings),
        pool=pool,
        config=OmegaConf.to_yaml(record.config),
        **_tables(record),
    )
    write(folder / "report.html", page)
    write(folder / "report.md", markdown(record, facts))
    return folder / "report.html"


def title(record: Record) -> str:
    model, dataset = record.setting("model.name", "?"), record.setting("dataset.name", "?")
    return f"{record.sampler} on {dataset} with {model}, seed {record.state.seed}"


def answer(record: Record) -> str:
    """What the run came to, in a sentence or two."""
    values = record.known("eval/accuracy")
    if not len(values):
        return "The run has no evaluation yet."
    error = record.last("eval/accuracy_se")
    doubt = f" (standard error over tasks {share(error)[:-2]} points)" if known(error) else ""
    spent = f"{count(record.last('ledger/rollouts'))} rollouts in {count(record.last('step'))} steps"
    if len(values) == 1:
        return f"Accuracy {share(float(values[0]))}{doubt} after {spent}; one evaluation so far."
    best = float(values.max())
    steps = record.metrics.loc[record.metrics["eval/accuracy"] == best, "step"]
    return (
        f"Accuracy went from {share(float(values[0]))} to {share(float(values[-1]))}{doubt} with {spent}; "
        f"the best was {share(best)} at step {count(float(steps.iloc[0]))}. One run shows no spread between seeds: "
        "rftlab compare DIR does, over several."
    )


def headline(record: Record) -> dict[str, str]:
    """The few numbers under the answer."""
    etr = record.known("group/etr")
    facts = {
        "state": record.state.state,
        "accuracy, start": share(float(record.known("eval/accuracy")[0])) if len(record.known("eval/accuracy")) else "",
        "accuracy, end": share(record.last("eval/accuracy")),
        "rollouts": count(record.last("ledger/rollouts")),
        "tokens": count(record.last("ledger/tokens")),
        "seconds": number(record.last("ledger/seconds")),
        "ETR, mean": share(float(etr.mean())) if len(etr) else "",
        "rank correlation": number(record.last("panel/spearman"), 2),
    }
    return {name: value for name, value in facts.items() if value not in ("", "unknown")}


def _tables(record: Record) -> dict[str, Any]:
    files, evaluated = ([*show.saved_files(record.path, evaluation).values()] for evaluation in (False, True))
    heads = ("step", "task", "prompt", "answer", "wrote", "score", "verdict", "tokens")
    starts = record.identity.get("starts", [])
    identity = {k: v for k, v in record.identity.items() if k != "starts"}
    return {
        "completions": Table("Completions", heads, _completions(files), frozenset({5, 7}), frozenset({2, 3, 4})),
        "completions_say": _says(record, files, "steps", ""),
        "evaluated": Table("Evaluations", heads, _completions(evaluated), frozenset({5, 7}), frozenset({2, 3, 4})),
        "evaluated_say": _says(record, evaluated, "evaluations", "--eval "),
        "starts": Table(
            "Starts of the run, with the versions of then",
            ("time", "commit", "host", "Python", "versions"),
            [
                [
                    str(start.get("time")),
                    str(start.get("git")),
                    str(start.get("host")),
                    str(start.get("python")),
                    ", ".join(f"{name} {version}" for name, version in start.get("versions", {}).items()),
                ]
                for start in starts
            ],
        ),
        "identity": Table("Identity", ("key", "value"), [[k, str(v)] for k, v in identity.items()]),
        "numbers": _numbers(record),
    }


def _numbers(record: Record) -> Table:
    rows = []
    for key in sorted(map(str, record.metrics.columns)):
        entry = metrics.describe(key)
        values = record.known(key)
        if entry is not None and len(values):
            rows.append([key, number(float(values[-1]), 4), number(float(values.mean()), 4), entry.unit, entry.says])
    return Table("Metrics", ("metric", "last", "mean", "unit", "what it is"), rows, frozenset({1, 2}))


def _says(record: Record, files: Sequence[Path], what: str, option: str) -> str:
    return (
        f"Of the first and the last of {len(files):,} {what} with saved completions, from the lowest score to the "
        f"highest. More: rftlab show {record.path} {option}--worst 5"
    )


def _completions(files: Sequence[Path]) -> list[list[str]]:
    """Of the first and of the last file."""
    half, rows = COMPLETIONS // 2, []
    for file in dict.fromkeys((*files[:1], *files[-1:])):
        found = sorted(show.lines(file), key=lambda row: row["score"])
        keep = sorted({round(i * (len(found) - 1) / (half - 1)) for i in range(half)}) if found else []
        rows += [found[i] for i in keep]
    return [
        [
            str(row["step"]),
            str(row["task"])[:8],
            *(show.visible(str(row.get(key))) for key in ("prompt", "answer", "text")),
            number(row["score"]),
            "passed" if row["passed"] else str(row["status"] if row["status"] != "ok" else "failed"),
            str(row["tokens"]),
        ]
        for row in rows
    ]


def markdown(record: Record, facts: dict[str, str]) -> str:
    """The answer, the numbers and the warnings for a README or an issue."""
    told = [f"# {title(record)}\n", f"{answer(record)}\n"]
    told.append(Table("", ("", ""), list(map(list, facts.items())), frozenset({1})).markdown())
    if found := cautions(record):
        told.append("".join(f"- **{SEVERITIES[caution.severity]}**: {caution.text}\n" for caution in found))
    return "\n".join(told)
