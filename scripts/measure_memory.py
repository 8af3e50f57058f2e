"""The memory plan against what is held: ``python scripts/measure_memory.py``; the table is in docs/memory.md.

Each line is one process with a real policy: random weights, rollouts of the longest kind, one update, one generation.
On a GPU the peak is ``torch.cuda.max_memory_allocated``; on a CPU the sum of what torch's profiler saw allocated and
freed, beside the tensors that were there before. Process and CUDA context are left out of both sides.
"""

from __future__ import annotations

import argparse
import gc
import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from rftlab.config import compose
from rftlab.core import Task
from rftlab.engines.base import Job, Sampling
from rftlab.engines.hf import HFEngine
from rftlab.memory import Load, plan
from rftlab.policy import Policy
from rftlab.prompts import Prompts
from rftlab.update import Row

MIB = 2**20
CASES = {  # name: shape, prompt and new tokens, overrides
    "cpu": [
        ("bundled:tiny", 40, 24, "model.micro_batch_tokens=512"),
        ("bundled:tiny", 40, 24, "model.micro_batch_tokens=2048"),
        ("bundled:tiny", 40, 24, "model.micro_batch_tokens=8192"),
        ("bundled:tiny", 40, 24, "model.micro_batch_tokens=8192 model.gradient_checkpointing=true"),
        ("random:smollm2-135m", 64, 64, "model.micro_batch_tokens=512"),
        ("random:smollm2-135m", 64, 64, "model.micro_batch_tokens=1024"),
        ("random:smollm2-135m", 64, 64, "model.micro_batch_tokens=1024 model.dtype=bfloat16"),
        ("random:smollm2-135m", 192, 32, "model.micro_batch_tokens=1024 model.gradient_checkpointing=true"),
        ("random:smollm2-135m", 64, 16, "model.micro_batch_tokens=512 model.lora.r=128 model.lora.dropout=0.1"),
        ("random:qwen2.5-0.5b", 64, 8, "model.micro_batch_tokens=128"),
        ("random:qwen2.5-0.5b", 64, 8, "model.micro_batch_tokens=512 model.gradient_checkpointing=true"),
    ],
    "cuda": [
        (f"random:{name}", 512, 512, f"model.micro_batch_tokens={tokens} model.gradient_checkpointing={recompute}")
        for name in ("qwen2.5-0.5b", "qwen2.5-1.5b", "qwen3-1.7b")
        for tokens, recompute in ((4096, "false"), (8192, "true"), (32768, "true"))
    ],
}
ROWS = 32
"""Decoded at once."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--case", type=int, help="one line of the table, in this process")
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if (chosen := parser.parse_args().case) is not None:
        print(json.dumps(measured(*CASES[device][chosen])))
        return
    print(
        "| model | prompt + new | overrides | update: plan | measured | ratio | generation: plan | measured | ratio |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for case, (path, prompt, new, overrides) in enumerate(CASES[device]):
        said = subprocess.run([sys.executable, __file__, "--case", str(case)], stdout=subprocess.PIPE, check=True)
        found = json.loads(said.stdout.splitlines()[-1])
        cells = [path, f"{prompt} + {new}", f"`{overrides.replace('model.', '')}`"]
        for phase in ("update", "generation"):
            told, held = found[phase]
            cells += [f"{told / MIB:,.0f} MiB", f"{held / MIB:,.0f} MiB", f"{told / held:.2f}"]
        print("|", " | ".join(cells), "|", flush=True)


def measured(path: str, prompt: int, new: int, overrides: str) -> dict[str, tuple[int, int]]:
    """(planned, held) bytes at most of an update and of a generation, without the process itself."""
    keys = [f"model.path={path}", f"model.max_new_tokens={new}", f"engine.max_rows={ROWS}", "algo.max_logp_gap=1000"]
    cfg = compose([*keys, *overrides.split()])
    torch.set_num_threads(1)
    policy = Policy(cfg.model, cfg.algo, Prompts.load(path), 0)
    engine = HFEngine(policy, merged=None, max_rows=ROWS)
    load = Load(cfg.model, cfg.algo, cfg.engine, prompt, policy.device.type, prompts=ROWS)
    told, size = plan(load), load.size(cfg.model.micro_batch_tokens)
    process = next(part.bytes for part in told.parts if part.name == "process")
    rows = [row(prompt, new) for _ in range(2 * size.rows * size.together)]  # fill two micro-batches
    policy.train(rows[:1], 1e-4)  # makes the optimiser's state
    update = held(policy, engine, lambda: policy.train(rows, 1e-4))
    letters = "".join(np.random.default_rng(0).choice(list("abcdefgh"), prompt))
    jobs = [Job(Task(f"t{i}", i, ({"role": "user", "content": letters},), ""), 0, 1) for i in range(ROWS)]
    spare = len(policy.prompts.ids(jobs[0].task)) - prompt  # the template's own tokens
    jobs = [Job(Task(f"u{i}", i, ({"role": "user", "content": letters[spare:]},), ""), 0, 1) for i in range(ROWS)]
    engine.stop_ids = np.array([], np.int64)  # every rollout is of the longest kind
    engine.sync(policy)
    generation = held(policy, engine, lambda: engine.generate(jobs, Sampling(new), ("measure",)))
    return {"update": (told.update - process, update), "generation": (told.generation - process, generation)}


def row(prompt: int, new: int) -> Row:
    """A rollout with a say in the loss."""
    ids = np.ones(prompt + new, np.int32)
    return Row(ids[:prompt], ids[prompt:], np.full(new, -1.0, np.float32), 1.0, 1.0, True)


def held(policy: Policy, engine: HFEngine, call: Callable[[], Any]) -> int:
    """Bytes at most while ``call`` runs."""
    gc.collect()
    if policy.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        call()
        return torch.cuda.max_memory_allocated()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU], profile_memory=True) as trace:
        call()
    sizes = [(e.start_ns(), e.nbytes()) for e in trace.profiler.kineto_results.events() if e.name() == "[memory]"]
    return before(policy, engine) + max(0, int(np.cumsum([size for _, size in sorted(sizes)]).max()))


def before(policy: Policy, engine: HFEngine) -> int:
    """Bytes of the tensors that live from step to step."""
    tensors = [*policy.model.parameters(), *engine.model.parameters()]
    tensors += [t for state in policy.optimizer.state.values() for t in state.values() if isinstance(t, torch.Tensor)]
    storages = {s.data_ptr(): s.nbytes() for t in tensors for s in [t.untyped_storage()]}
    return sum(storages.values())


if __name__ == "__main__":
    main()
