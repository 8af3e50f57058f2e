"""Builds what a configuration names: dataset, sampler, verifier, learner, engine."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from hydra.utils import get_class, instantiate
from omegaconf import OmegaConf

from rftlab import targets
from rftlab.calibration import Panel
from rftlab.config import build_dataset, sampler_needs
from rftlab.core import InputError, Need
from rftlab.datasets.base import Dataset
from rftlab.engines.base import Engine, Learner, Sampling
from rftlab.evaluate import Evaluator
from rftlab.features import features
from rftlab.profile import with_references
from rftlab.random_models import is_random
from rftlab.samplers.build import build_sampler
from rftlab.samplers.composer import TaskSampler
from rftlab.verifiers.pool import VerifierPool, build_pool


@dataclass
class Lab:
    """Everything that a run works with. Use as a context manager: it owns worker processes and engines."""

    cfg: Any
    dataset: Dataset
    sampler: TaskSampler
    verifier: VerifierPool
    learner: Learner
    engine: Engine
    evaluator: Evaluator
    panel: Panel | None
    """None = ``panel.tasks=0``."""
    sampling: Sampling
    """Of training rollouts."""
    planned: bool
    """The size of a micro-batch was not given: the memory plan has chosen it."""
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def facts(self) -> dict[str, str | None]:
        """What the configuration names and does not hold: of a run these stay the same."""
        return {
            "pool": self.dataset.train.fingerprint,
            "pool_arrays": self.dataset.train.arrays_fingerprint,
            "eval_pool": self.dataset.eval.fingerprint,
            "precision": self.learner.precision,
        }

    def title(self) -> list[str]:
        """What is run, for a reader, a line each."""
        cfg, train, sampler = self.cfg, self.dataset.train, self.sampler
        lines = [
            f"model {cfg.model.name}, dataset {cfg.dataset.name} ({len(train):,} tasks, "
            f"{len(self.dataset.eval):,} for evaluation{self.dataset.told()}), sampler {cfg.sampler.name}, "
            f"seed {cfg.seed}"
        ]
        if is_random(cfg.model.path) and not is_simulated(cfg):
            lines.append(f"model.path={cfg.model.path}: random weights, to test speed and memory; nothing is learnt")
        if self.planned:
            lines.append(f"micro-batches of {cfg.model.micro_batch_tokens:,} tokens, by the memory plan")
        if sampler.filtered.any():
            lines.append(f"sampler.filter keeps {int((~sampler.filtered).sum()):,} of {len(train):,} tasks")
        if (free := int((~sampler.filtered).sum())) < cfg.budget.prompts:
            lines.append(f"batches stay short: {free:,} tasks for budget.prompts={cfg.budget.prompts}; lower it")
        if (rounds := sampler.allocator.rounds()) > cfg.budget.max_rounds:
            lines.append(
                f"sampler.allocator takes up to {rounds} rounds, budget.max_rounds={cfg.budget.max_rounds} settles its "
                "tasks before: raise it"
            )
        if Need.PROBE in sampler.needs() and cfg.budget.max_rounds < 2:
            lines.append("budget.max_rounds=1 leaves no round to probe in: this sampler measures nothing; raise it")
        if cost := sampler.reference_rollouts():
            lines.append(
                f"the references that this sampler reads cost {cost:,} rollouts, shown as "
                "ledger/reference_rollouts beside ledger/rollouts and not in it"
            )
        return lines


def is_simulated(cfg: Any) -> bool:
    """Whether the engine is its own learner and no model is loaded."""
    return bool(get_class(cfg.engine._target_).LEARNS)


def build(cfg: Any, poll: Callable[[], None] = lambda: None) -> Lab:
    """Builds a lab; what can be wrong in the input is found before a model is loaded.

    Args:
        cfg: the composed and checked configuration of ``train``.
        poll: called during long work; may raise to stop it.
    """
    # a sampler's own network runs on these too; torch reads the variable when it is first imported
    os.environ.setdefault("OMP_NUM_THREADS", str(cfg.threads))
    dataset = prepared(cfg)
    sampler = build_sampler(cfg.sampler, dataset.train, cfg.budget.group_size, truth=is_simulated(cfg))
    planned = cfg.model.micro_batch_tokens is None and not is_simulated(cfg)
    with ExitStack() as stack:
        verifier = stack.enter_context(build_pool(cfg.verifier, poll))
        learner, engine = build_engine(cfg, dataset, poll)
        stack.callback(engine.close)
        engine.sync(learner)
        evaluator = Evaluator(dataset.eval, verifier, cfg.eval, cfg.model.max_new_tokens)
        sampling = Sampling(cfg.model.max_new_tokens, cfg.algo.temperature)
        panel = Panel(dataset.train, verifier, cfg.panel, sampling) if cfg.panel.tasks else None
        return Lab(
            cfg, dataset, sampler, verifier, learner, engine, evaluator, panel, sampling, planned, stack.pop_all()
        )
    raise AssertionError("unreachable")  # ExitStack.__exit__ is typed as able to swallow


def fitting(cfg: Any) -> Dataset:
    """The dataset without the tasks whose prompts exceed ``model.max_prompt_tokens``; what is dropped is counted."""
    from rftlab.prompts import Prompts, model_source

    most = cfg.model.max_prompt_tokens
    if is_simulated(cfg):
        return build_dataset(cfg)
    model_source(cfg.model.path)  # to make the tasks may take long: what is wrong with the model is said before
    prompts = None if most is None else Prompts.of(cfg.model)
    dataset = build_dataset(cfg)
    if prompts is None:
        return dataset
    counts, pools = dict(dataset.counts), {}
    for name, pool in dataset.pools().items():
        kept = np.flatnonzero(prompts.lengths(pool) <= most)
        if not len(kept):
            raise InputError(
                f"model.max_prompt_tokens={most} leaves no task of {pool.name}: the shortest prompt has "
                f"{prompts.lengths(pool).min()} tokens"
            )
        counts[f"{name} tasks dropped, prompt over {most} tokens"] = len(pool) - len(kept)
        pools[name] = pool.take(kept) if len(kept) < len(pool) else pool
    return replace(dataset, training=pools.get("train"), eval=pools["eval"], counts=counts)


def prepared(cfg: Any) -> Dataset:
    """The dataset as the sampler needs it: with the profiles of ``cfg.references`` and, where a part reads any, with
    the vectors that ``cfg.features`` makes."""
    dataset = fitting(cfg)
    train = with_references(dataset.train, cfg.references, is_simulated(cfg))
    if train.features is None and Need.FEATURES in sampler_needs(cfg):
        options: Any = OmegaConf.to_container(cfg.features, resolve=True)
        source = targets.find("features", options)(**{k: v for k, v in options.items() if k != "_target_"})
        train = replace(train, features=features(train, source, options))
    return replace(dataset, training=train)


def build_engine(cfg: Any, dataset: Dataset, poll: Callable[[], None]) -> tuple[Learner, Engine]:
    """The learner and the engine that samples from it."""
    from rftlab import ranks

    if cfg.get("shard") and ranks.current.size == 1:
        raise InputError("shard=true: one process has nobody to share with; give launcher=accelerate num_processes=N")
    if is_simulated(cfg):
        if cfg.get("init_from"):
            raise InputError("init_from needs a model: a simulated engine has no adapter; leave it out with engine=sim")
        if ranks.current.size > 1:
            raise InputError(f"engine=sim runs in one process, {ranks.current.size} are here: start it alone")
        world = instantiate(cfg.engine, _partial_=True)(pools=list(dataset.pools().values()), seed=cfg.seed)
        return world, world
    from rftlab.models import check_adapter, stored_config
    from rftlab.prompts import Prompts

    prompts = Prompts.of(cfg.model)
    limit = stored_config(cfg.model).max_position_embeddings
    prompts.check_fit(dataset.pools().values(), cfg.model.context or limit, cfg.model.max_new_tokens, limit)
    adapter = adapter_of(cfg.get("init_from"))
    if adapter is not None:
        check_adapter(adapter, cfg.model, train="algo" in cfg)
    if "algo" in cfg:
        _plan_memory(cfg, max(int(prompts.lengths(pool).max()) for pool in dataset.pools().values()))
    if ranks.current.size > 1:
        from rftlab.ranks_lead import lead

        return lead(cfg, prompts, poll)
    from rftlab.policy import Policy

    return policy_and_engine(cfg, prompts, poll, Policy)


def _plan_memory(cfg: Any, longest: int) -> None:
    """Fills in what is null because it depends on the machine; ``longest`` is that of the prompts, in tokens."""
    from rftlab import memory, ranks

    sharing = ranks.current.size if cfg.get("shard") else 1
    load = memory.Load(cfg.model, cfg.algo, cfg.engine, longest, prompts=cfg.budget.prompts, ranks=sharing)
    if cfg.model.micro_batch_tokens is None:
        cfg.model.micro_batch_tokens = memory.micro_batch_tokens(load, memory.total_bytes())
    beside = load.device == "cuda" and load.colocated
    if beside and cfg.engine.gpu_memory_utilization is None and cfg.engine.kv_cache_gib is None:
        share = memory.vllm_share(load, memory.total_bytes(), cfg.model.micro_batch_tokens)
        cfg.engine.gpu_memory_utilization = share


def policy_and_engine(cfg: Any, prompts: Any, poll: Callable[[], None], policy_class: Any) -> tuple[Any, Engine]:
    """This rank's policy, a ``policy_class``, and the engine that samples from it."""
    import torch

    from rftlab import ranks

    torch.set_num_threads(cfg.threads)
    adapter = adapter_of(cfg.get("init_from"))
    policy = policy_class(cfg.model, cfg.get("algo"), prompts, cfg.seed, adapter, ranks.current)
    return policy, instantiate(cfg.engine, _partial_=True)(policy=policy, poll=poll)


def adapter_of(run: str | None) -> Path | None:
    """The adapter to start from: a run's last one, or the folder of an adapter itself."""
    if run is None:
        return None
    for folder in (Path(run) / "adapters" / "last", Path(run)):
        if all((folder / name).is_file() for name in ("adapter_config.json", "adapter_model.safetensors")):
            return folder
    best = Path(run) / "adapters" / "best"
    hint = f"the run is unfinished, give init_from={best}" if best.is_dir() else "give a finished run or an adapter"
    raise InputError(f"init_from={run}: no adapter there; {hint}")
