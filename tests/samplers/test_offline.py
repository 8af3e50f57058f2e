"""References as selectors read them."""

from dataclasses import replace

import numpy as np
import pytest

from rftlab.core import InputError
from rftlab.samplers.selectors.offline import offline_evidence, reference_rates
from rftlab.testing import make_pool

NAN = float("nan")


def pool(rates, cost=None):
    n = len(next(iter(rates.values()), [0, 0, 0]))
    references = {name: np.array(r) for name, r in rates.items()}
    return replace(make_pool(n), references=references, reference_rollouts=cost or {})


def test_the_weakest_is_read_unless_one_is_named() -> None:
    both = pool({"b": [0.1, 0.2], "a": [0.5, 0.6]})
    assert reference_rates(both, None, "key")[0] == "b"
    name, rates = reference_rates(both, "a", "key")
    assert name == "a" and rates.tolist() == [0.5, 0.6]


@pytest.mark.parametrize(
    ("rates", "name", "said"),
    [
        (
            {},
            None,
            "key: dataset 'pool' has no known reference pass rate: measure a model's with rftlab profile",
        ),
        ({"a": [NAN, NAN]}, None, "key: dataset 'pool' has no known reference pass rate"),
        ({"a": [NAN, NAN], "b": [0.5, 0.5]}, "a", "key=a: dataset 'pool' knows none of its rates"),
        ({"a": [0.5, 0.5]}, "b", "key=b: dataset 'pool' has no such reference"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(rates, name, said) -> None:
    with pytest.raises(InputError) as error:
        reference_rates(pool(rates), name, "key")
    assert str(error.value).startswith(said) and "\n" not in str(error.value)


def test_evidence_is_weight_times_rollouts_and_nothing_where_the_rate_is_unknown() -> None:
    name, passes, failures = offline_evidence(pool({"a": [0.25, NAN, 1.0]}, {"a": 16}), None, 3.0, "key")
    assert name == "a"  # 16 rollouts on two known tasks: 8 each, each counted 3 times
    assert passes.tolist() == [6.0, 0.0, 24.0]
    assert failures.tolist() == [18.0, 0.0, 0.0]


def test_rates_without_a_number_of_rollouts_are_no_evidence() -> None:
    with pytest.raises(InputError, match=r"key=a: .*give dataset\.reference_samples\.a"):
        offline_evidence(pool({"a": [0.25, 0.5]}), None, 1.0, "key")
