"""What share of this machine's speed the update and the decoding reach: `python scripts/bench_share.py [OVERRIDES]`.

The update is held against the fastest matrix product of the model's dtype that is measured here, decoding against the
fastest copy: a decoded position reads all weights once, and the cache of every row. Work and bytes are counted by
formula (`update_flops`, `decode_bytes`), so that what an implementation does beside them (padding, recomputation,
copies of the cache) counts as loss. The groups are real rollouts; every second one is called right, so that all train.
Written are a table and its numbers: `results/cpu/share_NAME.{md,json}`, `results/gpu/` on a GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

from rftlab.config import build_dataset, check, compose
from rftlab.core import Group, Pick, Verdict
from rftlab.engines.base import Job, Sampling
from rftlab.lab import build_engine


def finished(device: torch.device) -> float:
    """The time, once the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize()
    return time.perf_counter()


def fastest(work: Callable[[], Any], device: torch.device, tries: int = 7) -> float:
    """Seconds of the fastest of some runs."""
    seconds = []
    for _ in range(tries):
        start = finished(device)
        work()
        seconds.append(finished(device) - start)
    return min(seconds)


def matmul_peak(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of a large square matrix product."""
    n = 8192 if device.type == "cuda" else 1536
    a, b = (torch.randn(n, n, device=device, dtype=dtype) for _ in range(2))
    out = torch.empty(n, n, device=device, dtype=dtype)
    return 2 * n**3 / fastest(lambda: torch.mm(a, b, out=out), device)


def copy_peak(device: torch.device) -> float:
    """Bytes/s of a large copy, what is read and what is written."""
    count = 1 << (32 if device.type == "cuda" else 28)
    a = torch.ones(count // 4, device=device)
    b = torch.empty_like(a)
    return 2 * count / fastest(lambda: b.copy_(a), device)


def update_flops(model: Any, groups: Sequence[tuple[int, Sequence[int]]]) -> float:
    """FLOPs that an update needs at least, of groups of (tokens of the prompt, tokens of each completion).

    A prompt is needed once for its group. A weight costs 2 FLOPs a token forward and 2 backward (the gradient by its
    input), an adapter's 2 more (its own); the vocabulary projection is needed on completion tokens only. Causal
    attention costs 4 FLOPs for a pair of tokens and a unit of the query heads' width forward, in each layer, and twice
    that backward. Recomputation is not work.
    """
    body, adapter, head = sizes(model)
    config = model.config.get_text_config()
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    width = config.num_hidden_layers * config.num_attention_heads * size
    completed = sum(sum(lengths) for _, lengths in groups)
    pairs = sum(p * p / 2 + sum(p * c + c * c / 2 for c in lengths) for p, lengths in groups)
    tokens = completed + sum(p for p, _ in groups)
    return float((4 * body + 6 * adapter) * tokens + 4 * head * completed + 12 * width * pairs)


def sizes(model: Any) -> tuple[int, int, int]:
    """Parameters of the matrices that every token goes through: of the base, of the adapter, of the projection."""
    causal = model.get_base_model()
    head = causal.get_output_embeddings()
    body = adapter = 0
    for name, module in causal.named_modules():
        if isinstance(module, torch.nn.Linear) and module is not head:
            count = module.weight.numel()
            body, adapter = (body, adapter + count) if "lora_" in name else (body + count, adapter)
    return body, adapter, head.weight.numel()


def decode_bytes(model: Any, prompt: Sequence[int], completion: Sequence[int]) -> float:
    """Bytes that decoding these rollouts beside each other reads at least: the weights at each position, and the keys
    and values of every row that is still going."""
    config = model.config.get_text_config()
    heads = getattr(config, "num_key_value_heads", None) or config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    weight = model.get_base_model().get_output_embeddings().weight
    body, _, head = sizes(model)
    cached = 2 * config.num_hidden_layers * heads * size * weight.element_size()
    p, c = np.asarray(prompt, float), np.asarray(completion, float)
    read = float((c * p + c * (c - 1) / 2).sum()) * cached
    return max(completion) * (body + head) * weight.element_size() + read


def measure(overrides: list[str], repeats: int) -> dict[str, Any]:
    """Rolls out and updates, several times; seconds and shares."""
    cfg = compose(overrides)
    check(cfg)
    dataset = build_dataset(cfg)
    policy, engine = build_engine(cfg, dataset, lambda: None)
    prompts, size = cfg.budget.prompts, cfg.budget.group_size
    jobs = [Job(task, 0, size) for task in dataset.train.tasks[:prompts]]
    sampling, device = Sampling(cfg.model.max_new_tokens, cfg.algo.temperature), policy.device
    matmul, copy = matmul_peak(device, policy.dtype), copy_peak(device)
    said = tuple(Verdict(float(i % 2), bool(i % 2)) for i in range(size))
    rows = []
    for repeat in range(repeats + 1):
        engine.sync(policy)
        start = finished(device)
        done = engine.generate(jobs, sampling, ("share", repeat))
        generated = finished(device)
        groups = [Group(j.task, tuple(c), said, repeat) for j, c in zip(jobs, done, strict=True)]
        batch = [(g, Pick(g.task.index, np.arange(size))) for g in groups]
        middle = finished(device)
        policy.update(batch, groups, group_size=size, target_groups=prompts, rollouts=prompts * size)
        updated = finished(device)
        prompt = [len(policy.prompts.ids(job.task)) for job in jobs for _ in range(size)]
        completion = [len(c.tokens) for group in done for c in group]
        shape = [(len(policy.prompts.ids(j.task)), [len(c.tokens) for c in g]) for j, g in zip(jobs, done, strict=True)]
        flops, read = update_flops(policy.model, shape), decode_bytes(policy.model, prompt, completion)
        rows.append(
            {
                "generate": generated - start,
                "update": updated - middle,
                "tokens": sum(completion),
                "rollouts": len(completion),
                "update_flops": flops,
                "decode_bytes": read,
                "update_share": flops / (updated - middle) / matmul,
                "decode_share": read / (generated - start) / copy,
            }
        )
    engine.close()
    return {
        "device": torch.cuda.get_device_name(0) if device.type == "cuda" else "CPU",
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {torch.get_num_threads()} thread(s)",
        "torch": torch.__version__,
        "overrides": overrides,
        "dtype": policy.precision,
        "matmul_flops": matmul,
        "copy_bytes": copy,
        "rows": rows[1:],  # the first warms up
    }


def table(found: dict[str, Any]) -> str:
    """The shares as Markdown."""
    mid = {key: median(row[key] for row in found["rows"]) for key in found["rows"][0]}
    matmul, copy = found["matmul_flops"] / 1e9, found["copy_bytes"] / 1e9
    return (
        f"# Share of the machine: {' '.join(found['overrides']) or 'no overrides'}\n\n"
        f"{found['device']} ({found['machine']}), torch {found['torch']}. Medians of {len(found['rows'])} steps of "
        f"{mid['rollouts']:.0f} rollouts, {mid['tokens']:.0f} tokens.\n\n"
        "| | seconds | by formula | a second | measured peak | share |\n|---|---|---|---|---|---|\n"
        f"| update | {mid['update']:.3f} | {mid['update_flops'] / 1e9:.3g} GFLOP | "
        f"{mid['update_flops'] / mid['update'] / 1e9:.3g} GFLOP | {matmul:.3g} GFLOP/s, {found['dtype']} product | "
        f"{mid['update_share']:.1%} |\n"
        f"| decoding, prefill included | {mid['generate']:.3f} | {mid['decode_bytes'] / 1e9:.3g} GB | "
        f"{mid['decode_bytes'] / mid['generate'] / 1e9:.3g} GB | {copy:.3g} GB/s, copy | {mid['decode_share']:.1%} |\n"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--name", default="tiny", help="of the files")
    parser.add_argument("--out", type=Path, help="folder; default results/cpu or results/gpu")
    parser.add_argument("overrides", nargs="*", help="of rftlab train, like model.path=random:NAME engine=vllm")
    args = parser.parse_args()
    found = measure(args.overrides, args.repeats)
    results = Path(__file__).resolve().parent.parent / "results"
    out = args.out or results / ("cpu" if found["device"] == "CPU" else "gpu")
    out.mkdir(parents=True, exist_ok=True)
    (out / f"share_{args.name}.json").write_text(json.dumps(found, indent=1) + "\n")
    (out / f"share_{args.name}.md").write_text(table(found))
    print(table(found))


if __name__ == "__main__":
    main()
