"""What a learning curve says, by hand."""

import numpy as np
import pytest

from rftlab import endpoints
from rftlab.endpoints import Curve

BASE = Curve(np.array([0.0, 100, 200, 400]), np.array([0.2, 0.3, 0.4, 0.5]))


def test_effective_task_ratio_counts_mixed_groups_of_known_ones() -> None:
    assert endpoints.etr(np.array([0, 0.5, 1, 0.25, np.nan])) == 0.5
    assert np.isnan(endpoints.etr(np.array([np.nan])))


def test_area_is_the_mean_accuracy_of_the_stretch() -> None:
    assert endpoints.value(BASE, 0, 400, "auc") == pytest.approx((0.25 * 100 + 0.35 * 100 + 0.45 * 200) / 400)
    assert endpoints.value(Curve(BASE.x, np.full(4, 0.3)), 0, 350, "auc") == pytest.approx(0.3)
    fine = np.linspace(50, 350, 30_001)
    assert endpoints.value(BASE, 50, 350, "auc") == pytest.approx(float(BASE.at(fine).mean()), abs=1e-5)


def test_final_is_read_at_equal_rollouts() -> None:
    assert endpoints.value(BASE, 0, 300, "final") == pytest.approx(0.45)
    assert endpoints.weights(BASE.x, 0, 400, "final").tolist() == [0, 0, 0, 1]


@pytest.mark.parametrize("endpoint", ["auc", "final"])
def test_weights_sum_to_one_and_ignore_what_lies_beyond(endpoint: str) -> None:
    weight = endpoints.weights(BASE.x, 0, 150, endpoint)
    assert weight.sum() == pytest.approx(1)
    assert weight[3] == 0


def test_one_evaluation_alone_is_its_own_area() -> None:
    assert endpoints.value(Curve(np.array([0.0]), np.array([0.4])), 0, 0, "auc") == 0.4


def test_time_to_a_share_of_the_gain_is_interpolated_and_censored() -> None:
    assert endpoints.target(BASE, 0.5) == pytest.approx(0.35)
    assert endpoints.first_passage(BASE, 0.35) == pytest.approx(150)
    assert endpoints.first_passage(BASE, endpoints.target(BASE, 1.0)) == 400
    assert endpoints.first_passage(BASE, 0.51) == np.inf
    assert endpoints.first_passage(BASE, 0.1) == 0
    up_and_down = Curve(np.array([0.0, 10, 20, 30]), np.array([0.2, 0.4, 0.3, 0.5]))
    assert endpoints.first_passage(up_and_down, 0.4) == 10, "the first time counts"


def test_a_baseline_that_never_gains_sets_no_target() -> None:
    assert np.isnan(endpoints.target(Curve(np.array([0.0, 1]), np.array([0.4, 0.3])), 0.5))


def test_restricted_mean_counts_those_who_never_get_there_with_the_end() -> None:
    assert endpoints.restricted(np.array([100.0, np.inf, 500]), 400) == pytest.approx(300)


def test_best_so_far_counts_the_interpolated_end() -> None:
    peak = Curve(np.array([0.0, 100, 200]), np.array([0.2, 0.5, 0.3]))
    assert endpoints.best_so_far(peak, 50) == pytest.approx(0.35)
    assert endpoints.best_so_far(peak, 200) == 0.5


def test_mean_curve_is_taken_where_every_run_is_known() -> None:
    other = Curve(np.array([0.0, 150, 300]), np.array([0.2, 0.5, 0.5]))
    mean = endpoints.mean_curve([BASE, other])
    assert mean.x.tolist() == [0, 100, 150, 200, 300]
    assert mean.y.tolist() == pytest.approx([0.2, 0.35, 0.425, 0.45, 0.475])
