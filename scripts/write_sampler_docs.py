"""Writes docs/samplers.md from the headers, options and docstrings of the samplers: `make docs`."""

from __future__ import annotations

import sys
from pathlib import Path

from rftlab import listing, sampler_pages
from rftlab.samplers import shelf

PAGE = Path(__file__).resolve().parents[1] / "docs" / "samplers.md"

OPENING = """<!-- Written by `make docs` from conf/sampler and the docstrings. Change those, then run it. -->

# Samplers

A sampler is three small parts, and most published methods are a choice of one of each:

```
            ┌────────────── TaskSampler ──────────────┐
            │ Selector     which tasks                │
   ask ◄────│ Allocator    how many rollouts each     │◄──── tell (every rollout, also the rejected)
            │ Admission    which groups are trained on│
            └─────────────────────────────────────────┘
```

A *preset* names the three (`sampler=bots`). Any part of it can be exchanged, and any option set:

```
rftlab train sampler=bots
rftlab train sampler=bots sampler/admission=nonzero_var           # another part
rftlab train sampler=bots sampler.selector.lam=0.2                # an option of a part
rftlab train -m sampler/selector=uniform,bots sampler/allocator=fixed,knapsack    # which part pays?
```

`rftlab samplers` prints the table below, `rftlab samplers NAME` what is here about one of them. Every preset and every
crossing is held to one contract (`rftlab.testing`, `make conformance`). A sampler of your own is two files:
[CONTRIBUTING.md](../CONTRIBUTING.md), [examples/my_sampler](../examples/my_sampler).

Letters: N tasks in the pool, P tasks of a batch, G rollouts of a task. In the table, *decides on* is what a preset does
otherwise than `uniform`, *rounds* are those of a task at G = 8, and a need in brackets is used where it is there.
"""

TITLES = {"selector": "Selectors", "allocator": "Allocators", "admission": "Admissions"}
SAYS = {
    "selector": "Which tasks: `sampler/selector=NAME`.",
    "allocator": "How many rollouts of each: `sampler/allocator=NAME`.",
    "admission": "Which groups reach the optimiser, and whether others are asked for: `sampler/admission=NAME`.",
}


def main() -> int:
    """Writes the page; with ``--check`` only says whether it is what would be written."""
    text = page()
    if "--check" in sys.argv[1:]:
        return 0 if PAGE.is_file() and PAGE.read_text(encoding="utf-8") == text else 1
    PAGE.write_text(text, encoding="utf-8")
    return 0


def page() -> str:
    """The whole of docs/samplers.md."""
    sections = [OPENING, "## Presets\n", table()]
    sections += [preset(name, file) for name, file in listing.options("sampler").items()]
    for group in shelf.GROUPS:
        sections += [f"## {TITLES[group]}\n\n{SAYS[group]}\n"]
        sections += [part(group, name, file) for name, file in listing.options(f"sampler/{group}").items()]
    return "\n".join(sections).rstrip() + "\n"


def table() -> str:
    """A row for each preset."""
    pool = shelf.small_pool()
    lines = ["| `sampler=` | idea | decides on | rounds | needs | source |", "|---|---|---|---|---|---|"]
    for name, file in listing.options("sampler").items():
        head, card = listing.fields(file), shelf.card(name, pool)
        if card.problem:
            raise SystemExit(f"{name}: {card.problem}")
        idea, source = listing.first_sentence(head["Idea"]), listing.first_sentence(head["Source"]).rstrip(".")
        cells = [f"[`{name}`](#{anchor('', name)})", idea, card.controls, card.rounds, card.needs, source]
        lines.append(f"| {' | '.join(cell.replace('|', '&#124;') for cell in cells)} |")
    return "\n".join(lines) + "\n"


def preset(name: str, file: Path) -> str:
    """A section: the header, the parts with links, and what the preset sets itself."""
    head, node, chosen = listing.fields(file), shelf.preset(name), shelf.chosen_parts(name) or {}
    lines = [f"### {name}", "", head["Idea"], ""]
    lines += [f"- **{label}**: {text}" for label, text in head.items() if label != "Idea"]
    links = [f"{group} [`{option}`](#{anchor(group, option)})" for group, option in chosen.items()]
    lines += [f"- **Parts**: {', '.join(links)}"]
    own = [
        f"{group}.{key}: {sampler_pages.in_yaml(value)}"
        for group, option in chosen.items()
        for key, value in node[group].items()
        if shelf.part(group, option).get(key) != value
    ]
    own += [f"filter: {sampler_pages.in_yaml(node['filter'])}"] if node.get("filter") else []
    own += [f"stats_discount: {node['stats_discount']}"] if node.get("stats_discount", 1.0) != 1.0 else []
    lines += [f"- **Sets**: {', '.join(f'`{line}`' for line in own)}"] if own else []
    return "\n".join(lines) + "\n"


def part(group: str, name: str, file: Path) -> str:
    """A section: what the file says in a line, the docstring, and the options; of a variant, what it changes."""
    node, base = shelf.part(group, name), shelf.base_of(group, name)
    if base:
        plain = shelf.part(group, base)
        changed = [f"{key}: {sampler_pages.in_yaml(node[key])}" for key in node if node[key] != plain.get(key)]
        lines = [f"### {group}: {name}", "", listing.summary(file), "", f"[`{base}`](#{anchor(group, base)}) with"]
        return "\n".join([*lines, "", "```yaml", f"# sampler.{group}", *changed, "```"]) + "\n"
    lines = [f"### {group}: {name}", "", f"`{node['_target_']}`", "", fenced(sampler_pages.docstring(node))]
    options = sampler_pages.option_lines(group, name, node)
    lines += ["", "```yaml", f"# sampler.{group}", *options, "```"] if options else []
    return "\n".join(lines) + "\n"


def fenced(docstring: str) -> str:
    """A docstring as Markdown: indented runs, which hold equations, become fenced blocks; ``x`` becomes `x`."""
    lines: list[str] = []
    inside = False
    for line in docstring.split("\n"):
        if inside and line and not line.startswith("    "):
            lines[-1:] = ["```", ""] if not lines[-1] else [lines[-1], "```"]
            inside = False
        elif not inside and line.startswith("    "):
            lines.append("```text")
            inside = True
        lines.append(line[4:] if inside else line.replace("``", "`"))
    return "\n".join([*lines, "```"] if inside else lines)


def anchor(group: str, name: str) -> str:
    """What GitHub makes of a heading."""
    return f"{group}-{name}" if group else name


if __name__ == "__main__":
    sys.exit(main())
