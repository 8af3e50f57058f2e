"""The verb ``dashboard``: a W&B workspace that shows runs as the pages do, as a file and, with a key, on the server."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from rftlab.core import InputError
from rftlab.rundir import write_atomic

NAME = "rftlab: samplers"
AXIS = "ledger/rollouts"
GROUP = "sampler.name"
RUNS = 100
"""Most runs that a panel shows."""


class Curve(NamedTuple):
    """A panel of curves: mean over an arm's seeds, with the standard error."""

    title: str
    keys: tuple[str, ...]


SECTIONS: dict[str, tuple[Curve, ...]] = {
    "Accuracy": (
        Curve("Evaluation accuracy", ("eval/accuracy",)),
        Curve("Reward", ("reward/mean",)),
        Curve("Truncated completions", ("completion/truncated", "eval/truncated")),
    ),
    "Groups": (
        Curve("Effective task ratio", ("group/etr",)),
        Curve("Groups all right", ("group/all_pass",)),
        Curve("Groups all wrong", ("group/all_fail",)),
    ),
    "Calibration": (
        Curve("Rank correlation on the panel", ("panel/spearman",)),
        Curve("Calibration error on the panel", ("panel/calibration_error",)),
    ),
    "Cost": (
        Curve("Seconds of a step", ("time/ask", "time/generate", "time/verify", "time/update")),
        Curve("Tokens per second", ("rate/tokens_per_second",)),
        Curve("Rollouts beside the ledger", ("ledger/eval_rollouts", "ledger/panel_rollouts")),
    ),
}
"""Section -> panels. Every key is one of ``metrics.py``."""
TABLE = "completions"
"""What the mirror calls the table of completions."""


def dashboard(project: str, entity: str | None, out: Path) -> tuple[Path, str | None]:
    """Writes the workspace's specification to ``out`` and sends it when there is a key.

    Returns:
        The file and the workspace's address; None when nothing was sent.

    Raises:
        InputError: the package ``wandb-workspaces`` is missing, or the server did not take it (the file is there).
    """
    space = workspace(project, entity or "")
    try:
        out.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(out, specification(space) + "\n")
    except OSError as error:
        raise InputError(f"cannot write {out} ({error.strerror}); give a writable place by out=FILE") from error
    return out, _push(space, out)


def workspace(project: str, entity: str) -> Any:
    """The workspace as the library's own model: grouped by sampler, against rollouts."""
    reports, spaces = _library()
    sections = [
        spaces.Section(name=name, panels=[_panel(reports, curve) for curve in curves], is_open=True)
        for name, curves in SECTIONS.items()
    ]
    sections.append(spaces.Section(name="Completions", panels=[reports.WeavePanelSummaryTable(table_name=TABLE)]))
    return spaces.Workspace(
        entity=entity,
        project=project,
        name=NAME,
        sections=sections,
        settings=spaces.WorkspaceSettings(x_axis=AXIS, max_runs=RUNS),
        runset_settings=spaces.RunsetSettings(groupby=[spaces.Config(GROUP)]),
    )


def specification(space: Any) -> str:
    """The view as JSON, read back by the library's model: what it would refuse is found here and not by the server."""
    from wandb_workspaces.workspaces import internal

    text = space._to_model().model_dump_json(by_alias=True, exclude_none=True, indent=1)
    internal.View.model_validate_json(text)
    return text


def _library() -> tuple[Any, Any]:
    try:
        import wandb_workspaces.reports.v2 as reports
        import wandb_workspaces.workspaces as spaces
    except ModuleNotFoundError as error:
        raise InputError(
            f"the dashboard needs the package wandb-workspaces ({error.name} is missing): pip install wandb-workspaces"
        ) from error
    return reports, spaces


def _panel(reports: Any, curve: Curve) -> Any:
    return reports.LinePlot(
        title=curve.title,
        x=AXIS,
        y=list(curve.keys),
        groupby=reports.Config(GROUP),
        groupby_aggfunc="mean",
        groupby_rangefunc="stderr",
        max_runs_to_show=RUNS,
    )


def _push(space: Any, out: Path) -> str | None:
    from rftlab.wandb_mirror import has_key, line, resolve_mode

    if resolve_mode("auto") != "online" or not has_key():
        return None
    import wandb

    try:
        space.entity = space.entity or str(wandb.Api(timeout=20).default_entity)
        space.save()
    except Exception as error:  # the server and the library have errors of their own
        raise InputError(f"W&B did not take the workspace ({line(error)}); its specification is in {out}") from error
    return str(space.url)
