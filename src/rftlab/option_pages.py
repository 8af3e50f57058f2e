"""``rftlab datasets``, ``verifiers`` and ``models``: the options of a group, or all about one of them."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rftlab import listing

WIDTH = 34
"""Column at which comments stand, where the value leaves room."""
QUOTED = re.compile(r"(?<=: )(\"(?:\\.|[^\"\\])*\"|'(?:''|[^'])*')")
"""A value in quotes: what stands in it is no comment."""
Path_ = tuple[str, ...]


def show(group: str, name: str | None, extra: Sequence[Path] = ()) -> None:
    """Prints the options of a group, or the page of one."""
    found = listing.options(group, extra)
    if name is None:
        listing.table({option: listing.summary(file) for option, file in found.items()})
        return
    listing.check_option(group, name, found)
    print(page(group, name, extra))


def page(group: str, name: str, extra: Sequence[Path] = ()) -> str:
    """The option's own words, what its class says, how it is chosen, and every key with its value and comment."""
    from rftlab.config import compose

    file = listing.options(group, extra)[name]
    cfg = compose([f"{group}={name}"], config_dir=extra[0] if extra else None)
    node: Any = cfg[group]
    lines = [f"{group}={name}", "", *listing.header(file), ""]
    lines += [f"Graded by verifier={cfg.verifier.name}.", ""] if group == "dataset" else []
    said = _docstring(node.get("check")) if group == "verifier" else ""
    lines += [said, ""] if said else []
    lines += _commands(group, name, listing.header(file))
    body = commented(_yaml(node), comments(group, file, extra))
    return "\n".join([*lines, f"{group}:", *(f"  {line}".rstrip() for line in body)])


def _yaml(node: Any) -> str:
    """The keys as they would be written by hand: lists in one line, texts of several lines as blocks."""
    import yaml
    from omegaconf import OmegaConf

    class Dumper(yaml.SafeDumper):
        pass

    Dumper.add_representer(list, lambda d, value: d.represent_sequence("tag:yaml.org,2002:seq", value, flow_style=True))
    Dumper.add_representer(
        str, lambda d, value: d.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)
    )
    content = OmegaConf.to_container(node, resolve=True)
    return yaml.dump(content, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=10_000)


def _docstring(check: Any) -> str:
    from rftlab.sampler_pages import docstring

    return docstring(check) if check else ""


def _commands(group: str, name: str, head: Sequence[str]) -> list[str]:
    """The command that takes it, unless its own header has one."""
    if any("rftlab " in line for line in head):
        return []
    verbs = {"verifier": ("train", "validate"), "dataset": ("train", "validate")}.get(group, ("train", "eval"))
    return [*(f"  rftlab {verb} {group}={name}" for verb in verbs), ""]


def comments(group: str, file: Path, extra: Sequence[Path] = ()) -> dict[Path_, str]:
    """Key path inside the group -> comment, from the file and the ones that it is built on; its own win."""
    text = file.read_text(encoding="utf-8")
    found: dict[Path_, str] = {}
    for base, place in _bases(group, text):
        if (other := listing.options(base, extra).get(place[-1])) is not None and other != file:
            inherited = comments(base, other, extra)
            found |= {(*place[:-1], *path): comment for path, comment in inherited.items()}
    return found | {path: comment for path, _, comment in _keyed(text.splitlines(), group) if comment}


def _bases(group: str, text: str) -> list[tuple[str, Path_]]:
    """(group, (*place, option)) of what the ``defaults`` of a file take from this or another group of the same kind."""
    block = re.search(r"^defaults:\n((?:  - .*\n)+)", text, re.MULTILINE)
    found: list[tuple[str, Path_]] = []
    for entry in re.findall(r"^  - (.*?)(?: +#.*)?$", block[1], re.MULTILINE) if block else []:
        if placed := re.fullmatch(r"/([\w/]+)@([\w.]+): (\S+)", entry):
            found.append((placed[1], (*placed[2].split("."), placed[3])))
        elif re.fullmatch(r"[\w.\-]+", entry) and entry != "_self_":
            found.append((group, (entry,)))
    return found


def _keyed(lines: Sequence[str], group: str | None = None) -> list[tuple[Path_, str, str]]:
    """(key path, line, comment) of the lines of a YAML text; () where a line has no key of its own.

    With ``group``, the outer key of a file that is packaged globally is left out.
    """
    found, open_keys, in_block = [], [], 0
    for line in lines:
        indent = len(line) - len(line.lstrip())
        key = re.match(r"( *)([\w'\"\-]+):(\s|$)", line)
        if in_block and (indent >= in_block or not line.strip()):  # a text over several lines
            found.append(((), line, ""))
            continue
        in_block = 0
        if key is None or line.lstrip().startswith("- "):
            found.append(((), line, ""))
            continue
        open_keys = [(i, k) for i, k in open_keys if i < indent] + [(indent, key[2].strip("'\""))]
        path = tuple(k for _, k in open_keys)
        if group is not None and path[0] == group:
            path = path[1:]
        comment = re.search(r"\s#\s*(.*)$", QUOTED.sub("", line, count=1))
        found.append((path, line, comment[1].strip() if comment else ""))
        if re.search(r":\s*[|>][+-]?\s*$", line):
            in_block = indent + 1
    return found


def commented(text: str, told: Mapping[Path_, str]) -> list[str]:
    """The lines of a YAML text with the comment of each key behind it."""
    lines = []
    for path, line, _ in _keyed(text.splitlines()):
        said = told.get(path) if path else None
        lines.append(f"{line:<{WIDTH}}  # {said}" if said else line)
    return lines
