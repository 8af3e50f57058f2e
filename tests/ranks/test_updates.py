"""The update is the same on one rank and on two, whole or split: to rounding."""

import pickle
import sys
from pathlib import Path

import pytest
import torch

from ranks.pair import Pair

sys.path.insert(0, str(Path(__file__).parent))
from updates import CASES, all_cases, blamed, groups

from rftlab.config import compose
from rftlab.memory import Load
from rftlab.update import FEW

NAMES = [*CASES, "dead group", "one row"]


@pytest.fixture(scope="module")
def results(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("updates")
    found = groups()
    (folder / "groups").write_bytes(pickle.dumps(found))
    pair = Pair([str(Path(__file__).parent / "updates.py"), str(folder / "groups"), str(folder / "out")])
    alone = all_cases(found) | {"blamed": blamed(found)}
    codes, _, err = pair.end()
    assert codes == [0, 0], err
    return {"one": alone} | torch.load(folder / "out", weights_only=False)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("base", ["whole", "split"])
def test_two_ranks_make_the_update_of_one(results, base, name):
    two, one = results[base][name], results["one"][name]
    for what in ("gradient", "weights"):
        assert torch.linalg.norm(two[what] - one[what]) <= 1e-5 * torch.linalg.norm(one[what]), what
    assert two["metrics"].keys() == one["metrics"].keys()
    for key, value in one["metrics"].items():
        if key != "train/padding":
            assert two["metrics"][key] == pytest.approx(value, rel=1e-4, abs=3e-6), key


def test_the_cases_train(results):
    for name in NAMES:
        live = results["one"][name]["metrics"]["train/live_rollouts"]
        assert (live > 0) == (name != "dead group")


def test_a_split_base_is_not_whole_anywhere(results):
    whole, split = (results[base]["plain"]["elements"] for base in ("whole", "split"))
    assert results["one"]["plain"]["elements"] == whole and split < 0.75 * whole


def test_a_rank_holds_the_parameters_that_the_memory_plan_tells(results):
    for base, ranks in (("whole", 1), ("split", 2)):
        cfg = compose([])
        weights = Load(cfg.model, cfg.algo, cfg.engine, device="cpu", ranks=ranks).weights
        assert weights.held + weights.adapter == 4 * results[base]["plain"]["elements"]


@pytest.mark.parametrize("base", ["one", "whole", "split"])
def test_the_worst_engine_is_found_by_the_sums_over_ranks(results, base):
    gap, engine, tokens = results[base]["blamed"]
    expected = 0.002 * tokens / max(FEW, tokens)
    assert engine == 1 and gap == pytest.approx(expected, rel=1e-2) and tokens == results["one"]["blamed"][2] > 0
