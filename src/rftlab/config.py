"""What must hold in a configuration, and the identity of a run.

Keys and types come from ``schema.py``. Groups whose keys belong to a class or function of their own (``_target_``:
sampler parts, engine, dataset, the verifier's check) are held against its signature.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import math
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import ConfigKeyError, OmegaConfBaseException

from rftlab import own_files
from rftlab.core import InputError, Need
from rftlab.engines import vllm_options
from rftlab.listing import conf_dir
from rftlab.nearest import unknown_key
from rftlab.schema import SCHEMAS
from rftlab.targets import check_options, find
from rftlab.verifiers import by_source
from rftlab.wrong_type import wrong_type

if TYPE_CHECKING:
    from rftlab.datasets.base import Dataset


OPEN = ("sampler.selector", "sampler.allocator", "sampler.admission", "engine", "dataset", "verifier.check", "features")
"""Nodes whose keys are the keyword arguments of their ``_target_``."""

DATASET_LABELS = ("name",)
"""Keys of ``dataset`` that its loader need not take."""
BESIDE: dict[str, Any] = {
    "dataset": (DATASET_LABELS,),
    "verifier.check": ((), " (a class of your own that has none: ~{key})"),
}
"""What ``check_options`` is told of a node beside its keys."""

_Rule = tuple[str, Callable[[Any], bool], str]


def _at_least(low: float, *keys: str) -> list[_Rule]:
    return [(key, lambda v: v >= low, f"at least {low:g}") for key in keys]


def _above(low: float, *keys: str) -> list[_Rule]:
    return [(key, lambda v: v > low, f"more than {low:g}") for key in keys]


def _one_of(key: str, *names: str) -> _Rule:
    return key, lambda v: v in names, f"one of {', '.join(names)}"


RULES: list[_Rule] = [
    *_at_least(1, "budget.steps", "budget.prompts", "budget.max_rounds", "algo.epochs", "algo.minibatches", "threads"),
    *_at_least(1, "algo.max_bad_steps", "eval.every_rollouts", "eval.limit", "eval.samples", "checkpoint.every_steps"),
    *_at_least(
        1,
        "model.max_new_tokens",
        "model.max_prompt_tokens",
        "model.context",
        "model.micro_batch_tokens",
        "model.lora.r",
    ),
    *_at_least(1, "budget.tokens", "algo.is_cap", "algo.max_is_weight"),
    *_at_least(0, "seed", "eval.seed", "eval.temperature", "eval.top_k", "tracking.completions", "algo.lr", "algo.kl"),
    *_at_least(0, "panel.tasks", "panel.seed", "temperature"),
    *_at_least(1, "panel.rollouts", "rollouts", "tasks_at_once", "num_processes"),
    *_at_least(0, "algo.warmup_rollouts", "algo.weight_decay", "algo.clip_high"),
    *_above(0, "verifier.pool.deadline", "verifier.pool.memory_gib"),
    *_at_least(-1, "tracking.save_completions", "eval.save_completions"),
    *_above(
        0, "budget.seconds", "algo.max_grad_norm", "algo.max_logp_gap", "model.lora.alpha", "tracking.init_timeout"
    ),
    ("checkpoint.keep", lambda v: v >= 2, "at least 2: a run that its rollouts cut short goes on from the one before"),
    ("budget.group_size", lambda v: v >= 2, "at least 2: an advantage compares rollouts of one task"),
    ("algo.temperature", lambda v: v > 0, "more than 0: greedy rollouts of one task are all the same"),
    ("algo.betas", lambda v: len(v) == 2 and all(0 <= b < 1 for b in v), "two numbers in [0, 1)"),
    ("algo.clip_low", lambda v: 0 <= v <= 1, "a number in [0, 1]"),
    ("algo.lr", math.isfinite, "a finite number"),
    ("seed", lambda v: v < 2**63, "less than 2^63"),
    ("verifier.check.strip", lambda v: isinstance(v, bool), "true or false"),
    ("verifier.check.casefold", lambda v: isinstance(v, bool), "true or false"),
    ("engine.max_rows", lambda v: isinstance(v, int) and v >= 1, "a whole number of at least 1"),
    ("engine.merged", lambda v: isinstance(v, bool), "true, false or null"),
    ("eval.top_p", lambda v: 0 < v <= 1, "a number in (0, 1]"),
    ("model.lora.dropout", lambda v: 0 <= v < 1, "a number in [0, 1)"),
    ("sampler.stats_discount", lambda v: 0 <= v <= 1, "a share in [0, 1]"),
    ("panel.rollouts", lambda v: v < 2**31, "less than 2^31"),
    ("sampler.filter.lo", lambda v: 0 <= v <= 1, "a pass rate in [0, 1]"),
    ("sampler.filter.hi", lambda v: 0 <= v <= 1, "a pass rate in [0, 1]"),
    ("outputs_dir", lambda v: bool(v.strip()), "a folder"),
    ("name", lambda v: bool(re.fullmatch(r"(?!\.)[\w.\-]+", v)), "letters, digits, '-', '_', and '.' but not first"),
    ("verifier.name", lambda v: bool(re.fullmatch(r"[\w.\-]*\w[\w.\-]*", v)), "letters, digits, '.', '-' and '_' only"),
    _one_of("algo.loss", "sequence", "token", "dr_grpo"),
    _one_of("algo.is_weight", "token", "sequence", "none"),
    _one_of("algo.advantage", "group_std", "group_mean"),
    _one_of("model.attention", "sdpa", "eager", "flash_attention_2"),
    _one_of("model.quantize", "8bit", "4bit"),
    _one_of("model.dtype", "auto", "float32", "bfloat16"),
    _one_of("launcher", "accelerate"),
    _one_of("tracking.wandb", "auto", "online", "offline", "off"),
]
"""(key, what its value must satisfy unless it is null, the same in words)."""


def check(cfg: DictConfig, verb: str = "train") -> DictConfig:
    """The composed configuration in the types of the schema (a folder that is called 5 is text). No model is loaded.

    Raises:
        InputError: anything is wrong with it; one line.
    """
    typed = _typed(cfg, verb)
    for key, holds, wanted in RULES:
        value = OmegaConf.select(typed, key)
        if value is not None and not holds(value):
            raise InputError(f"{key}={_shown(value)}: wanted {wanted}")
    if "budget" in typed:
        _check_budget(typed.budget, typed.algo)
    if (sampler := typed.get("sampler")) is not None and sampler.filter is not None:
        lo, hi = sampler.filter.lo, sampler.filter.hi
        if lo > hi:
            raise InputError(f"sampler.filter.lo={lo:g} is above sampler.filter.hi={hi:g}: the pool would be empty")
    if (start := typed.get("init_from")) is not None and not Path(start).is_dir():
        raise InputError(f"init_from={start}: no such directory; wanted a run's, like outputs/<name>/…/seed0")
    std = OmegaConf.select(typed, "sampler.allocator.std")
    if std is not None and std != (typed.algo.advantage == "group_std"):
        raise InputError(
            f"sampler.allocator.std={str(std).lower()} and algo.advantage={typed.algo.advantage} disagree on whether "
            "advantages are divided by the standard deviation: give sampler.allocator.std="
            f"{str(not std).lower()}"
        )
    if (engine := typed.get("engine")) is not None and engine.get("_target_") == vllm_options.TARGET:
        vllm_options.check_options(engine, typed.model)
        if verb != "doctor":  # which says it among its lines
            vllm_options.check_here(engine)
    for key in OPEN:  # last: importing an engine takes seconds
        if (node := OmegaConf.select(typed, key)) is not None:
            check_options(key, node, *BESIDE.get(key, ()))
    return typed


def _check_budget(budget: Any, algo: Any) -> None:
    size = budget.group_size
    for key in ("rollouts", "step_rollouts"):
        if (value := budget[key]) is not None and value < size:
            raise InputError(
                f"budget.{key}={value} allows no step: wanted at least one group, budget.group_size={size}; "
                f"give budget.{key}=null for its default"
            )
    if algo.minibatches > budget.prompts:
        raise InputError(f"algo.minibatches={algo.minibatches}: wanted at most budget.prompts={budget.prompts}")


def _typed(cfg: DictConfig, verb: str) -> DictConfig:
    """``cfg`` in the types of the schema: unknown keys, missing keys and wrong types are errors."""
    schema = OmegaConf.structured(SCHEMAS[verb])
    try:
        OmegaConf.resolve(plain := cfg.copy())
        typed = OmegaConf.merge(schema, plain)
    except ConfigKeyError as exc:
        raise InputError(unknown_key(str(exc.full_key), [key for key in keys(cfg) if key != exc.full_key])) from None
    except OmegaConfBaseException as exc:
        raise InputError(wrong_type(cfg, exc)) from None
    assert isinstance(typed, DictConfig)
    if missing := sorted(OmegaConf.missing_keys(typed)):
        raise InputError(f"{missing[0]} has no value: give {missing[0]}=…")
    if OmegaConf.is_dict(grader := OmegaConf.select(typed, "verifier.check")):
        by_source.fill_in(grader)
    own_files.fill_in(typed)
    return typed


def keys(node: Any, prefix: str = "") -> list[str]:
    """Every key of a composed configuration, dotted."""
    found = []
    if isinstance(node, DictConfig) and not node._is_none() and not node._is_missing():
        for name in map(str, node):
            found += [f"{prefix}{name}", *keys(node._get_node(name), f"{prefix}{name}.")]
    return found


def _shown(value: Any) -> str:
    return str(OmegaConf.to_container(value)) if OmegaConf.is_config(value) else str(value)


def compose(overrides: Sequence[str] = (), *, verb: str = "train", config_dir: Path | None = None) -> DictConfig:
    """The configuration that ``rftlab VERB OVERRIDES`` would get; ``config_dir`` holds a user's own groups."""
    from hydra import compose as hydra_compose
    from hydra import initialize_config_dir

    own = [f"hydra.searchpath=[file://{config_dir.resolve()}]"] if config_dir else []
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        return hydra_compose(verb, [*own, *overrides])


