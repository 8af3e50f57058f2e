"""How work is divided among ranks."""

import random

from omegaconf import OmegaConf

from rftlab.gpus import slots
from rftlab.ranks import balanced


def test_every_load_has_one_rank_and_no_rank_has_more_than_it_must():
    draw = random.Random(0)
    for _ in range(200):
        loads = [draw.randrange(1, 1000) for _ in range(draw.randrange(40))]
        ranks = draw.randrange(1, 9)
        shares = balanced(loads, ranks)
        assert len(shares) == ranks
        assert sorted(i for share in shares for i in share) == list(range(len(loads)))
        assert all(share == sorted(share) for share in shares)
        fullest = max(sum(loads[i] for i in share) for share in shares)
        least = max([sum(loads) / ranks, *loads])  # no division has a fullest rank below this
        largest = max(loads, default=0)
        assert fullest <= sum(loads) / ranks + largest  # Graham's bound for any list
        assert fullest <= 1.5 * least or len(loads) < 2 * ranks


def test_groups_of_one_size_are_dealt_evenly():
    assert [len(share) for share in balanced([7.0] * 64, 8)] == [8] * 8


def test_more_ranks_than_work_leaves_some_idle():
    assert balanced([3.0], 3) == [[0], [], []]


def test_the_jobs_of_a_sweep_get_a_gpu_for_each_rank(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1,2,3,4")
    cfg = OmegaConf.create({"threads": 1, "num_processes": 2, "engine": {"_target_": "rftlab.engines.hf.HFEngine"}})
    assert slots(None, "auto", 9, cfg) == ["0,1", "2,3"]
    assert slots(None, "auto", 9, OmegaConf.merge(cfg, {"num_processes": None})) == ["0", "1", "2", "3", "4"]
    assert slots(None, ["0,1,2"], 9, cfg) == ["0,1,2"]
