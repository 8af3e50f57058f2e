"""The examples of docs/verifiers.md, each run as it stands there."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path

import pytest

from rftlab import listing
from rftlab.config import compose
from rftlab.core import Status, Task
from rftlab.verifiers.pool import build_pool

PAGE = (Path(__file__).parents[1] / "docs" / "verifiers.md").read_text(encoding="utf-8")
PACKAGES = {"math": "math_verify", "json_schema": "jsonschema", "reasoning_gym": "reasoning_gym"}
"""Verifier -> the optional package without which its examples are skipped."""
SECTIONS = {section.partition("\n")[0]: section for section in PAGE.split("\n## ")[1:]}


@dataclass(frozen=True)
class Table:
    """The rows under one line of options."""

    verifier: str
    options: tuple[str, ...]
    row: str
    """JSON of the rest of the task's row."""
    examples: tuple[tuple[str, str, str, str], ...]
    """answer, completion, verdict, read."""


def tables() -> list[Table]:
    found = []
    for name, section in SECTIONS.items():
        options, row, examples = "", "{}", []
        for line in [*section.splitlines(), ""]:
            if said := re.fullmatch(r"Options: `(.*)`", line):
                options = said[1]
            elif said := re.fullmatch(r"Row: `(.*)`", line):
                row = said[1]
            elif line.startswith("| `"):
                cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
                examples.append(tuple(text(cell) for cell in cells))
            elif examples:
                found.append(Table(name, tuple(options.split()), row, tuple(examples)))
                options, row, examples = "", "{}", []
    return found


def text(cell: str) -> str:
    code = re.fullmatch(r"(`+) ?(.*?) ?\1", cell) if cell.startswith("``") else re.fullmatch(r"(`)(.*)`", cell)
    return code[2].replace("↵", "\n").replace(r"\|", "|") if code else cell


def test_every_verifier_has_a_section_and_nearly_all_have_examples() -> None:
    assert set(SECTIONS) == set(listing.options("verifier"))
    assert set(SECTIONS) - {table.verifier for table in tables()} <= {"remote"}


@pytest.mark.parametrize("table", tables(), ids=lambda table: f"{table.verifier}-{'-'.join(table.options)}")
def test_every_example_is_judged_as_the_page_says(
    table: Table, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if table.verifier in PACKAGES:
        pytest.importorskip(PACKAGES[table.verifier])
    for code in re.findall(r"```python\n(.*?)```", SECTIONS[table.verifier], re.DOTALL):
        (tmp_path / "rewards.py").write_text(code)
        monkeypatch.chdir(tmp_path)
    cfg = compose([f"verifier={table.verifier}", *table.options, "verifier.pool.workers=1"], verb="validate").verifier
    items = [
        (said, Task("t", i, ({"role": "user", "content": "?"},), answer, json.loads(table.row)))
        for i, (answer, said, *_) in enumerate(table.examples)
    ]
    with build_pool(cfg) as pool:
        verdicts = pool.grade(items)
        reasons = pool.reasons
    for i, (verdict, (_, said, wanted, read)) in enumerate(zip(verdicts, table.examples, strict=True)):
        word, _, score = wanted.partition(" ")
        expected = {"pass": Status.OK, "fail": Status.OK}.get(word) or Status(word)
        assert (verdict.status, verdict.passed) == (expected, word == "pass"), (said, verdict, reasons.get(i))
        assert verdict.score == pytest.approx(float(score or word == "pass"), abs=5e-5), (said, verdict)
        assert not read or verdict.answer == read, (said, verdict)
