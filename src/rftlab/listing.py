"""What is on the shelf: the configuration files of a group, read without Hydra so that help is instant."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

ROOTS = ("train", "eval", "validate", "doctor")
"""Root configurations, one for each verb that takes overrides."""


def conf_dir() -> Path:
    """The folder of the configuration groups: the checkout's ``conf/``, else the copy inside the installed package."""
    here = Path(__file__).resolve()
    checkout = here.parents[2]
    if (checkout / "pyproject.toml").is_file() and (checkout / "conf").is_dir():
        return checkout / "conf"
    return here.parent / "conf"


def options(group: str, extra: Sequence[Path] = ()) -> dict[str, Path]:
    """Files of a group by option name; a file in an ``extra`` folder hides the shipped one of the same name."""
    found: dict[str, Path] = {}
    for folder in (conf_dir(), *extra):
        for file in sorted((folder / group).glob("*.yaml")):
            found[file.stem] = file
    return dict(sorted(found.items()))


def groups(extra: Sequence[Path] = ()) -> dict[str, dict[str, Path]]:
    """Every group with its options, nested ones as ``sampler/selector``."""
    names = {
        file.parent.relative_to(folder).as_posix()
        for folder in (conf_dir(), *extra)
        for file in folder.rglob("*.yaml")
        if file.parent != folder
    }
    return {name: options(name, extra) for name in sorted(names)}


def header(file: Path) -> list[str]:
    """The comment lines that a file opens with, without the marks and without Hydra's ``@package``."""
    lines = []
    for line in file.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            break
        text = line.lstrip("#").strip()
        if not text.startswith("@package"):
            lines.append(text)
    return lines


def summary(file: Path) -> str:
    """The first header line: what ``rftlab samplers`` shows."""
    lines = header(file)
    return lines[0] if lines else ""
