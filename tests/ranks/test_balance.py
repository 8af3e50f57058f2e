"""How work is divided among ranks."""

import random

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
