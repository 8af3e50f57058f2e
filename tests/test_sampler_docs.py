"""docs/samplers.md is what the samplers say of themselves."""

import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType

import pytest

from rftlab.listing import options

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def writer() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_sampler_docs", ROOT / "scripts" / "write_sampler_docs.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_is_up_to_date(writer: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "argv", ["write_sampler_docs.py", "--check"])
    assert writer.main() == 0, "docs/samplers.md differs from the samplers: run `make docs` and commit the page"


def test_every_preset_and_part_has_a_section_and_every_link_a_heading(writer: ModuleType) -> None:
    text = writer.page()
    headings = set(re.findall(r"^### (.*)$", text, re.MULTILINE))
    parts = {f"{group}: {name}" for group in writer.shelf.GROUPS for name in options(f"sampler/{group}")}
    assert headings == set(options("sampler")) | parts
    anchors = {heading.replace(": ", "-") for heading in headings}
    assert set(re.findall(r"\]\(#([^)]*)\)", text)) <= anchors


def test_equations_become_fenced_blocks(writer: ModuleType) -> None:
    docstring = "A method.\n\nWith ``x``:\n\n    a = b\n\n      c\n\nand\n    d\nthe end"
    wanted = "A method.\n\nWith `x`:\n\n```text\na = b\n\n  c\n```\n\nand\n```text\nd\n```\nthe end"
    assert writer.fenced(docstring) == wanted
