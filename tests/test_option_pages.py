"""What `rftlab datasets NAME` and its like print: own words, the command, every key with its comment."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from rftlab import listing
from rftlab.config import compose
from rftlab.option_pages import commented, page

OPTIONS = [(group, name) for group in ("dataset", "verifier", "model") for name in listing.options(group)]


@pytest.mark.parametrize(("group", "name"), OPTIONS)
def test_every_page_says_the_command_and_its_keys_are_what_the_configuration_holds(group: str, name: str) -> None:
    text = page(group, name)
    assert "  rftlab " in text
    keys = yaml.safe_load(text.split(f"\n{group}:\n", 1)[1])
    assert keys == yaml.safe_load(yaml.safe_dump(_plain(compose([f"{group}={name}"])[group])))
    listed = listing.summary(listing.options(group)[name])
    assert listed.strip() and len(listed) < 400 and "rftlab train" not in listed


def _plain(node: object) -> object:
    from omegaconf import OmegaConf

    return OmegaConf.to_container(node, resolve=True)


def test_a_dataset_that_includes_another_shows_the_comments_of_both_and_what_grades_it() -> None:
    text = page("dataset", "gsm8k")
    line = next(line for line in text.splitlines() if line.startswith("  prompt_key:"))
    assert line.startswith("  prompt_key: question") and "# a text (one user message)" in line
    assert "Graded by verifier=number." in text
    assert "  template: |-" in text and "after ####.\n" in text


def test_a_part_of_a_composite_shows_the_comments_of_its_own_file() -> None:
    text = page("verifier", "composite")
    assert "tolerance: 0.0" in text and "# largest absolute difference that still passes" in text
    assert "Scores a completion by the weighted mean" in text, "the class speaks for itself"


def test_an_option_of_ones_own_is_shown_too(tmp_path: Path) -> None:
    (tmp_path / "verifier").mkdir()
    (tmp_path / "verifier" / "mine.yaml").write_text(
        "# My own. And more.\ndefaults:\n  - number\n  - _self_\n\nname: mine\ncheck:\n  tolerance: 0.5  # wide\n"
    )
    text = page("verifier", "mine", [tmp_path])
    assert "  rftlab validate verifier=mine" in text
    assert "tolerance: 0.5" in text and "# wide" in text and "# seconds of wall clock" in text


def test_what_stands_in_quotes_is_no_comment() -> None:
    told = {("a",): "first", ("c", "d"): "second"}
    lines = commented("a: 'x # y'\nb: |\n  text: # no key\nc:\n  d: 1\n  e: 2\n", told)
    assert [line.rpartition("  # ")[2] for line in lines] == [
        "first",
        "b: |",
        "  text: # no key",
        "c:",
        "second",
        "  e: 2",
    ]
