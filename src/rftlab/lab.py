"""Builds what a configuration names: dataset, sampler, verifier, learner, engine."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hydra.utils import get_class, instantiate

from rftlab.config import build_dataset
from rftlab.core import InputError
from rftlab.datasets.base import Dataset
from rftlab.engines.base import Engine, Learner, Sampling
from rftlab.evaluate import Evaluator
from rftlab.samplers.build import build_sampler
from rftlab.samplers.composer import TaskSampler
from rftlab.verifiers.pool import VerifierPool, build_pool

log = logging.getLogger(__name__)


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
    sampling: Sampling
    """Of training rollouts."""
    _stack: ExitStack = field(default_factory=ExitStack)

    def __enter__(self) -> Lab:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()


def is_simulated(cfg: Any) -> bool:
    """Whether the engine is its own learner and no model is loaded."""
    return bool(get_class(cfg.engine._target_).LEARNS)


def build(cfg: Any, poll: Callable[[], None] = lambda: None) -> Lab:
    """Builds a lab; what can be wrong in the input is found before a model is loaded.

    Args:
        cfg: the composed and checked configuration of ``train``.
        poll: called during long work; may raise to stop it.
    """
    dataset = build_dataset(cfg)
    sampler = build_sampler(cfg.sampler, dataset.train, cfg.budget.group_size, truth=is_simulated(cfg))
    with ExitStack() as stack:
        verifier = stack.enter_context(build_pool(cfg.verifier))
        learner, engine = build_engine(cfg, dataset, poll)
        stack.callback(engine.close)
        engine.sync(learner)
        evaluator = Evaluator(dataset.eval, verifier, cfg.eval, cfg.model.max_new_tokens)
        sampling = Sampling(cfg.model.max_new_tokens, cfg.algo.temperature)
        return Lab(cfg, dataset, sampler, verifier, learner, engine, evaluator, sampling, stack.pop_all())
    raise AssertionError("unreachable")  # ExitStack.__exit__ is typed as able to swallow


def build_engine(cfg: Any, dataset: Dataset, poll: Callable[[], None]) -> tuple[Learner, Engine]:
    """The learner and the engine that samples from it."""
    make = instantiate(cfg.engine, _partial_=True)
    if is_simulated(cfg):
        world = make(pools=[dataset.train, dataset.eval], seed=cfg.seed)
        return world, world
    import torch

    from rftlab.models import stored_config
    from rftlab.policy import Policy
    from rftlab.prompts import Prompts

    torch.set_num_threads(cfg.threads)
    prompts = Prompts.load(cfg.model.path, cfg.model.revision)
    context = cfg.model.context or stored_config(cfg.model).max_position_embeddings
    for pool in (dataset.train, dataset.eval):
        prompts.check_fit(pool, context, cfg.model.max_new_tokens)
    policy = Policy(cfg.model, cfg.get("algo"), prompts, cfg.seed, adapter_of(cfg.get("init_from")))
    return policy, make(policy=policy, poll=poll)


def adapter_of(run: str | None) -> Path | None:
    """The adapter to start from: a run's last one, or the folder of an adapter itself."""
    if run is None:
        return None
    for folder in (Path(run) / "adapters" / "last", Path(run)):
        if (folder / "adapter_config.json").is_file():
            return folder
    raise InputError(f"init_from={run}: no adapter there; give the directory of a finished run, or of an adapter")
