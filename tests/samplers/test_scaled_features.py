"""Features as predictors take them, and those that they refuse."""

import dataclasses

import numpy as np
import pytest

from rftlab.core import InputError
from rftlab.samplers.selectors.dots import DOTS
from rftlab.samplers.selectors.features import scaled
from rftlab.samplers.selectors.mpts import MPTS
from rftlab.samplers.selectors.pcl import PCL
from rftlab.testing import make_pool


def pool(features):
    x = np.asarray(features, np.float32)
    return dataclasses.replace(make_pool(len(x)), features=x)


def test_columns_are_centred_and_the_whole_is_scaled_by_one_number() -> None:
    found = scaled(pool([[1000.0, 0.0, 7.0], [3000.0, 500.0, 7.0]]))
    unit = np.sqrt((1000**2 + 250**2) / 2)
    np.testing.assert_allclose(found, [[-1000 / unit, -250 / unit, 0], [1000 / unit, 250 / unit, 0]], rtol=1e-6)
    assert found.dtype == np.float32


def test_the_unit_does_not_matter() -> None:
    x = np.random.default_rng(0).normal(size=(20, 3))
    np.testing.assert_allclose(scaled(pool(x)), scaled(pool(1e-4 * x + 5e-4)), atol=1e-4)


def test_features_without_differences_are_zeros() -> None:
    assert scaled(pool(np.full((4, 2), 0.1))).tolist() == [[0.0, 0.0]] * 4
    assert scaled(pool([[3.0, 4.0]])).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("selector", [MPTS, PCL, DOTS])
def test_rows_that_are_no_numbers_are_counted(selector) -> None:
    x = np.ones((6, 3))
    x[1, 0], x[4, 1], x[4, 2] = np.nan, np.inf, np.nan
    with pytest.raises(InputError, match=r"not finite numbers in 2 of 6 rows: .*features="):
        selector().bind(pool(x), 4)


@pytest.mark.parametrize("features", [None, np.zeros((5, 0), np.float32), np.zeros(5, np.float32)], ids=str)
def test_no_features_are_refused(features) -> None:
    with pytest.raises(InputError, match=r"wanted numbers \[N, D\]: give features="):
        scaled(dataclasses.replace(make_pool(5), features=features))
