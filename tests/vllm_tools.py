"""What the tests of the vLLM engine share."""

import dataclasses

import numpy as np
import torch

from rftlab.config import build_dataset, compose
from rftlab.core import Group, Pick, Verdict
from rftlab.engines.base import Job, Sampling
from rftlab.lab import build_engine

KV = "engine.kv_cache_gib=0.125"
STREAM = ("train", 0, 1)
SAMPLING = Sampling(24)
DATASET = build_dataset(compose([]))
LOGP = 1e-4
"""Largest tolerated difference of a log-prob between vLLM and the trainer, in nats."""


def build(*overrides):
    """Policy and engine of ``engine=vllm``, not yet handed over."""
    cfg = compose(["engine=vllm", KV, *overrides])
    return build_engine(cfg, DATASET, lambda: None)


def jobs(tasks, n=4):
    return [Job(DATASET.train.tasks[i], 0, n) for i in tasks]


def perturb(policy, std=0.02, seed=1):
    """A random adapter: with LoRA's zero start the adapter would do nothing."""
    with torch.no_grad():
        for name, p in policy.model.named_parameters():
            if "lora_B" in name:
                p.normal_(std=std, generator=torch.Generator().manual_seed(seed))


def tokens(done):
    return [[c.tokens.tolist() for c in group] for group in done]


def same(a, b):
    """Equal in all but log-probs, which must be close."""
    for c, d in zip([c for g in a for c in g], [d for g in b for d in g], strict=True):
        assert c.tokens.tolist() == d.tokens.tolist() and c.text == d.text and c.finish == d.finish
        assert c.tokens.dtype == d.tokens.dtype and c.logps.dtype == d.logps.dtype
        assert np.abs(c.logps - d.logps).max() < LOGP


def trainer_gap(policy, asked, done, temperature=1.0):
    """Largest |logp engine - logp trainer| of all tokens, by a plain forward of the trained model."""
    worst = 0.0
    for job, group in zip(asked, done, strict=True):
        for c in group:
            ids = torch.from_numpy(np.concatenate([policy.prompts.ids(job.task), c.tokens]).astype(np.int64))
            with torch.no_grad():
                logits = policy.model(input_ids=ids[None]).logits[0] / temperature
            logp = torch.log_softmax(logits[-len(c.tokens) - 1 : -1], -1).gather(1, ids[-len(c.tokens) :, None])[:, 0]
            worst = max(worst, float(np.abs(logp.numpy() - c.logps).max()))
    return worst


def update(policy, engine, step, lr=0.003):
    """One optimiser step on 8 x 4 fresh rollouts, every second of which is called right."""
    policy.algo.lr = lr
    asked = jobs(range(8 * step, 8 * step + 8))
    done = engine.generate(asked, SAMPLING, ("train", 0, step))
    verdict = Verdict(1.0, True), Verdict(0.0, False)
    groups = [Group(j.task, tuple(c), verdict * 2, step) for j, c in zip(asked, done, strict=True)]
    batch = [(group, Pick(group.task.index, np.arange(4))) for group in groups]
    return policy.update(batch, groups, group_size=4, target_groups=8, rollouts=32 * (step + 1)).metrics


def at(job, first, n):
    return dataclasses.replace(job, first=first, n=n)
