"""What a task is worth, from draws of its pass rate; and batches whose tasks lie apart."""

import json
from pathlib import Path

import numpy as np
import pytest

from rftlab.samplers.selectors.acquisition import worth
from rftlab.samplers.selectors.diversity import Distances, max_min, max_sum

FORWARD = json.loads((Path(__file__).parents[1] / "data" / "mpts.json").read_text())["forward"]
KNOBS = {"target": 0.5, "gamma_0": 1.0, "gamma_1": 1.0, "group_size": 8}
DRAWS = np.array([[0.2, 0.9, 0.5], [0.4, 0.9, 0.3]], np.float32)


def test_the_hardest_first_score_is_the_authors() -> None:
    risk = np.array(FORWARD["pred_candidates"], np.float32)
    found = worth(-risk, "hard_ucb", **KNOBS | {"gamma_1": 5.0})  # a pass rate of -risk: 1 - rate is risk + 1
    np.testing.assert_allclose(found - 1, FORWARD["ucb_gamma0_1_gamma1_5"], atol=2e-6)
    np.testing.assert_allclose(-risk.mean(0), -np.array(FORWARD["cand_mean"]), atol=1e-6)
    assert np.argsort(-found)[:16].tolist() == FORWARD["top16"]


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("target", [-0.04 + 0.02**0.5, -0.16, -0.01 + 0.02**0.5]),
        ("thompson_target", [-0.09, -0.16, 0.0]),
        ("hard_ucb", [0.7 + 0.02**0.5, 0.1, 0.6 + 0.02**0.5]),
        ("expected_var", [(0.16 + 0.24) / 2 + 0.02**0.5, 0.09, (0.25 + 0.21) / 2 + 0.02**0.5]),
        (
            "expected_yield",
            [1 - (0.2**8 + 0.8**8 + 0.4**8 + 0.6**8) / 2, 1 - 0.9**8 - 0.1**8, 1 - (2 * 0.5**8 + 0.3**8 + 0.7**8) / 2],
        ),
    ],
)
def test_scores_are_the_equations(kind, wanted) -> None:
    np.testing.assert_allclose(worth(DRAWS, kind, **KNOBS), wanted, atol=1e-6)


def test_one_draw_has_no_spread() -> None:
    np.testing.assert_allclose(worth(DRAWS[:1], "target", **KNOBS), [-0.09, -0.16, 0.0], atol=1e-6)


def test_outputs_beyond_a_rate_stay_in_bounds_where_a_rate_is_needed() -> None:
    wild = np.array([[-0.3, 1.7]], np.float32)
    for kind in ("expected_yield", "expected_var"):
        assert worth(wild, kind, **KNOBS).tolist() == [0.0, 0.0]


def points(n: int = 40, d: int = 3) -> np.ndarray:
    x = np.random.default_rng(0).normal(size=(n, d)).astype(np.float32)
    return x - x.mean(0)


def test_distances_are_euclidean_in_units_of_their_root_mean_square() -> None:
    x = points()
    pairs = np.linalg.norm(x[:, None] - x[None], axis=2)
    near, unit = Distances(x), np.sqrt((pairs**2).mean())
    np.testing.assert_allclose(near.to(x[7]), pairs[7] / unit, atol=2e-3)
    np.testing.assert_allclose(near.mean_to(x[[1, 2]]), pairs[[1, 2]].mean(0) / unit, atol=2e-3)
    assert near.mean_to(x[:0]).tolist() == [0.0] * len(x)
    np.testing.assert_allclose(near.among(np.array([3, 5])).to(x[7]), pairs[[3, 5], 7] / unit, atol=1e-5)


def greedy(score, gain, m):
    """The plain loop: add what gains most, m times."""
    chosen: list[int] = []
    for _ in range(m):
        rest = [i for i in range(len(score)) if i not in chosen]
        chosen.append(max(rest, key=lambda i: gain(i, chosen)))
    return chosen


def test_max_min_is_the_greedy_loop() -> None:
    x, score = points(), np.random.default_rng(1).normal(size=40)
    near = Distances(x)
    d = np.stack([near.to(p) for p in x])
    wanted = greedy(score, lambda i, s: score[i] / 2 + 0.7 * (min(d[i, s]) if s else 0), 8)
    assert max_min(score, near, 8, 0.7).tolist() == wanted
    assert max_min(score, near, 8, 0.0).tolist() == np.argsort(-score)[:8].tolist() != wanted


def test_max_sum_is_the_greedy_loop() -> None:
    x, score = points(), np.random.default_rng(1).normal(size=40)
    near = Distances(x)
    d = np.stack([near.to(p) for p in x])
    apart = near.mean_to(x[:4])
    wanted = greedy(score, lambda i, s: score[i] + 0.9 * (2 * sum(d[i, s]) / 8 + apart[i]), 8)
    assert max_sum(score, near, 8, 0.9, 2.0, apart).tolist() == wanted
    assert max_sum(score, near, 8, 0.0, 2.0, apart).tolist() == np.argsort(-score)[:8].tolist() != wanted


def test_more_than_there_are_is_all_of_them() -> None:
    x = points(3)
    near = Distances(x)
    assert sorted(max_min(np.zeros(3), near, 5, 1.0)) == [0, 1, 2]
    assert sorted(max_sum(np.zeros(3), near, 5, 1.0, 1.0, np.zeros(3, np.float32))) == [0, 1, 2]
    assert max_min(np.zeros(3), near, 0, 1.0).dtype == np.int64


def test_equal_points_are_at_distance_zero() -> None:
    near = Distances(np.zeros((4, 2), np.float32))
    assert near.to(near.x[0]).tolist() == [0.0] * 4
