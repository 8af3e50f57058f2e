"""What this machine has, and whether the engine samples from the policy that is trained."""

from __future__ import annotations

import os
import platform
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from rftlab.core import InputError
from rftlab.outfile import outfolder
from rftlab.rundir import versions


@dataclass(frozen=True)
class Check:
    """One line of the report."""

    name: str
    ok: bool
    says: str


def doctor(cfg: Any) -> int:
    """Prints the report; 0 when every check passes, else 1."""
    failed = 0
    for check in checks(cfg):
        failed += not check.ok
        print(f"{'ok  ' if check.ok else 'FAIL'}  {check.name:<12} {check.says}", flush=True)
    return int(failed > 0)


def checks(cfg: Any) -> Iterator[Check]:
    """Cheap ones first; the model is loaded for the last, and only where the memory plan says that it fits."""
    found = versions()
    yield Check("python", True, f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Check("packages", True, ", ".join(f"{k} {v}" for k, v in found.items()))
    yield _outputs(cfg.outputs_dir)
    yield _wandb()
    yield _device(cfg.threads)
    yield _sandbox()
    from rftlab.lab import fitting

    dataset = fitting(cfg)
    sizes = ", ".join(f"{len(tasks):,} {name} tasks" for name, tasks in dataset.pools().items())
    yield Check("dataset", True, f"{cfg.dataset.name}: {sizes}")
    yield _verifier(cfg, dataset)
    fits = True
    for check in _memory(cfg, dataset):
        fits = check.ok
        yield check
    if fits:
        yield from _canary(cfg, dataset)
    else:
        yield Check("canary", True, "not compared: it does not fit")


def _outputs(place: str) -> Check:
    try:
        folder = outfolder(place, "outputs_dir").absolute()
    except InputError as error:
        return Check("outputs", False, str(error))
    free = shutil.disk_usage(next(p for p in (folder, *folder.parents) if p.exists())).free / 2**30
    return Check("outputs", free > 1, f"{place} is writable, {free:.0f} GiB free")


def _wandb() -> Check:
    from rftlab.wandb_mirror import has_key

    return Check(
        "wandb", True, "a key is present: online" if has_key() else "no key: offline (send later by rftlab sync)"
    )


def _device(threads: int) -> Check:
    import torch

    if torch.cuda.is_available():
        gib = torch.cuda.get_device_properties(0).total_memory / 2**30
        return Check("device", True, f"{torch.cuda.get_device_name(0)}, {gib:.0f} GiB")
    return Check("device", True, f"CPU, {os.cpu_count()} cores, threads={threads}; no GPU is visible to torch")


def _sandbox() -> Check:
    """Always shown: what a program of a model could do here. Wrong only where none can be run at all."""
    from rftlab.sandbox.levels import protection, working

    return Check("sandbox", bool(working()), protection())


def _verifier(cfg: Any, dataset: Any) -> Check:
    from rftlab.verifiers.pool import build_pool

    with build_pool(cfg.verifier) as pool:
        tasks = next(iter(dataset.pools().values())).tasks[:64]
        accepted = sum(v.passed for v in pool.grade([(pool.verifier.gold(task), task) for task in tasks]))
    return Check(
        "verifier", accepted == len(tasks), f"{cfg.verifier.name} accepts {accepted} of {len(tasks)} gold answers"
    )


def _memory(cfg: Any, dataset: Any) -> Iterator[Check]:
    """The plan by part against this machine's memory, and what to lower."""
    from rftlab import memory
    from rftlab.lab import is_simulated
    from rftlab.prompts import Prompts

    if is_simulated(cfg):
        return
    prompts, total = Prompts.of(cfg.model), memory.total_bytes()
    longest = max(int(prompts.lengths(pool).max()) for pool in dataset.pools().values())
    sharing = _sharing(cfg)
    load = memory.Load(cfg.model, cfg.algo, cfg.engine, longest, prompts=cfg.budget.prompts, ranks=sharing)
    found = memory.plan(load, cfg.model.micro_batch_tokens or memory.micro_batch_tokens(load, total))
    parts = ", ".join(f"{part.name} {memory.shown(part.bytes)}" for part in found.parts)
    says = f"{memory.shown(found.peak)} of {memory.shown(total)} at most"
    says += f" on each of {sharing} ranks" if sharing > 1 else ""
    if load.colocated and found.fits(total):
        says += f", {memory.vllm_share(load, total, found.micro_batch_tokens):.0%} for vLLM"
    lower = "" if found.fits(total) else f"; {memory.remedies(load, found)}"
    yield Check("memory", found.fits(total), f"{says}: {parts}{lower}")


def _sharing(cfg: Any) -> int:
    """Ranks that would share the base."""
    from rftlab import ranks_launch

    count = ranks_launch.processes(cfg)
    return count if cfg.shard else 1


def _canary(cfg: Any, dataset: Any) -> Iterator[Check]:
    """Fresh weights must agree; a changed adapter that the engine has not taken over must be noticed."""
    import torch

    from rftlab.core import Group, Verdict
    from rftlab.engines.base import Job, Sampling
    from rftlab.lab import build_engine, is_simulated
    from rftlab.update import Totals, canary_rows, engines_of

    if is_simulated(cfg):
        yield Check("canary", True, "a simulated world has no log-probs to compare")
        return
    if _sharing(cfg) > 1:
        yield Check("canary", True, "not compared: this one process does not hold a base that ranks share; a run does")
        return
    try:
        policy, engine = build_engine(cfg, dataset, lambda: None)
    except InputError as error:  # vLLM is missing, does not start, or no server answers
        yield Check("engine", False, " ".join(str(error).split()))
        return
    sampling = Sampling(cfg.model.max_new_tokens, cfg.algo.temperature)

    def gap(name: str) -> float:
        jobs = [Job(task, 0, 1) for task in next(iter(dataset.pools().values())).tasks[:8]]
        done = engine.generate(jobs, sampling, ("doctor", cfg.seed, name))
        groups = [Group(j.task, tuple(c), (Verdict(0.0, False),), 0) for j, c in zip(jobs, done, strict=True)]
        rows = canary_rows(groups, policy.prompts, engine.version)
        totals = Totals(engines=engines_of(rows))
        policy.add_gap(rows, totals)
        return totals.worst()[0]

    engine.sync(policy)
    first = gap("fresh")
    yield Check("canary", first <= policy.max_gap, f"engine and trainer agree to {first:.2g} nats a token")
    with torch.no_grad():
        for name, p in policy.model.named_parameters():
            if "lora_B" in name:
                p.normal_(std=0.02, generator=torch.Generator(p.device).manual_seed(cfg.seed))
    if engine.separate:  # else engine and trainer are one model, and nothing can be stale
        stale = gap("stale")
        says = f"a changed adapter that the engine has not seen shows: {stale:.2g} nats"
        yield Check("stale", stale > policy.max_gap, says)
    engine.sync(policy)
    fresh = gap("synced")
    yield Check("sync", fresh <= policy.max_gap, f"after the hand-over they agree again: {fresh:.2g} nats")
    engine.close()
