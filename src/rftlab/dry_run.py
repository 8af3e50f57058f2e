"""``--dry-run``: everything that can be checked before a model is loaded."""

from __future__ import annotations

from typing import Any

from omegaconf import OmegaConf

from rftlab import targets
from rftlab.config import build_dataset, run_dir, schedule_reads_progress
from rftlab.verifiers.base import Verifier


def dry_run(name: str, cfg: Any) -> int:
    """Prints the configuration and the run directory after every check that needs no model."""
    where = ""
    if name == "rescore":
        from rftlab.rescore import configuration, grader, training_pool

        of_run = configuration(cfg.run, cfg.replace)
        training_pool(of_run, cfg.run)
        cfg.verifier = grader(cfg.verifier, of_run)
    verifier = targets.build("verifier.check", cfg.verifier.check, Verifier)
    verifier.limits(cfg.verifier.pool.deadline, cfg.verifier.pool.memory_gib)
    if name == "rescore":
        print(OmegaConf.to_yaml(cfg, resolve=True), end="")
        return 0
    if name != "train":
        dataset = build_dataset(cfg)
    else:
        from rftlab.lab import is_simulated, prepared
        from rftlab.samplers.build import build_sampler

        dataset = prepared(cfg)
        build_sampler(cfg.sampler, dataset.train, cfg.budget.group_size, truth=is_simulated(cfg))
        where = f"\n# run directory: {run_dir(cfg, schedule_reads_progress(cfg))}"
    print(OmegaConf.to_yaml(cfg, resolve=True), end="")
    train_tasks = len(dataset.training) if dataset.training is not None else 0
    print(f"# {train_tasks:,} tasks, {len(dataset.eval):,} for evaluation{where}")
    return 0
