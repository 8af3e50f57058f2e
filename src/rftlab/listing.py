"""What is on the shelf: the configuration files of a group, read without Hydra so that help is instant."""

from __future__ import annotations

import re
import sys
import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path

ROOTS = ("train", "eval", "profile", "validate", "rescore", "doctor")
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
        text = line.removeprefix("#").removeprefix(" ").rstrip()
        if not text.startswith("@package"):
            lines.append(text)
    return lines


def fields(file: Path) -> dict[str, str]:
    """The header by its labels: ``Idea`` (what stands before any label) and e.g. ``Source``, ``Knob``, ``Cost``."""
    found: dict[str, list[str]] = {"Idea": []}
    label = "Idea"
    for line in header(file):
        if labelled := re.match(r"([A-Z]\w*):(.*)", line):
            label, line = labelled[1], labelled[2]
        found.setdefault(label, []).append(line.strip())
    return {label: " ".join(lines).strip() for label, lines in found.items()}


def first_sentence(text: str) -> str:
    return re.split(r"(?<=[.!?]) (?=[A-Z])", text, maxsplit=1)[0]


def summary(file: Path) -> str:
    """The first sentence of the header: what the listings show. Indented lines are commands and end it."""
    lines = []
    for line in header(file):
        if line.startswith("  ") or re.match(r"[A-Z]\w*:(\s|$)", line):
            break
        lines.append(line.strip())
    return first_sentence(" ".join(lines))


def verb_help(verb: str, extra: Sequence[Path] = ()) -> str:
    """What ``rftlab VERB --help`` prints: the file's own words, its groups with their options, its single keys."""
    file = conf_dir() / f"{verb}.yaml"
    text = file.read_text(encoding="utf-8").split("\ndefaults:\n", 1)[-1]
    defaults, _, single = text.partition("\n\n")
    chosen = dict(re.findall(r"^  - ([\w/]+): ([\w.\-]+)", defaults, re.MULTILINE))
    lines = [*header(file), "", "Groups (NAME=OPTION; the default is marked *):"]
    for group, names in groups(extra).items():
        top = group.split("/")[0]
        if top in chosen:
            shown = " ".join(f"{name}*" if name == chosen.get(group) else name for name in names)
            lines.append(textwrap.fill(f"  {group:<20} {shown}", 110, subsequent_indent=" " * 23))
    lines += ["", "Single keys:", textwrap.indent(single.rstrip(), "  "), "", f"rftlab {verb} --cfg job  every key"]
    lines += [f"rftlab {verb} --dry-run  check everything that needs no model, print the result and stop"]
    return "\n".join([*lines, "--config-dir DIR  a folder with configuration groups of your own"])


def extra_dirs(args: Sequence[str]) -> list[Path]:
    """The folder that ``--config-dir`` names on a command line, as a list."""
    for i, arg in enumerate(args):
        name, equals, value = arg.partition("=")
        if name in ("--config-dir", "-cd"):
            return [Path(value if equals else args[i + 1])] if equals or i + 1 < len(args) else []
    return []


def check_option(group: str, name: str, found: Iterable[str]) -> None:
    """``name`` must be one of ``found``."""
    if name not in (found := list(found)):
        from rftlab.core import InputError
        from rftlab.nearest import nearest

        guess = nearest(name, found)
        hint = f"did you mean {guess}? " if guess else ""
        raise InputError(f"{group}={name}: no such option; {hint}There are: {', '.join(found)}")


def table(rows: dict[str, str]) -> None:
    """Prints names and what each is."""
    if not sys.stdout.isatty():
        width = max(map(len, rows), default=0)
        print("\n".join(f"{name:{width}}  {text}" for name, text in rows.items()))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(style="bold", no_wrap=True)
    table.add_column()
    for row in rows.items():
        table.add_row(*row)
    Console(highlight=False).print(table)
