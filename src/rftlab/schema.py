"""Names and types of every configuration key. Defaults and comments are in the YAML files, so that they exist once.

``own_files`` is no option: it is filled in (own_files.py).
``Any`` marks a node whose keys are the arguments of its ``_target_``, or a value of several types.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from omegaconf import MISSING


@dataclass
class Lora:
    r: int = MISSING
    alpha: float = MISSING
    dropout: float = MISSING
    targets: Any = MISSING
    rslora: bool = MISSING
    dora: bool = MISSING


@dataclass
class Model:
    name: str = MISSING
    path: str = MISSING
    revision: str | None = MISSING
    dtype: str = MISSING
    context: int | None = MISSING
    max_new_tokens: int = MISSING
    max_prompt_tokens: int | None = MISSING
    prompt: str = MISSING
    template_options: dict[str, Any] | None = MISSING
    gradient_checkpointing: bool = MISSING
    attention: str | None = MISSING
    compile: bool = MISSING
    liger: bool = MISSING
    quantize: str | None = MISSING
    micro_batch_tokens: int | None = MISSING
    lora: Lora = MISSING
    own_files: dict[str, str] | None = None


@dataclass
class Filter:
    reference: str | None = None
    lo: float = 0.0
    hi: float = 1.0


@dataclass
class Sampler:
    name: str = MISSING
    selector: Any = MISSING
    allocator: Any = MISSING
    admission: Any = MISSING
    filter: Filter | None = None
    stats_discount: float = 1.0
    own_files: dict[str, str] | None = None


@dataclass
class Algo:
    lr: float = MISSING
    warmup_rollouts: int = MISSING
    weight_decay: float = MISSING
    betas: list[float] = MISSING
    max_grad_norm: float = MISSING
    loss: str = MISSING
    advantage: str = MISSING
    clip_low: float = MISSING
    clip_high: float = MISSING
    is_weight: str = MISSING
    is_cap: float = MISSING
    kl: float = MISSING
    epochs: int = MISSING
    minibatches: int = MISSING
    temperature: float = MISSING
    max_logp_gap: float | None = MISSING
    max_is_weight: float | None = MISSING
    max_bad_steps: int = MISSING


@dataclass
class Budget:
    steps: int = MISSING
    prompts: int = MISSING
    group_size: int = MISSING
    max_rounds: int = MISSING
    rollouts: int | None = MISSING
    step_rollouts: int | None = MISSING
    tokens: int | None = MISSING
    seconds: float | None = MISSING


@dataclass
class Eval:
    every_rollouts: int = MISSING
    limit: int | None = MISSING
    samples: int = MISSING
    temperature: float = MISSING
    top_p: float = MISSING
    top_k: int = MISSING
    seed: int = MISSING
    save_completions: int = MISSING


@dataclass
class Tracking:
    wandb: str = MISSING
    project: str = MISSING
    entity: str | None = MISSING
    tags: list[str] = MISSING
    init_timeout: float = MISSING
    completions: int = MISSING
    save_completions: int = MISSING
    profile: bool = MISSING


@dataclass
class Checkpoint:
    every_steps: int = MISSING
    keep: int = MISSING


@dataclass
class Panel:
    tasks: int = MISSING
    rollouts: int = MISSING
    seed: int = MISSING


@dataclass
class Workers:
    workers: int = MISSING
    deadline: float = MISSING
    memory_gib: float | None = MISSING


@dataclass
class Verifier:
    name: str = MISSING
    check: Any = MISSING
    pool: Workers = MISSING
    own_files: dict[str, str] | None = None


@dataclass
class _Verb:
    verifier: Verifier = MISSING
    dataset: Any = MISSING
    outputs_dir: str = MISSING
    name: str = MISSING


@dataclass
class ValidateVerb(_Verb):
    """``rftlab validate``."""

    out: str | None = MISSING


@dataclass
class RescoreVerb:
    """``rftlab rescore``."""

    verifier: Verifier | None = None
    run: str = MISSING
    out: str | None = MISSING
    replace: dict[str, Any] = MISSING
    outputs_dir: str = MISSING
    name: str = MISSING


@dataclass
class _Learning(_Verb):
    model: Model = MISSING
    engine: Any = MISSING
    seed: int = MISSING
    threads: int = MISSING
    init_from: str | None = MISSING


@dataclass
class EvalVerb(_Learning):
    """``rftlab eval``."""

    eval: Eval = MISSING
    out: str | None = MISSING


@dataclass
class ProfileVerb(_Learning):
    """``rftlab profile``."""

    out: str | None = MISSING
    rollouts: int = MISSING
    temperature: float = MISSING
    tasks_at_once: int = MISSING


@dataclass
class DoctorVerb(_Learning):
    """``rftlab doctor``."""

    algo: Algo = MISSING
    budget: Budget = MISSING
    launcher: str | None = MISSING
    num_processes: int | None = MISSING
    shard: bool = MISSING


@dataclass
class TrainVerb(_Learning):
    """``rftlab train``."""

    algo: Algo = MISSING
    sampler: Sampler = MISSING
    budget: Budget = MISSING
    eval: Eval = MISSING
    tracking: Tracking = MISSING
    checkpoint: Checkpoint = MISSING
    features: Any = MISSING
    references: dict[str, str] = MISSING
    panel: Panel = MISSING
    launcher: str | None = MISSING
    num_processes: int | None = MISSING
    shard: bool = MISSING


SCHEMAS: dict[str, type] = {
    "train": TrainVerb,
    "eval": EvalVerb,
    "profile": ProfileVerb,
    "validate": ValidateVerb,
    "rescore": RescoreVerb,
    "doctor": DoctorVerb,
}
