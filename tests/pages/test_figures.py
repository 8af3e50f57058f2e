"""What the pictures of a comparison show, read from the figures themselves."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from comparisons import comparison
from matplotlib.figure import Figure

from rftlab.comparison import Comparison
from rftlab.pages import compare_figures, lines
from rftlab.pages.figure import Drawing
from rftlab.pages.sheets import Sheets


def pictures(found: Comparison, folder: Path) -> dict[str, Drawing]:
    sheets = Sheets(folder, found.axes[:1])
    compare_figures.draw(found, sheets)
    return sheets.drawings


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
