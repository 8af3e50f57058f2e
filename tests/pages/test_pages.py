"""What the pages hold, read with the standard library's parser."""

from __future__ import annotations

import json
import re
import shutil
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import pytest
from comparisons import comparison

from rftlab import cli, compare
from rftlab.pages.compare_page import write_page
from rftlab.pages.run_page import report

VOID = {"meta", "link", "input", "br", "img"}
EVIL = "<script>alert(1)</script> & </pre></table>"


class Page(HTMLParser):
    """Tags with their attributes, and that they are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list) -> None:
        self.tags.append((tag, {key: value or "" for key, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes another element"

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, name: str) -> list[dict[str, str]]:
        return [attrs for tag, attrs in self.tags if tag == name]

    @property
    def text(self) -> str:
        return " ".join(self.words)


def sound(text: str) -> Page:
    """The rules that hold for every page."""
    page = Page(text)
    assert page.open == [] and len(text.encode()) < 3e6
    assert not page.all("script") and not page.all("iframe")
    for tag, attrs in page.tags:
        for key in ("src", "href", "xlink:href", "srcset", "action"):
            assert attrs.get(key, "#").startswith(("#", "data:")), (tag, attrs)
        assert not any(key.startswith("on") for key in attrs)
    assert not re.search(r"url\((?!#)|@import", text)
    ids = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(ids) == len(set(ids)), "an id twice"
    refers = re.findall(r'(?:xlink:href="|url\()#([\w.-]+)', text)
    assert set(refers) <= set(ids)
    pictures = page.all("svg")
    assert pictures and all(p["role"] == "img" and len(p["aria-label"]) > 20 for p in pictures)
    assert all(attrs.get("scope") in ("col", "row") for attrs in page.all("th"))
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1 and levels.count(1) == 1 and all(b - a <= 1 for a, b in pairwise(levels))
    return page


def test_the_page_of_a_run_is_sound_and_has_what_a_reader_wants(run: Path, tmp_path: Path) -> None:
    page = sound(report(run, tmp_path).read_text())
    for words in ("Accuracy went from", "Rollouts per task", "Which categories", "beliefs", "Where the time went"):
        assert words in page.text
    assert "reference pass rates that had cost 1,920 rollouts" in page.text
    assert page.text.count("torch") >= 1 and "advantage: group_std" in page.text
    assert (tmp_path / "report.md").read_text().startswith("# bots on ladder")
    names = {file.name for file in (tmp_path / "figures").iterdir()}
    assert {"accuracy.png", "accuracy.svg", "accuracy-by-tokens.svg", "chosen.png", "per-task.svg"} <= names


def test_a_completion_that_holds_markup_stays_text(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    for file in (copy / "completions").glob("*.jsonl"):
        rows = [json.loads(line) | {"text": EVIL, "prompt": EVIL} for line in file.read_text().splitlines()]
        file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    page = sound(report(copy).read_text())
    assert EVIL in page.text


def test_figures_for_print_keep_text_as_text_and_need_no_page(run: Path, tmp_path: Path) -> None:
    report(run, tmp_path)
    for file in (tmp_path / "figures").glob("*.svg"):
        text = file.read_text()
        assert "<text" in text and "var(--" not in text, file
    png = (tmp_path / "figures" / "accuracy.png").read_bytes()
    assert int.from_bytes(png[16:20]) >= 4.8 * 300 - 1, "300 dots an inch"


def test_the_same_run_gives_the_same_figures(run: Path, tmp_path: Path) -> None:
    for name in ("a", "b"):
        report(run, tmp_path / name)
    for file in (tmp_path / "a" / "figures").iterdir():
        assert file.read_bytes() == (tmp_path / "b" / "figures" / file.name).read_bytes(), file.name


def test_the_page_of_a_comparison_says_who_how_much_how_sure(outputs: Path, tmp_path: Path) -> None:
    found = compare.compare([outputs])
    page = sound(write_page(found, tmp_path, "rftlab compare outputs/demo").read_text())
    assert "2 arms against uniform:" in page.text and "rftlab compare outputs/demo" in page.text
    for arm in found.arms[1:]:
        said = next(words for words in page.words if words.startswith(f"{arm.label}: "))
        assert f"{100 * arm.against.difference.mean:+.1f}".replace("-", "\N{MINUS SIGN}") in said or "0.0" in said
        assert "3 seeds" in said and ("95 % interval" in said or "no verdict" in said)
    for words in ("Generated groups by outcome", "Pass rates of what was chosen", "What became of", "Every seed"):
        assert words in page.text
    assert {a["value"] for a in page.all("input")} == set(found.axes)


@pytest.mark.parametrize(("arms", "seeds"), [(1, 1), (2, 2), (10, 5), (41, 3), (10, 50)])
def test_a_page_stays_sound_and_small_however_many_arms(arms: int, seeds: int, tmp_path: Path) -> None:
    page = sound(write_page(comparison(arms, seeds), tmp_path).read_text())
    labels = [f"arm <{i}>" for i in range(2, arms)]
    assert all(f"{label}: " in page.text for label in labels)
    assert page.text.count("better1: +") >= (arms > 1)


def test_a_mixed_comparison_says_so_in_red(tmp_path: Path) -> None:
    page = write_page(comparison(3, 3, mixed=True), tmp_path).read_text()
    assert '<p class="red"><strong>Mixed:</strong>' in page
    assert 'class="red"' not in write_page(comparison(3, 3), tmp_path).read_text()


def test_a_run_that_was_stopped_or_has_damaged_lines_still_gets_its_page(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    status = json.loads((copy / "status.json").read_text()) | {"state": "stopped", "step": 3, "reason": "SIGTERM"}
    (copy / "status.json").write_text(json.dumps(status))
    whole = (copy / "metrics.jsonl").read_text().splitlines()[:4]
    (copy / "metrics.jsonl").write_text("\n".join([*whole, "{half", ""]))
    (copy / "groups.jsonl").unlink()
    shutil.rmtree(copy / "completions")
    page = sound(report(copy).read_text())
    assert "The run is stopped at step 3 of 6: SIGTERM" in page.text and "None were saved" in page.text


def test_what_is_no_run_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["report", str(tmp_path)]) == 2
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and "no metrics.jsonl there" in err and "rftlab runs DIR" in err