def build_dataset(cfg: DictConfig) -> Dataset:
    """Calls the loader that ``cfg.dataset`` names; the keys are its keyword arguments (``name`` where it takes it)."""
    options = OmegaConf.to_container(cfg.dataset, resolve=True)
    assert isinstance(options, dict)
    load = find("dataset", cfg.dataset)
    del options["_target_"]
    accepted = inspect.signature(load).parameters
    return load(**{str(k): v for k, v in options.items() if k in accepted or k not in DATASET_LABELS})


def sampler_needs(cfg: DictConfig) -> frozenset[Need]:
    """What the parts of ``cfg.sampler`` need, known before there is a pool."""
    from rftlab.samplers.build import build_parts

    return frozenset().union(*(part.needs() for part in build_parts(cfg.sampler).values()))


def schedule_reads_progress(cfg: DictConfig) -> bool:
    """Whether a part of the sampler reads how much of the run is done."""
    return Need.PROGRESS in sampler_needs(cfg)


NOT_IDENTITY = (
    *("outputs_dir", "name", "tracking", "seed", "threads", "checkpoint"),
    *("launcher", "num_processes", "shard", "eval.save_completions"),
    *("model.gradient_checkpointing", "model.attention", "model.compile", "model.liger"),
    *("model.micro_batch_tokens", "engine.max_rows", "verifier.pool.workers"),
    *("engine.mode", "engine.max_num_seqs", "engine.gpu_memory_utilization", "engine.kv_cache_gib"),
    *("engine.sleep_level", "engine.tensor_parallel", "engine.enforce_eager"),
    *("engine.urls", "engine.adapter_dir", "engine.deadline"),
)
"""Keys that change where, how fast or how often something is written, not what is learnt. Threads and micro-batches
move sums in the last bits only, as another machine would; with ``model.lora.dropout`` micro-batches and ranks move its
masks too."""
LENGTH = ("budget.steps", "budget.rollouts", "budget.tokens", "budget.seconds")
"""What bounds a run."""


