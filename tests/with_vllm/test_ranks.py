"""An engine on each of two ranks: the same rollouts as alone, and the ranks' process group outlives the engines."""

import os
import subprocess
import sys
from pathlib import Path

from ports import free_port

RANK = """
import json, sys
import torch, torch.distributed as dist
from vllm_tools import LOGP, SAMPLING, STREAM, build, jobs, perturb, tokens, trainer_gap

dist.init_process_group("gloo")
policy, engine = build()
perturb(policy)
engine.sync(policy)
asked = jobs(range(4 + 4 * dist.get_rank()))  # ranks have unequal work
done = engine.generate(asked, SAMPLING, STREAM)
assert trainer_gap(policy, asked, done) < LOGP
assert engine.generate([], SAMPLING, STREAM) == []
engine.close()
one = torch.ones(1)
dist.all_reduce(one)
print(json.dumps([one.item(), tokens(done)[:4]]), file=sys.stderr)
"""


def test_two_ranks_sample_alike_and_go_on_after_their_engines():
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2"}
    path = {"PYTHONPATH": str(Path(__file__).parents[1])}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-c", RANK],
            env=os.environ | address | path | {"RANK": str(rank), "LOCAL_RANK": str(rank)},
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    said = [rank.communicate(timeout=240)[1] for rank in ranks]
    assert [rank.returncode for rank in ranks] == [0, 0], said
    first, second = (text.strip().splitlines()[-1] for text in said)
    assert first == second and first.startswith("[2.0, ")
