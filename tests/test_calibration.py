"""Predicted against observed: closed forms, and the panel of a whole run."""

import json
from pathlib import Path

import numpy as np
import pytest

from rftlab.calibration import Panel, reliability, scores, step_scores
from rftlab.config import compose
from rftlab.engines.sim import SimEngine
from rftlab.loop import train
from rftlab.testing import make_pool
from rftlab.tracking import read_jsonl

SIM = ["engine=sim", "tracking=none", "budget=smoke", "dataset.limit=100", "dataset.references=null"]


def test_scores_by_hand() -> None:
    p = np.array([0.1, 0.2, 0.65, 0.9])
    wins, trials = np.array([0, 2, 2, 4]), np.array([4, 4, 4, 4])
    found = scores(p, wins, trials)
    rate = wins / 4
    assert found["mae"] == pytest.approx((0.1 + 0.3 + 0.15 + 0.1) / 4)
    passes = [[0] * 4, [1, 1, 0, 0], [1, 1, 0, 0], [1] * 4]
    assert found["brier"] == pytest.approx(
        np.mean([[(q - y) ** 2 for y in ys] for q, ys in zip(p, passes, strict=True)])
    )
    # ranks 1 2 3 4 against 1 2.5 2.5 4
    assert found["spearman"] == pytest.approx(np.corrcoef([1, 2, 3, 4], [1, 2.5, 2.5, 4])[0, 1])
    assert found["calibration_error"] == pytest.approx(np.abs(p - rate).mean())  # every tenth has one task


def test_tenths_pool_their_tasks_and_one_belongs_to_the_last() -> None:
    p, wins = np.array([0.31, 0.39, 1.0]), np.array([0, 8, 6])
    table = reliability(p, wins, np.array([8, 8, 8]))
    assert [(low, n) for low, n, _, _ in table] == [(0.3, 2), (0.9, 1)]
    assert table[0][2:] == pytest.approx((0.35, 0.5))
    found = scores(p, wins, np.array([8, 8, 8]))
    assert found["calibration_error"] == pytest.approx((2 * 0.15 + 0.25) / 3)


def test_constant_beliefs_have_no_rank_and_unobserved_tasks_do_not_count() -> None:
    found = scores(np.full(3, 0.5), np.array([1, 2, 0]), np.array([4, 4, 0]))
    assert np.isnan(found["spearman"]) and found["mae"] == pytest.approx((0.25 + 0) / 2)
    assert all(np.isnan(v) for v in scores(np.array([0.5]), np.array([0]), np.array([0])).values())


def test_a_sampler_without_a_belief_has_no_scores() -> None:
    assert step_scores([], None) == {}


def rows_of(run: Path) -> list[dict]:
    return read_jsonl(run / "metrics.jsonl")


def run(tmp_path: Path, *overrides: str) -> Path:
    return train(compose([*SIM, f"outputs_dir={tmp_path}", "eval.every_rollouts=48", *overrides]))


def test_the_panel_is_read_beside_every_evaluation_and_costs_no_training_rollouts(tmp_path: Path) -> None:
    with_panel = run(tmp_path, "sampler=bots", "panel.tasks=10", "panel.rollouts=4")
    rows = rows_of(with_panel)
    evals = [r for r in rows if r.get("eval/accuracy") is not None]
    assert len(evals) == 3 and all(r.get("panel/mae") is not None for r in evals)
    assert [r["ledger/panel_rollouts"] for r in evals] == [40, 80, 120]
    assert sum(r.get("panel/mae") is not None for r in rows) == 3
    kept = [json.loads(line) for line in (with_panel / "panel" / "step_000000.jsonl").read_text().splitlines()]
    assert len(kept) == 10 and {r["predicted"] for r in kept} == {0.5} and all(r["trials"] == 4 for r in kept)
    assert evals[0]["panel/spearman"] is None and evals[0]["panel/tenth_0.5/tasks"] == 10

    without = run(tmp_path, "sampler=bots", "panel.tasks=0")
    same = ("ledger/rollouts", "reward/mean", "group/etr", "eval/accuracy", "pred/mae")
    assert [[r.get(k) for k in same] for r in rows] == [[r.get(k) for k in same] for r in rows_of(without)]
    assert (with_panel / "groups.jsonl").read_bytes() == (without / "groups.jsonl").read_bytes()


def test_every_sampler_and_seed_is_asked_the_same_tasks(tmp_path: Path) -> None:
    asked = []
    for overrides in (["sampler=bots", "seed=0"], ["sampler=mopps", "seed=3"]):
        lines = (run(tmp_path, *overrides) / "panel" / "step_000000.jsonl").read_text().splitlines()
        asked.append([json.loads(line)["task"] for line in lines])
    assert asked[0] == asked[1] and len(asked[0]) == 64


def test_no_belief_no_panel(tmp_path: Path) -> None:
    rows = rows_of(run(tmp_path, "sampler=uniform"))
    assert not any(key.startswith(("panel/", "pred/")) for row in rows for key in row)
    assert rows[-1]["ledger/panel_rollouts"] == 0


def test_the_batch_is_scored_with_the_belief_before_the_step(tmp_path: Path) -> None:
    path = run(tmp_path, "sampler=mopps", "sampler.selector.thompson=false")
    groups = [r for r in read_jsonl(path / "groups.jsonl") if r["step"] == 3]
    row = next(r for r in rows_of(path) if r["step"] == 3)
    observed = [abs(g["predicted"] - g["wins"] / g["trials"]) for g in groups]
    assert row["pred/mae"] == pytest.approx(np.mean(observed), abs=1e-4)


def test_true_beliefs_are_ranked_and_calibrated() -> None:
    pool = make_pool(40)

    class Said:
        def grade(self, items):
            from rftlab.core import Verdict

            return [Verdict(float(text == task.answer), text == task.answer) for text, task in items]

    class Cfg:
        tasks, rollouts, seed = 40, 64, 0

    from rftlab.engines.base import Sampling

    world = SimEngine(pools=[pool], seed=0, world="static")
    reading = Panel(pool, Said(), Cfg, Sampling(16)).run(world, world.truth())
    assert reading.metrics["panel/spearman"] > 0.9 and reading.metrics["panel/mae"] < 0.06
    assert reading.rollouts == 40 * 64
    wrong = Panel(pool, Said(), Cfg, Sampling(16)).run(world, 1 - world.truth())
    assert wrong.metrics["panel/spearman"] < -0.9