def fingerprint(cfg: DictConfig, reads_progress: bool) -> str:
    """8 hex digits of everything that changes the numbers.

    The length of the run belongs to it only when something reads ``progress``: otherwise a longer run is the same run,
    further on.
    """
    typed = _typed(cfg, "train")
    content: Any = OmegaConf.to_container(typed, resolve=True)
    for key in (*NOT_IDENTITY, *(() if reads_progress else LENGTH)):
        *path, last = key.split(".")
        node = content
        for name in path:
            node = node[name]
        node.pop(last, None)  # engine.max_rows: not every engine has it
    for group in own_files.GROUPS:  # null is no difference
        content[group] = {k: v for k, v in content[group].items() if k != "own_files" or v is not None}
    text = json.dumps(_canonical(content), sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=4).hexdigest()


def _canonical(value: Any) -> Any:
    """Equal numbers become equal text: 0 and 0.0, 1e-3 and 0.001."""
    if isinstance(value, dict):
        return {str(k): _canonical(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_canonical(v) for v in value]
    return float(value) if isinstance(value, int) and not isinstance(value, bool) else value


def run_dir(cfg: DictConfig, reads_progress: bool) -> Path:
    """``outputs/<name>/<model>_<dataset>/<sampler>-<fingerprint>/seed<k>``."""
    subject = f"{_folder(cfg.model.name)}_{_folder(cfg.dataset.name)}"
    arm = f"{_folder(cfg.sampler.name)}-{fingerprint(cfg, reads_progress)}"
    return Path(str(cfg.outputs_dir)) / str(cfg.name) / subject / arm / f"seed{cfg.seed}"


def _folder(name: str) -> str:
    return re.sub(r"[^\w.\-]+", "-", str(name))
