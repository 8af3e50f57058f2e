"""Admission by normalised variance."""

from types import SimpleNamespace

import numpy as np
import pytest

from rftlab.core import InputError, Need, Outcomes
from rftlab.samplers.admissions.kappa import Kappa, normalized_variance


def outcomes(wins: int, trials: int) -> Outcomes:
    passed = np.arange(trials + 2) < wins
    valid = np.arange(trials + 2) < trials
    return Outcomes(0, passed, passed * 1.0, valid, np.ones(trials + 2, int), ~valid, np.zeros(trials + 2, int))


def admitted(kappa: Kappa, trials: int, progress=0.0) -> list[int]:
    ctx = SimpleNamespace(progress=progress)
    return [wins for wins in range(trials + 1) if kappa.admit(outcomes(wins, trials), ctx)]


@pytest.mark.parametrize("n", [2, 3, 7, 8, 16])
def test_the_variance_is_the_unbiased_one_over_the_largest_of_that_size(n) -> None:
    variance = [np.var(np.arange(n) < k, ddof=1) for k in range(n + 1)]
    found = [normalized_variance(k, n) for k in range(n + 1)]
    np.testing.assert_allclose(found, np.array(variance) / max(variance))
    bound = n / (4 * (n - 1)) if n % 2 == 0 else (n + 1) / (4 * n)
    assert max(variance) == pytest.approx(bound)


def test_groups_of_enough_variance_are_admitted_faults_being_no_trials() -> None:
    assert admitted(Kappa(0.3, switch=None), 8) == [1, 2, 3, 4, 5, 6, 7]
    assert admitted(Kappa(0.45, switch=None), 8) == [2, 3, 4, 5, 6]
    assert admitted(Kappa(0.75, switch=None), 8) == [2, 3, 4, 5, 6], "4 p (1 - p) = 3/4 is enough"
    assert admitted(Kappa(1.0, switch=None), 7) == [3, 4]
    assert admitted(Kappa(0.0, switch=None), 2) == [0, 1, 2]
    assert admitted(Kappa(0.0, switch=None), 1) == []


def test_the_schedule_switches_once_and_reads_progress_only_then() -> None:
    kappa = Kappa(0.3, 0.8, switch=0.5)
    assert admitted(kappa, 8, 0.49) == [1, 2, 3, 4, 5, 6, 7] and admitted(kappa, 8, 0.5) == [3, 4, 5]
    assert kappa.needs() == {Need.PROGRESS}
    assert Kappa(switch=None).needs() == frozenset()
    assert admitted(Kappa(switch=None), 8, float("nan")) == [1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize("knobs", [{"kappa": 1.1}, {"late": -0.1}, {"switch": 2.0}, {"oversample": 0.5}], ids=str)
def test_values_out_of_range_are_named(knobs) -> None:
    with pytest.raises(InputError, match=f"sampler.admission.{next(iter(knobs))}="):
        Kappa(**knobs)
