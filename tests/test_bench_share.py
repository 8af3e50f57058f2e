"""The shares of the machine: what they are shares of, and the work they count."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from rftlab.config import build_dataset, compose
from rftlab.core import Completion, Finish, Group, Pick, Verdict
from rftlab.lab import build_engine

SCRIPTS = Path(__file__).resolve().parent.parent / "scripts"
SMALL = ["budget.prompts=4", "budget.group_size=4", "model.max_new_tokens=6"]


class Counted(TorchDispatchMode):
    """torch's own counts of the operators that run. Its FlopCounterMode can't follow ``autograd.grad`` in a forward."""

    flops = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if count := flop_registry.get(func._overloadpacket):
            self.flops += count(*args, **(kwargs or {}), out_val=out)
        return out


def script(name):
    spec = importlib.util.spec_from_file_location(name, SCRIPTS / f"{name}.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_shares_are_of_work_that_was_done(tmp_path):
    share = script("bench_share")
    found = share.measure(SMALL, repeats=2)
    assert len(found["rows"]) == 2
    for row in found["rows"]:
        assert row["rollouts"] == 16 and 0 < row["update_share"] < 1 and 0 < row["decode_share"] < 1
    assert "| update |" in share.table(found)


def test_the_formula_of_the_updates_work_counts_what_torch_counts():
    """One length, so that nothing is padded; the gradient by the input of the first layer is not needed, and how
    much of attention torch counts differs with its kernel."""
    share = script("bench_share")
    cfg = compose(["algo.max_logp_gap=100"])  # the log-probs below are made up
    dataset = build_dataset(cfg)
    policy, engine = build_engine(cfg, dataset, lambda: None)
    task = dataset.train.tasks[0]
    prompt = len(policy.prompts.ids(task))
    tokens = np.arange(20, 40, dtype=np.int32)
    logps = np.zeros(20, np.float32)
    completions = tuple(Completion("", tokens, logps, Finish.LENGTH, 0) for _ in range(8))
    group = Group(task, completions, tuple(Verdict(float(i % 2), bool(i % 2)) for i in range(8)), 1)
    with Counted() as counted:
        policy.update([(group, Pick(0, np.arange(8)))], [group], group_size=8, target_groups=1, rollouts=8)
    wanted = share.update_flops(policy.model, [(prompt, [20] * 8)])
    assert counted.flops == pytest.approx(wanted, rel=0.06)
    engine.close()
