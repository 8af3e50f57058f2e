"""A comparison in words: what is said is what the numbers mean."""

from __future__ import annotations

from dataclasses import replace

import pytest
from comparisons import comparison

from rftlab.comparison import Comparison, Estimate
from rftlab.pages import compare_tables
from rftlab.pages.sentences import sentence


def against(found: Comparison, place: int, **changed: object) -> Comparison:
    """The comparison with another outcome of one arm."""
    arms = list(found.arms)
    assert arms[place].against is not None
    arms[place] = replace(arms[place], against=replace(arms[place].against, **changed))
    return replace(found, arms=arms)


def test_the_detectable_difference_is_named_by_its_power() -> None:
    found = against(comparison(3), 2, detectable=0.047)
    said = sentence(found, found.arms[2])
    assert said.endswith("; a true difference of 4.7 points would be found four times in five.")


def test_an_unknown_detectable_difference_is_not_mentioned() -> None:
    found = against(comparison(3), 2, detectable=float("nan"))
    assert "true difference" not in sentence(found, found.arms[2])


@pytest.mark.parametrize(("verdict", "p", "told"), [("better", 0.0123, "0.012"), ("not distinguishable", 0.17, "0.17")])
def test_every_verdict_has_its_corrected_p(verdict: str, p: float, told: str) -> None:
    clear = Estimate(0.02, 0.001, 0.039)
    found = against(comparison(7), 2, verdict=verdict, difference=clear, p_holm=p)
    said = sentence(found, found.arms[2])
    assert f"interval +0.1 to +3.9, {verdict} with 3 seeds (p {told} after Holm's correction for 6 arms)" in said


def test_arms_without_a_test_are_not_corrected_for() -> None:
    found = against(comparison(3), 2, verdict="no verdict", p=float("nan"), p_holm=float("nan"))
    assert sentence(found, found.arms[1]).endswith("better with 3 seeds (p 0.003).")


def test_the_table_of_simulated_error_rates_says_what_each_column_is() -> None:
    row = {"seeds": 3, "kind": "normal", "t": 0.95, "bootstrap": 0.76, "family_wise_error": 0.047, "power": 0.8}
    table = compare_tables.coverage(replace(comparison(3), coverage=[row]))
    assert "family-wise error" in table.heads
    for column in ("t", "bootstrap", "family-wise error", "power"):
        assert f"{column})" in table.caption or f"({column}" in table.caption, column
