"""The pages as a person sees them, in a headless Chromium."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from browser import Browser
from comparisons import comparison

from rftlab import compare
from rftlab.pages.compare_page import write_page
from rftlab.pages.run_page import report

CONTRAST = """
(() => {
  const light = c => { const [r, g, b] = c.match(/[\\d.]+/g).map(Number).map(v => v / 255)
      .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4); return 0.2126 * r + 0.7152 * g + 0.0722 * b }
  const behind = e => { for (; e; e = e.parentElement) { const c = getComputedStyle(e).backgroundColor
      if (!/, 0\\)$/.test(c) && c !== "transparent") return c } return "rgb(255, 255, 255)" }
  const cell = (svg, text) => { const t = text.getBoundingClientRect(), x = t.x + t.width / 2, y = t.y + t.height / 2
      const under = [...svg.querySelectorAll("path")].filter(p => { const r = p.getBoundingClientRect()
          return getComputedStyle(p).fill !== "none" && r.left < x && x < r.right && r.top < y && y < r.bottom })
      return under.length ? getComputedStyle(under.at(-1)).fill : behind(svg.parentElement) }
  const worst = []
  for (const e of document.querySelectorAll("body *")) {
    if (![...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim())) continue
    const style = getComputedStyle(e), svg = e.closest("svg")
    const ink = svg ? style.fill : style.color
    if (svg && !/rgb/.test(ink)) continue
    const paper = svg && /255, 255, 255|rgb\\(0, 0, 0/.test(ink) ? cell(svg, e) : behind(svg ? svg.parentElement : e)
    const [a, b] = [light(ink), light(paper)].sort((x, y) => y - x)
    worst.push([(a + 0.05) / (b + 0.05), e.tagName + " " + e.textContent.slice(0, 30)])
  }
  return worst.sort((x, y) => x[0] - y[0]).slice(0, 3)
})()
"""
"""The three texts with the least contrast to what lies behind them (WCAG 2.2, 1.4.3)."""


@pytest.fixture(scope="module")
def pages(outputs: Path, run: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Both pages, moved away from their figures, as somebody who got them by mail has them."""
    folder = tmp_path_factory.mktemp("pages")
    made = {
        "run": report(run, folder / "run"),
        "compare": write_page(compare.compare([outputs]), folder / "compare", "rftlab compare outputs/demo"),
        "many": write_page(comparison(41, 3, mixed=True), folder / "many"),
    }
    return {name: Path(shutil.move(page, folder / f"{name}.html")) for name, page in made.items()}


@pytest.mark.parametrize("name", ["run", "compare", "many"])
@pytest.mark.parametrize("width", [360, 1280])
def test_a_page_asks_for_nothing_complains_of_nothing_and_fits(
    browser: Browser, pages: dict[str, Path], name: str, width: int, tmp_path: Path
) -> None:
    browser.open(pages[name], width, 800, mobile=width < 500)
    assert browser.complaints() == [] and browser.requests() == []
    assert browser.run("document.documentElement.scrollWidth") <= width
    rights = "[...document.querySelectorAll('caption span')].map(e => e.getBoundingClientRect().right)"
    assert max(browser.run(rights)) <= width, "a caption that is cut off"
    assert browser.run("[...document.images].length") == 0
    browser.screenshot(tmp_path / "page.png")
    assert (tmp_path / "page.png").stat().st_size > 30_000, "an empty page"


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("name", ["run", "compare", "many"])
def test_every_text_can_be_read_in_both_themes(browser: Browser, pages: dict[str, Path], name: str, dark: bool) -> None:
    browser.open(pages[name], dark=dark)
    worst = browser.run(CONTRAST)
    assert worst[0][0] >= 4.5, worst


def test_the_two_themes_differ(browser: Browser, pages: dict[str, Path]) -> None:
    colours = []
    for dark in (False, True):
        browser.open(pages["run"], dark=dark)
        colours.append(browser.run("getComputedStyle(document.querySelector('figure svg text')).fill"))
    assert colours[0] != colours[1]


def test_the_axis_is_switched_from_the_keyboard(browser: Browser, pages: dict[str, Path]) -> None:
    shown = "[...document.querySelectorAll('[data-axis]')].filter(e => e.offsetHeight).map(e => e.dataset.axis)"
    browser.open(pages["compare"])
    assert set(browser.run(shown)) == {"rollouts"}
    browser.run("document.body.focus()")
    for _ in range(30):
        browser.press("Tab")
        if browser.run("document.activeElement.type") == "radio":
            break
    before = browser.run(f"{shown}.length")
    assert browser.run("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    browser.press("ArrowRight")
    assert set(browser.run(shown)) == {"tokens"} and browser.run(f"{shown}.length") == before > 1


def test_the_answer_is_in_the_first_screen_of_a_phone(browser: Browser, pages: dict[str, Path]) -> None:
    browser.open(pages["compare"], 360, 800, mobile=True)
    bottom = "document.querySelectorAll('.verdicts li')[1].getBoundingClientRect().bottom"
    assert browser.run(bottom) <= 800


def test_pictures_and_regions_have_names(browser: Browser, pages: dict[str, Path]) -> None:
    for page in pages.values():
        browser.open(page)
        tree = browser.call("Accessibility.getFullAXTree")["nodes"]
        named = [n for n in tree if n.get("role", {}).get("value") in ("image", "img", "region", "radio", "radiogroup")]
        assert len(named) > 5
        assert all(n.get("name", {}).get("value", "").strip() for n in named if not n.get("ignored"))
