"""The offline filter."""

from dataclasses import replace

import numpy as np
import pytest

from rftlab.core import InputError
from rftlab.samplers.references import Filter
from rftlab.testing import make_pool

POOL = replace(
    make_pool(5),
    references={
        "strong": np.array([0.5, 0.6, 0.9, 1.0, 1.0]),
        "weak": np.array([0.0, 0.25, 0.5, np.nan, 0.75]),
        "empty": np.full(5, np.nan),
    },
)


def test_the_band_is_closed_and_unknown_rates_stay_out() -> None:
    assert Filter("weak", 0.25, 0.75).out(POOL).tolist() == [True, False, False, True, False]


def test_no_name_means_the_weakest_reference_with_known_rates() -> None:
    assert Filter(None).source(POOL) == "weak"


def test_an_empty_pool_is_refused_with_the_band_and_the_rates() -> None:
    with pytest.raises(InputError, match=r"\[0\.3, 0\.4\].*0\.2-0\.3: 1.*unknown: 1.*sampler\.filter\.lo"):
        Filter("weak", 0.3, 0.4).out(POOL)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Filter("nobody").out(POOL), "no such reference .*empty, strong, weak"),
        (lambda: Filter(None, 0.9, 0.1), r"band \[0\.9, 0\.1\]"),
        (lambda: Filter(None).out(replace(POOL, references={})), "rftlab profile, or sampler.filter=null"),
    ],
)
def test_a_filter_that_cannot_be_is_named(make, words) -> None:
    with pytest.raises(InputError, match=words):
        make()
