"""Hydra's side of ``hydra/launcher=local``: launchers must live in this namespace. ``rftlab.sweep`` does the work.

Every verb that Hydra configures imports this module, so what it needs is imported where it is needed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, run_job
from hydra.plugins.launcher import Launcher
from omegaconf import DictConfig, OmegaConf, open_dict

OWN = ("hydra.mode", "hydra.launcher", "hydra/launcher", "hydra.sweep", "hydra/sweep", "hydra.job.name")
"""Overrides of Hydra's own that speak of the sweep and not of a job."""


class LocalLauncher(Launcher):
    """Runs each job as ``rftlab VERB OVERRIDES`` in a process of its own.

    Args:
        n_jobs: Jobs at once; None = as many as there are GPUs, else cores divided by ``threads``.
        gpus: What each job in turn gets as ``CUDA_VISIBLE_DEVICES``; "auto" = the GPUs that are here.
        fail_fast: Whether a failure keeps jobs that have not begun from beginning.
    """

    def __init__(self, n_jobs: Any = None, gpus: Any = "auto", fail_fast: Any = False) -> None:
        self.n_jobs, self.gpus, self.fail_fast = n_jobs, gpus, fail_fast

    def setup(self, *, hydra_context: Any, task_function: Any, config: DictConfig) -> None:
        from rftlab.sweep_cells import experiment

        self.context, self.task, self.config = hydra_context, task_function, config
        experiment(config)  # a name that is none is said before Hydra makes its folder
        HydraConfig.instance().set_config(config.copy())  # a mixture asks it for the folder of the user's own parts

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Runs the jobs. ``JobReturn.return_value`` is the run's objective where the sweeper seeks the best one."""
        from rftlab.core import InputError

        if not job_overrides:
            raise InputError("the axes make no job: one of them has no value, as range(0,0)")
        if not isinstance(self.fail_fast, bool):
            raise InputError(f"hydra.launcher.fail_fast={self.fail_fast}: wanted true or false")
        from rftlab import ranks_launch, sweep, sweep_cells, sweep_plan
        from rftlab.gpus import slots

        verb, labels = self.config.hydra.job.name, [self._label(overrides) for overrides in job_overrides]
        cells = self._cells(job_overrides, labels, initial_job_idx)
        if "out" in self.config:
            cells = iter(sweep_cells.apart(cells))
        if self.task.sweep.dry:
            return [self._here(list(overrides), initial_job_idx + i) for i, overrides in enumerate(job_overrides)]
        if ranks_launch.inside:
            raise InputError(
                "a sweep starts its jobs' ranks itself: leave the launcher in front out, and give launcher=accelerate"
            )
        seeks = sweep_cells.seeks(self.config.hydra)
        if seeks and verb != "train":
            raise InputError(f"rftlab {verb} has no objective: a search is for rftlab train")
        places = slots(self.n_jobs, self.gpus, len(job_overrides), self.config)
        with sweep_plan.Plan(len(places)) as plan:
            pool = sweep.Pool(
                slots=places,
                fail_fast=self.fail_fast,
                total=None if seeks else len(job_overrides),
                plan=plan,
                options=job_options(self.config.hydra),
                measure=sweep_cells.objective if seeks else None,
            )
            done = pool.run(cells, self.task.sweep)
        return [_job_return(cell, seeks) for cell in done]

    def _label(self, overrides: Sequence[str]) -> str:
        typed: Any = OmegaConf.to_container(self.config.hydra.overrides.task, resolve=False)
        common = {_plain(override) for override in typed}
        return " ".join([o for o in overrides if _plain(o) not in common] or overrides)

    def _cells(self, job_overrides: Sequence[Sequence[str]], labels: Sequence[str], first: int) -> Iterator[Any]:
        """The jobs as cells, each composed (a tenth of a second) when it is asked for: others work meanwhile."""
        from rftlab.sweep_cells import Cell

        for i, overrides in enumerate(map(list, job_overrides)):
            config = self._compose(overrides, first + i)
            with open_dict(config):
                del config["hydra"]
            yield Cell(first + i, overrides, labels[i], config, self.config.hydra.job.name)

    def _compose(self, overrides: list[str], number: int) -> DictConfig:
        config = self.context.config_loader.load_sweep_config(self.config, overrides)
        with open_dict(config):
            config.hydra.job.id = config.hydra.job.num = number
        return config

    def _here(self, overrides: list[str], number: int) -> JobReturn:
        """A job of a dry run, in this process."""
        return run_job(
            hydra_context=self.context,
            task_function=self.task,
            config=self._compose(overrides, number),
            job_dir_key="hydra.sweep.dir",
            job_subdir_key="hydra.sweep.subdir",
        )


def _plain(override: str) -> str:
    """Without what the sweeper adds when it writes an override anew: ``out=${name}`` becomes ``out=$\\{name\\}``."""
    return override.translate(str.maketrans("", "", "\\'\""))


def job_options(hydra: Any) -> list[str]:
    """What stands on a job's command line beside its overrides: where configurations are found, that it is one run."""
    options = []
    for source in hydra.runtime.config_sources:
        if source.provider == "command-line":
            options += ["--config-dir", source.path]
    if (name := hydra.job.config_name) != hydra.job.name:
        options += ["--config-name", name]
    kept = [o for o in hydra.overrides.hydra if not o.lstrip("+~").startswith(OWN)]
    return [*options, *kept, "hydra.mode=RUN"]


def _job_return(cell: Any, seeks: bool) -> JobReturn:
    """What the sweeper gets. Without an objective a failure is not raised: that would end the sweep after a batch."""
    from rftlab.cli import JobFailed

    done = JobReturn(overrides=cell.overrides, cfg=cell.cfg, working_dir=os.getcwd(), task_name=cell.verb)
    done.status = JobStatus.FAILED if cell.failed and seeks else JobStatus.COMPLETED
    done.return_value = JobFailed(1) if cell.failed and seeks else cell.objective
    return done
