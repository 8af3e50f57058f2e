"""The sampler that CONTRIBUTING.md shows works as shown: its files are taken from the page."""

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[1] / "CONTRIBUTING.md"


def blocks(language: str) -> list[str]:
    found = re.findall(rf"^( *)```{language}\n(.*?)^ *```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", text, flags=re.MULTILINE) for indent, text in found]


def test_a_sampler_in_two_files_keeps_the_contract(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    part, check = blocks("python")
    (preset,) = blocks("yaml")
    (tmp_path / "easiest.py").write_text(part)
    folder = tmp_path / "my_conf" / "sampler"
    folder.mkdir(parents=True)
    (folder / "easiest.yaml").write_text(preset)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    names: dict = {}
    exec(check, names)
    names["test_easiest_keeps_the_contract"]()
