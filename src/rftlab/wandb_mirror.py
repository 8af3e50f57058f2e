"""Weights & Biases as a mirror of the record: it may lag, go offline or break, and the run goes on."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rftlab.first_line import first_line

AXES = ("step", "ledger/rollouts", "ledger/tokens", "ledger/seconds")
"""What a chart can have as its x axis; rollouts by default."""
FINISH_SECONDS = 60
"""The longest that the end of a run waits for an upload; ``wandb sync`` sends what is left."""


class Mirror:
    """A W&B run. Its first failure is told once and switches it off."""

    def __init__(self, run: Any, warn: Callable[[str], None]) -> None:
        self._run, self._warn = run, warn
        self._pending: dict[str, Any] = {}

    def log(self, row: Mapping[str, Any]) -> None:
        """One row, with the tables and histograms since the last one."""
        content, self._pending = {**row, **self._pending}, {}
        self._safely(lambda run: run.log(content))

    def table(self, name: str, rows: Sequence[Mapping[str, Any]]) -> None:
        import wandb

        columns = list(rows[0])
        data = [[str(row.get(column)) for column in columns] for row in rows]
        self._safely(lambda _: self._pending.update({name: wandb.Table(columns=columns, data=data)}))

    def histogram(self, name: str, values: Sequence[float]) -> None:
        import wandb

        self._safely(lambda _: self._pending.update({name: wandb.Histogram(list(values))}))

    def close(self, status: str) -> None:
        def finish(run: Any) -> None:
            if self._pending:
                run.log(self._pending)
            run.summary["status"] = status
            run.finish(exit_code=0 if status in ("done", "stopped") else 1)

        self._safely(finish)
        self._run = None

    def _safely(self, act: Callable[[Any], Any]) -> None:
        if self._run is None:
            return
        try:
            act(self._run)
        except Exception as exc:
            self._run = None
            self._warn(f"W&B is off for the rest of this run, the record in the run directory goes on: {line(exc)}")


def open_mirror(
    run_dir: Path, cfg: Any, *, config: Mapping[str, Any], identity: Mapping[str, Any], warn: Callable[[str], None]
) -> Mirror | None:
    """A W&B run in the mode that ``tracking.wandb`` asks for, offline when the server can't be reached; None = off."""
    mode = resolve_mode(cfg.wandb)
    for attempt in dict.fromkeys((mode, "offline")):
        if mode == "off":
            break
        try:
            return Mirror(_init(run_dir, cfg, attempt, config, identity), warn)
        except Exception as exc:
            forget_failed_start()
            then = "W&B goes on offline" if attempt == "online" else "W&B is off"
            warn(f"{then}, the record in the run directory is complete: {line(exc)}")
    return None


def forget_failed_start() -> None:
    """W&B's service holds the id of a run that failed to start, and refuses it to the next attempt."""
    import wandb

    with contextlib.suppress(Exception):
        wandb.teardown()


def resolve_mode(wanted: str) -> str:
    """``auto`` becomes what W&B's own WANDB_MODE says, else online when there is a key, else offline."""
    if wanted != "auto":
        return wanted
    said = os.environ.get("WANDB_MODE", "").lower()
    if said in ("offline", "dryrun"):
        return "offline"
    if said == "disabled":
        return "off"
    return "online" if has_key() else "offline"


def has_key() -> bool:
    """Whether W&B finds credentials in the environment or in netrc; asks nobody and no server."""
    import wandb

    os.environ.setdefault("WANDB_SILENT", "true")
    return bool(wandb.login(prompt=False, verify=False))


def _init(run_dir: Path, cfg: Any, mode: str, config: Mapping[str, Any], identity: Mapping[str, Any]) -> Any:
    import wandb

    sampler = str(config["sampler"]["name"])
    run = wandb.init(
        dir=run_dir,
        project=cfg.project,
        entity=cfg.entity,
        group=str(config["name"]),
        name=f"{sampler}-seed{config['seed']}",
        job_type=sampler,
        tags=[*cfg.tags, sampler, str(config["model"]["name"]), str(config["dataset"]["name"])],
        config={**config, "identity": dict(identity)},
        id=_run_id(run_dir),
        resume="allow" if mode == "online" else None,
        mode=mode,
        settings=wandb.Settings(
            init_timeout=cfg.init_timeout,
            finish_timeout=FINISH_SECONDS,
            silent=True,
            console="off",
            disable_git=True,  # run.json has the commit
            disable_code=True,
        ),
    )
    for axis in AXES:
        run.define_metric(axis)
    run.define_metric("*", step_metric="ledger/rollouts")
    return run


def _run_id(run_dir: Path) -> str:
    """Kept in the run directory, so that a resumed run goes on in the same W&B run."""
    path = run_dir / "wandb_id"
    if not path.exists():
        path.write_text(secrets.token_hex(4) + "\n", encoding="utf-8")
    return path.read_text(encoding="utf-8").strip()


def line(exc: Exception) -> str:
    """An error of W&B in one line."""
    return f"{type(exc).__name__}: {first_line(str(exc))}"
