"""Rollout speed of engine=hf against transformers' `generate()`: `python scripts/bench_rollout.py`.

Both sample the same prompts with the same policy: 32 tasks of the ladder, 8 rollouts each, temperature 1, at most 24
new tokens, one thread. The yardstick is `generate()` on the peft model with the adapter active and every prompt
repeated 8 times, as a plain trainer does it. The runs alternate, so that a busy machine disturbs both alike; printed
are medians and the median of the ratios. The adapter is random, not zero: the products are really computed.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch

from rftlab.config import build_dataset, compose
from rftlab.engines.base import Job, Sampling
from rftlab.lab import build_engine


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tasks", type=int, default=32)
    parser.add_argument("--rollouts", type=int, default=8)
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("overrides", nargs="*", help="like model=tiny-strong threads=2")
    args = parser.parse_args()
    cfg = compose(args.overrides)
    dataset = build_dataset(cfg)
    policy, engine = build_engine(cfg, dataset, lambda: None)
    with torch.no_grad():
        for name, p in policy.model.named_parameters():
            if "lora_B" in name:
                p.normal_(std=1e-3, generator=torch.Generator(p.device).manual_seed(0))
    engine.sync(policy)
    jobs = [Job(task, 0, args.rollouts) for task in dataset.train.tasks[: args.tasks]]
    sampling = Sampling(cfg.model.max_new_tokens)
    tokenizer = policy.prompts.tokenizer
    prompts = [policy.prompts.ids(job.task).tolist() for job in jobs for _ in range(job.n)]
    batch = tokenizer.pad({"input_ids": prompts}, padding_side="left", return_tensors="pt").to(policy.device)

    def ours(repeat: int) -> int:
        done = engine.generate(jobs, sampling, ("bench", repeat))
        return sum(len(c.tokens) for group in done for c in group)

    def theirs(repeat: int) -> int:
        torch.manual_seed(repeat)
        with torch.inference_mode():
            out = policy.model.generate(
                **batch, do_sample=True, temperature=1.0, top_k=0, top_p=1.0, max_new_tokens=cfg.model.max_new_tokens
            )
        new = out[:, batch["input_ids"].shape[1] :]
        ended = (new == tokenizer.eos_token_id).cumsum(1)
        return int(((ended == 0) | ((ended == 1) & (new == tokenizer.eos_token_id))).sum())

    times: dict[str, list[float]] = {"ours": [], "generate()": []}
    tokens: dict[str, list[int]] = {"ours": [], "generate()": []}
    for repeat in range(-1, args.repeats):
        for name, run in (("ours", ours), ("generate()", theirs)):
            start = time.perf_counter()
            count = run(repeat + 1)
            if repeat >= 0:  # the first of each warms up
                times[name].append(time.perf_counter() - start)
                tokens[name].append(count)
    rates = {name: [n / t for n, t in zip(tokens[name], times[name], strict=True)] for name in times}
    for name in times:
        milliseconds, rate = statistics.median(times[name]) * 1e3, statistics.median(rates[name])
        print(f"{name:<12} {milliseconds:8.1f} ms  {np.mean(tokens[name]):8.1f} tokens  {rate:9.0f} tokens/s")
    ratios = [a / b for a, b in zip(rates["ours"], rates["generate()"], strict=True)]
    print(
        f"ratio of tokens/s: median {statistics.median(ratios):.2f}, from {min(ratios):.2f} to {max(ratios):.2f} "
        f"({len(prompts)} sequences, {policy.device}, {torch.get_num_threads()} threads)"
    )


if __name__ == "__main__":
    main()
