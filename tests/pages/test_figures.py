"""What the pictures of a comparison show, read from the figures themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from comparisons import comparison
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.text import Text

from rftlab.comparison import Comparison
from rftlab.core import InputError
from rftlab.pages import charts, compare_figures, lines, sheets
from rftlab.pages.figure import Drawing, save
from rftlab.pages.run_page import report
from rftlab.pages.sheets import Sheets
from rftlab.pages.style import look


def pictures(found: Comparison, folder: Path) -> dict[str, Drawing]:
    drawn = Sheets(folder, found.axes[:1])
    compare_figures.draw(found, drawn)
    return drawn.drawings


def test_the_picture_of_differences_says_what_its_intervals_leave_out(tmp_path: Path) -> None:
    caption = pictures(comparison(3), tmp_path)["differences"].caption
    assert "intervals are for one arm at a time, not adjusted for the number of arms" in caption


def test_what_is_measured_at_evaluations_is_drawn_as_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A step metric is noisy and smoothed; a reading of the panel is a point of its own."""
    found = comparison(2)
    grid = {axis: np.linspace(0, at[-1], 61).tolist() for axis, at in found.grid.items()}
    values = np.r_[np.zeros(30), np.ones(31)].tolist()
    curve = replace(found.arms[1].curves["rollouts"]["panel/spearman"], mean=values, low=values, high=values)
    metrics = {"panel/spearman": curve, "group/etr": curve}
    arms = [replace(arm, curves=dict.fromkeys(grid, metrics)) for arm in found.arms]
    drawn: dict[str, list[lines.Series]] = {}
    whole = lines.curves

    def noted(series: list[lines.Series], x_label: str, y_label: str, **more: bool) -> Figure:
        drawn[y_label] = series
        return whole(series, x_label, y_label, **more)

    monkeypatch.setattr(lines, "curves", noted)
    pictures(replace(found, grid=grid, arms=arms), tmp_path)
    for one in drawn["Spearman's rank correlation"]:
        np.testing.assert_array_equal(one.x, grid["rollouts"])
        np.testing.assert_array_equal(one.y, values)
        assert one.low is not None and len(one.low) == len(one.x)
    assert {len(one.x) for one in drawn["share of trained groups"]} == {compare_figures.POINTS}


def test_a_caption_names_the_bands_that_are_drawn(tmp_path: Path) -> None:
    """Of arms that believe nothing there is no band, and of few curves all have theirs."""
    few = comparison(lines.BANDED + 1)
    assert "Only" in pictures(few, tmp_path / "few")["accuracy"].caption
    assert "Only" not in pictures(few, tmp_path / "few")["spearman"].caption  # the baseline has none
    many = pictures(comparison(lines.BANDED + 2), tmp_path / "many")
    assert "Only those of uniform and better1 are drawn." in many["accuracy"].caption
    assert "Only those of better1 and arm <2> are drawn." in many["spearman"].caption


def light(colour: tuple[float, ...]) -> float:
    """Relative luminance (WCAG 2.2)."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return float(np.dot(linear, [0.2126, 0.7152, 0.0722]))


def test_every_number_can_be_read_on_its_cell() -> None:
    ratios = np.geomspace(0.2, 5, 120).reshape(8, 15)
    figure = charts.matrix([f"arm {i}" for i in range(8)], [str(i) for i in range(15)], ratios, "level")
    (axes,) = figure.axes
    (cells,) = axes.collections
    figure.draw_without_rendering()
    colours = cells.get_facecolor().reshape(8, 15, 4)
    for text in axes.texts:
        j, i = (int(place) for place in text.get_position())
        low, high = sorted((light(to_rgb(text.get_color())), light(tuple(colours[i, j]))))
        assert (high + 0.05) / (low + 0.05) >= 4.5, (ratios[i, j], text.get_color())


def shown_ticks(counts: list[float]) -> list[str]:
    figure = charts.histogram([("uniform", look(0), np.array(counts))], "rollouts of a task", "share of tasks")
    return [tick.get_text() for tick in figure.axes[0].get_xticklabels()]


def test_a_last_bin_that_takes_all_larger_counts_says_so() -> None:
    usual = [float(8 * (i % 10)) for i in range(1000)]
    assert shown_ticks([*usual, 4000.0])[-1] == "≥ 72", "72 and 4,000 share the last bin"
    assert not any("≥" in text for text in shown_ticks(usual))


@pytest.mark.parametrize("counts", [[0.0] * 99 + [4.0], [0.0, 1.0, 2.0], [8.0 * i for i in range(100)], [7.0, 9.0]])
def test_bins_begin_at_zero_and_hold_every_task(counts: list[float]) -> None:
    figure = charts.histogram([("uniform", look(0), np.array(counts))], "rollouts of a task", "share of tasks")
    (axes,) = figure.axes
    (steps,) = axes.patches
    heights, edges, _ = steps.get_data()
    assert axes.get_xlim()[0] == edges[0] == 0 and heights.sum() == pytest.approx(1)
    assert heights[0] == np.mean(np.array(counts) < edges[1])


def test_no_words_of_a_runs_figures_are_cut(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def whole(figure: Figure, folder: Path, name: str) -> str:
        svg = save(figure, folder, name)
        sizes = FigureCanvasAgg(figure).get_renderer()
        for axes in figure.axes:
            texts = (axes.xaxis.label, axes.yaxis.label, *axes.texts, *axes.get_yticklabels())
            for text in filter(Text.get_text, texts):
                assert "…" not in text.get_text(), (name, text)
                box = text.get_window_extent(sizes)
                assert figure.bbox.x0 - 1 <= box.x0 and box.x1 <= figure.bbox.x1 + 1, (name, text, box)
        return svg

    monkeypatch.setattr(sheets, "save", whole)
    report(run, tmp_path)


def test_a_place_that_takes_no_figures_is_one_line_with_what_repairs_it(run: Path, tmp_path: Path) -> None:
    (tmp_path / "figures").write_text("")
    with pytest.raises(InputError, match=r"figures \(.*\): give a writable place by out=DIR"):
        report(run, tmp_path)
