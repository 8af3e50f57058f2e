"""A comparison in W&B: one run with the tables, the figures and the page as an artifact."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from rftlab.comparison import FILE, Comparison
from rftlab.pages import compare_tables
from rftlab.pages.compare_page import PAGE
from rftlab.pages.html import Table
from rftlab.runs import read
from rftlab.wandb_mirror import FINISH_SECONDS, forget_failed_start, line, resolve_mode

TIMEOUT = 20
"""Seconds that the start may take before the comparison is kept offline."""
TABLES: dict[str, Callable[[Comparison], Table]] = {
    "results": compare_tables.results,
    "speed": compare_tables.speed,
    "beside_the_verdict": compare_tables.doubt,
    "groups": compare_tables.shares,
    "cost": compare_tables.cost,
    "runs": compare_tables.runs,
    "configuration": compare_tables.differences,
}


def log(comparison: Comparison, folder: Path, warn: Callable[[str], None]) -> str | None:
    """Logs what ``compare`` has written to ``folder`` as a run of the project that the baseline's runs belong to.

    Offline without a key or a network; says so through ``warn``, as it does when W&B fails. Returns where the run is:
    its address, or the directory that ``rftlab sync`` sends.
    """
    mode = resolve_mode("auto")
    for attempt in dict.fromkeys((mode, "offline")):
        if attempt == "off":
            break
        try:
            return _log(comparison, folder, attempt)
        except Exception as error:  # a mirror that breaks stops nothing
            warn(f"W&B ({attempt}) did not take the comparison, its files are complete: {line(error)}")
            forget_failed_start()
    return None


def _log(comparison: Comparison, folder: Path, mode: str) -> str:
    import wandb

    config = read(Path(comparison.arms[0].runs[0].path)).config
    tracking = config.get("tracking") or {}
    run = wandb.init(
        dir=folder,
        project=tracking.get("project") or "rftlab",
        entity=tracking.get("entity"),
        group=str(config.get("name")),
        name=f"compare-{comparison.title}",
        job_type="compare",
        config={"by": comparison.by, "baseline": comparison.baseline, "endpoint": comparison.endpoint},
        mode=mode,
        settings=wandb.Settings(
            init_timeout=TIMEOUT,
            finish_timeout=FINISH_SECONDS,
            silent=True,
            console="off",
            disable_git=True,
            disable_code=True,
        ),
    )
    where = run.url if mode == "online" else run.settings.sync_dir
    try:
        run.log({name: _table(make(comparison)) for name, make in TABLES.items()})
        run.log({f"figures/{file.stem}": wandb.Image(str(file)) for file in sorted((folder / "figures").glob("*.png"))})
        run.summary.update(summary(comparison))
        artifact = wandb.Artifact(f"comparison-{run.id}", type="comparison", metadata={"answer": comparison.answer})
        for name in (PAGE, FILE, "compare.md"):
            artifact.add_file(str(folder / name), name)
        run.log_artifact(artifact)
    finally:
        run.finish()
    return str(where)


def summary(comparison: Comparison) -> dict[str, Any]:
    """The numbers of each arm, as the summary of a W&B run has them."""
    out: dict[str, Any] = {"answer": " ".join(comparison.answer)}
    for arm in comparison.arms:
        out |= {f"{arm.label}/auc": arm.auc.mean, f"{arm.label}/final": arm.final.mean}
        if arm.against is not None:
            d = arm.against.difference
            out |= {f"{arm.label}/difference": d.mean, f"{arm.label}/low": d.low, f"{arm.label}/high": d.high}
            out |= {f"{arm.label}/verdict": arm.against.verdict, f"{arm.label}/p_holm": arm.against.p_holm}
    return out


def _table(table: Table) -> Any:
    import wandb

    return wandb.Table(columns=list(table.heads), data=[list(row) for row in table.rows])
