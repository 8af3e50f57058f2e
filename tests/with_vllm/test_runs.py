"""Whole runs with vLLM: they learn as with transformers, and an interrupted one is the unbroken one."""

from rftlab import loop
from rftlab.config import check, compose
from vllm_tools import KV

SMALL = [
    *("budget.prompts=8", "budget.group_size=8", "budget.steps=30", "eval.limit=8", "eval.samples=1", "panel.tasks=0"),
    *("eval.every_rollouts=100000", "tracking=none", "algo.lr=2e-3"),
]
VLLM = ["engine=vllm", KV]


def run(outputs, *overrides):
    cfg = compose([*SMALL, f"outputs_dir={outputs}", *overrides])
    check(cfg)
    return loop.train(cfg)
