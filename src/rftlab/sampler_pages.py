"""``rftlab samplers``: the shelf as a table, and everything about one preset or one part. Plain text."""

from __future__ import annotations

import inspect
import shutil
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rftlab import listing, targets
from rftlab.samplers import shelf

COLUMNS = "{:<18} {:<23} {:<19} {}"


def show(name: str | None, extra: Sequence[Path] = ()) -> None:
    """Prints the table of presets, the options of a part (``selectors``), or all about a preset or ``selector/X``."""
    width = min(shutil.get_terminal_size((80, 24)).columns, 120)
    if name is None:
        print(overview(extra, width, bold=sys.stdout.isatty()))
    elif (group := name.removesuffix("s")) in shelf.GROUPS:
        print("\n".join(_options_of(group, extra, width)))
    elif (group := name.partition("/")[0].removeprefix("sampler/")) in shelf.GROUPS:
        option = name.partition("/")[2]
        listing.check_option(f"sampler/{group}", option, listing.options(f"sampler/{group}", extra))
        print(part_page(group, option, shelf.part(group, option, extra), extra))
    else:
        listing.check_option("sampler", name, listing.options("sampler", extra))
        print(page(name, extra, width))


def overview(extra: Sequence[Path] = (), width: int = 80, bold: bool = False) -> str:
    """Every preset: a line of facts, its idea, its source and its cost; then the parts by name."""
    pool = shelf.small_pool()
    lines = [COLUMNS.format("sampler=", "it decides on", "rounds of a task", "needs"), "-" * width]
    for name, file in listing.options("sampler", extra).items():
        head, card = listing.fields(file), shelf.card(name, pool, extra)
        facts = COLUMNS.format(name, card.controls, card.rounds, card.needs).rstrip()
        long = len(facts) > width
        facts = COLUMNS.format(name, card.controls, card.rounds, "").rstrip() if long else facts
        lines.append(facts.replace(name, f"\033[1m{name}\033[0m", 1) if bold else facts)
        said = {
            "": listing.first_sentence(head["Idea"]),
            "Needs: ": card.needs if long else "",
            "Source: ": listing.first_sentence(head.get("Source", "")),
            "Cost: ": listing.first_sentence(head.get("Cost", "")),
            "Broken: ": card.problem,
        }
        for label, text in said.items():
            lines += _wrapped(label + text, width, 4) if text else []
    lines += ["-" * width, "Every preset is a choice of three parts, and they cross:", ""]
    lines += ["    rftlab train sampler=bots sampler/admission=nonzero_var", ""]
    for group in shelf.GROUPS:
        names = " ".join(listing.options(f"sampler/{group}", extra))
        lines += _wrapped(f"sampler/{group}= {names}", width, 4, first=0)
    lines += ["", "rftlab samplers NAME       equations and options of a preset"]
    lines += ["rftlab samplers selectors  what each selector does (or: allocators, admissions)"]
    return "\n".join(lines)


def page(name: str, extra: Sequence[Path] = (), width: int = 80) -> str:
    """A preset: its header, facts, how to cross it, and its three parts."""
    file = listing.options("sampler", extra)[name]
    node, card = shelf.preset(name, extra), shelf.card(name, shelf.small_pool(), extra)
    lines = [f"sampler={name}", "", *listing.header(file), ""]
    lines += [f"Decides on: {card.controls}. Rounds of a task: {card.rounds}. Needs: {card.needs}."]
    lines += [card.problem] if card.problem else []
    lines += ["", f"    rftlab train sampler={name}", f"    rftlab train sampler={name} {_crossed(name, extra)}"]
    lines += [f"    rftlab train sampler={name} sampler.PART.OPTION=VALUE", ""]
    rest = {key: value for key, value in node.items() if key not in ("name", *shelf.GROUPS)}
    lines += [f"sampler.{key}: {in_yaml(value)}" for key, value in rest.items()]
    chosen = shelf.chosen_parts(name, extra) or {}
    for group in shelf.GROUPS:
        if group in node:
            lines += ["", part_page(group, chosen.get(group), node[group], extra)]
    return "\n".join(lines)


def part_page(group: str, option: str | None, node: dict[str, Any], extra: Sequence[Path] = ()) -> str:
    """A part: its class, equations and options."""
    title = f"{group}: {option or '(of its own)'}  {node.get('_target_', '')}"
    lines, options = [title, "-" * len(title), docstring(node)], option_lines(group, option, node, extra)
    return "\n".join([*lines, *(["", f"sampler.{group}:"] if options else []), *(f"  {line}" for line in options)])


def docstring(node: dict[str, Any]) -> str:
    """What the class of a part says of itself, without the arguments: they stand in the option file."""
    cls = targets.find("sampler", node)
    return inspect.cleandoc(cls.__doc__ or "").partition("\nArgs:\n")[0].strip()


def option_lines(group: str, option: str | None, node: dict[str, Any], extra: Sequence[Path] = ()) -> list[str]:
    """The options as in their file, with its comments and the values of ``node``."""
    if option is None:
        return [f"{key}: {in_yaml(value)}" for key, value in node.items() if key != "_target_"]
    default, lines = shelf.part(group, option, extra), []
    for key, line in _lines_of(group, option, extra).items():
        if key in node and node[key] != default.get(key):
            value, comment = in_yaml(node[key]), line.partition(" #")[2]
            line = f"{key}: {value}".ljust(24) + (f" #{comment}" if comment else "")
            line += " (set by the preset)"
        lines.append(line)
    return lines


def _lines_of(group: str, option: str, extra: Sequence[Path]) -> dict[str, str]:
    """Key -> line, as in the option's file; a variant's with the places and comments of its base."""
    base = shelf.base_of(group, option, extra)
    lines = _lines_of(group, base, extra) if base else {}
    for line in listing.options(f"sampler/{group}", extra)[option].read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith(("#", "_target_", "defaults:", "  - ")):
            key, comment = line.partition(":")[0], lines.get(line.partition(":")[0], "").partition(" #")[2]
            lines[key] = line if " #" in line or not comment else f"{line:<24} #{comment}"
    return lines


def _options_of(group: str, extra: Sequence[Path], width: int) -> list[str]:
    """One entry for each option of a group."""
    lines = [f"sampler/{group}=", "-" * width]
    for option, file in listing.options(f"sampler/{group}", extra).items():
        entry = f"{option:<20} {listing.summary(file)}"
        lines += textwrap.wrap(entry, width, subsequent_indent=" " * 21, break_long_words=False)
    return [*lines, "-" * width, f"rftlab samplers {group}/NAME  equations and options of one"]


def _crossed(name: str, extra: Sequence[Path]) -> str:
    """An example: a part that the preset leaves plain, with something in its place."""
    chosen = shelf.chosen_parts(name, extra) or {}
    return "sampler/admission=nonzero_var" if chosen.get("admission") == "all" else "sampler/selector=mopps"


def _wrapped(text: str, width: int, indent: int, first: int | None = None) -> list[str]:
    start = " " * (indent if first is None else first)
    return textwrap.wrap(
        text,
        width,
        initial_indent=start,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )


def in_yaml(value: Any) -> str:
    from omegaconf import OmegaConf

    text = OmegaConf.to_yaml({"value": value}, resolve=True).removeprefix("value:").strip()
    return text if "\n" not in text else "{" + ", ".join(text.split("\n")).replace("  ", "") + "}"
