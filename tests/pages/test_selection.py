"""Sums over groups, against what can be counted by hand."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from rftlab.pages.charts import BANDS
from rftlab.pages.lines import spread
from rftlab.pages.selection import chosen, gini


def rows(*groups: tuple[int, int, int, str]) -> pd.DataFrame:
    """Of (step, task, wins of 4, purpose)."""
    return pd.DataFrame(
        [{"step": s, "index": k, "wins": w, "trials": 4, "rollouts": 4, "purpose": p} for s, k, w, p in groups]
    )


LEDGER = pd.DataFrame({"step": [0, 1, 2], "ledger/rollouts": [0.0, 8.0, 16.0]})


def test_a_heat_map_has_the_shares_of_each_stretch_and_leaves_probes_out() -> None:
    groups = rows((1, 0, 0, "train"), (1, 1, 4, "train"), (1, 2, 4, "probe"), (2, 0, 1, "train"), (2, 3, 4, "train"))
    found = chosen([groups], [LEDGER], None)
    assert found.reach == 16 and found.heat.shape == (len(BANDS), 2)
    np.testing.assert_allclose(found.heat[:, 0], [0.5, 0, 0, 0, 0, 0, 0.5])
    np.testing.assert_allclose(found.heat[:, 1], [0, 0, 0.5, 0, 0, 0, 0.5])  # 1 of 4 is in 20 to 40 %
    np.testing.assert_array_equal(found.per_task, [[8, 4, 0, 4]])
    assert found.untouched == 0.25


def test_a_step_wider_than_a_column_leaves_none_empty() -> None:
    """Steps of 1, 1 and 10 rollouts, and a seed of shorter ones: every moment had its groups."""
    uneven = pd.DataFrame({"step": [0, 1, 2, 3], "ledger/rollouts": [0.0, 1.0, 2.0, 12.0]})
    even = pd.DataFrame({"step": range(13), "ledger/rollouts": np.arange(13.0)})
    wide = rows((1, 0, 0, "train"), (2, 1, 0, "train"), (3, 2, 4, "train"))
    alone = chosen([wide], [uneven], None)
    assert alone.heat.shape == (len(BANDS), 3)
    np.testing.assert_allclose(alone.heat[0], [2 / 2.2, 0, 0])  # two of two, and 2 / 10 of the third step's group
    np.testing.assert_allclose(alone.heat[-1], [0.2 / 2.2, 1, 1])
    narrow = rows(*((step, step, 0, "train") for step in range(1, 13)))
    both = chosen([wide, narrow], [uneven, even], None)
    assert both.heat.shape == (len(BANDS), 3), "as many columns as the seed with the fewest steps has"


def test_a_stretch_of_probes_alone_stays_empty() -> None:
    ledger = pd.DataFrame({"step": [0, 1, 2, 3], "ledger/rollouts": [0.0, 8.0, 56.0, 64.0]})
    steps = [(1, 0, 0, "train"), (2, 1, 0, "probe"), (3, 2, 4, "train")]
    more = pd.DataFrame({"step": [4], "ledger/rollouts": [72.0]})
    found = chosen([rows(*steps, (4, 3, 4, "train"))], [pd.concat([ledger, more])], None)
    np.testing.assert_array_equal(np.isnan(found.heat).all(0), [False, True, False])


def test_seeds_keep_their_own_counts() -> None:
    a, b = (
        rows((1, 0, 0, "train"), (1, 1, 0, "train")),
        rows((1, 0, 0, "train"), (2, 0, 0, "train"), (2, 1, 0, "train")),
    )
    found = chosen([a, b], [LEDGER, LEDGER], None)
    np.testing.assert_array_equal(found.per_task, [[4, 4], [8, 4]])
    assert found.gini == pytest.approx((0 + 1 / 6) / 2)


def test_gini_is_zero_for_equal_and_near_one_for_all_in_one() -> None:
    assert gini(np.full(10, 3.0)) == pytest.approx(0)
    assert gini(np.array([0.0] * 99 + [1.0])) == pytest.approx(0.99)
    counts = np.random.default_rng(0).integers(0, 20, 50).astype(float)
    pairs = np.abs(counts[:, None] - counts[None]).mean() / 2 / counts.mean()
    assert gini(counts) == pytest.approx(pairs)
    assert np.isnan(gini(np.zeros(3)))


def test_labels_are_moved_apart_and_stay_in_order() -> None:
    wanted = [0.1, 0.11, 0.12, 0.9, 0.95]
    places = spread(wanted, 0.1, 0.0, 1.0)
    assert np.diff(places).min() >= 0.1 - 1e-9 and max(places) <= 1.0 and places[0] == 0.1
