"""One arm of the race of `bench_train.py`, in a process of its own: `python race_arm.py rftlab|trl SPEC OUT`.

SPEC is a JSON file with the overrides of `rftlab train` that both arms share, the number of steps, the engine, and for
TRL the tasks of every step in the order that the rftlab arm took them. OUT gets a row of numbers for each step.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

from rftlab.config import build_dataset, check, compose
from rftlab.core import Task, Verdict
from rftlab.verifiers.base import Verifier


class Coin(Verifier):
    """Passes every second completion it is shown, whatever it says: every group has a gradient, of any model."""

    trusted = True  # so that all are counted in one process

    def __init__(self) -> None:
        self.seen = 0

    def grade(self, text: str, task: Task) -> Verdict:
        self.seen += 1
        return Verdict(float(self.seen % 2), bool(self.seen % 2))


def composed(spec: dict[str, Any], folder: str) -> Any:
    """The configuration that both arms read."""
    quiet = ["tracking=none", "eval.limit=64", "eval.samples=1", "panel.tasks=0", "checkpoint.every_steps=1000000"]
    coin = ["verifier.check._target_=race_arm.Coin", "~verifier.check.strip", "~verifier.check.casefold"]
    cfg = compose(
        [
            *quiet,
            *(coin if spec["reward"] == "coin" else []),
            f"engine={spec['engine']}",
            f"budget.steps={spec['steps']}",
            f"outputs_dir={folder}",
            *spec["overrides"],
        ]
    )
    check(cfg)
    return cfg


Mark = tuple[float, float]


def now() -> Mark:
    """Seconds of the wall clock, and of processor time over all threads of this process."""
    return time.perf_counter(), time.process_time()


def between(one: Mark, other: Mark) -> dict[str, float]:
    return {"wall": other[0] - one[0], "cpu": other[1] - one[1]}


def peak_memory() -> dict[str, float]:
    """MiB: of the process, and of what torch took on the GPU where there is one."""
    peak = {"rss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}
    if torch.cuda.is_available():
        peak["cuda_mib"] = torch.cuda.max_memory_reserved() / 2**20
    return peak


# --- rftlab -----------------------------------------------------------------------------------------------------------


def rftlab_arm(spec: dict[str, Any], folder: str) -> dict[str, Any]:
    """The run that `rftlab train` makes; a step lasts from one line of its record to the next.

    The last step holds the last evaluation and the checkpoint too: it is not to be counted.
    """
    from rftlab import loop
    from rftlab.run import Run
    from rftlab.tracking import read_jsonl

    marks: list[Mark] = []

    class Timed(Run):
        def log(self) -> None:
            super().log()
            marks.append(now())

    loop.Run = Timed  # type: ignore[misc]
    path = loop.train(composed(spec, folder))
    rows, groups = read_jsonl(path / "metrics.jsonl"), read_jsonl(path / "groups.jsonl")
    steps = []
    for i, row in enumerate(rows[1:], 1):
        mine = [group for group in groups if group["step"] == row["step"]]
        steps.append(
            {phase: row.get(f"time/{phase}", 0.0) for phase in ("ask", "generate", "verify", "tell", "update", "sync")}
            | between(marks[i - 1], marks[i])
            | {
                "tokens": sum(group["tokens"] for group in mine),
                "trained": row["train/live_rollouts"],
                "passed": sum(group["wins"] for group in mine) / sum(group["trials"] for group in mine),
                "tasks": [group["index"] for group in mine],
            }
        )
    return {"steps": steps, "eval_seconds": rows[0]["time/eval"], **peak_memory()}


# --- TRL --------------------------------------------------------------------------------------------------------------


def trl_config(spec: dict[str, Any], cfg: Any, folder: str) -> Any:
    """The nearest that TRL has: one update on the whole batch, no KL, rewards by group, mean over each completion."""
    from trl import GRPOConfig

    gpu, parts = torch.cuda.is_available(), spec["micro_batches"]
    vllm: dict[str, Any] = {"use_vllm": True, "vllm_mode": "colocate"} if spec["engine"] == "vllm" else {}
    return GRPOConfig(
        output_dir=folder,
        per_device_train_batch_size=cfg.budget.prompts * cfg.budget.group_size // parts,
        gradient_accumulation_steps=parts,
        steps_per_generation=parts,
        num_generations=cfg.budget.group_size,
        num_iterations=1,
        max_completion_length=cfg.model.max_new_tokens,
        temperature=cfg.algo.temperature,
        beta=0.0,
        epsilon=cfg.algo.clip_low,
        loss_type="grpo",
        scale_rewards="group",
        max_steps=spec["steps"],
        learning_rate=cfg.algo.lr,
        lr_scheduler_type="constant",
        weight_decay=cfg.algo.weight_decay,
        adam_beta1=cfg.algo.betas[0],
        adam_beta2=cfg.algo.betas[1],
        max_grad_norm=cfg.algo.max_grad_norm,
        gradient_checkpointing=cfg.model.gradient_checkpointing,
        chat_template_kwargs=dict(cfg.model.template_options or {}),
        shuffle_dataset=False,
        seed=cfg.seed,
        bf16=gpu,
        use_cpu=not gpu,
        report_to="none",
        logging_strategy="no",
        save_strategy="no",
        disable_tqdm=True,
        **vllm,
    )


def plain_products() -> None:
    """vLLM's CPU backend packs the weights and then takes no others, so TRL could not hand its own over."""
    from vllm.model_executor.layers import utils

    def unpacked(layer: Any, remove_weight: bool) -> None:
        layer.cpu_linear = torch.nn.functional.linear

    utils.dispatch_cpu_unquantized_gemm = unpacked


def trl_arm(spec: dict[str, Any], folder: str) -> dict[str, Any]:
    """TRL's trainer on the same weights, tokens of the prompts, tasks and rewards."""
    from transformers import TrainerCallback
    from trl import GRPOTrainer

    from datasets import Dataset
    from rftlab.models import device_of_choice, dtype_of, load_base, with_adapter
    from rftlab.prompts import Prompts, model_source
    from rftlab.verifiers.pool import build_pool

    cfg = composed(spec, folder)
    torch.set_num_threads(cfg.threads)
    if spec["engine"] == "vllm" and not torch.cuda.is_available():
        plain_products()
    tasks = build_dataset(cfg).train.tasks
    prompts = Prompts.of(cfg.model)
    order = [index for step in spec["tasks"] for index in step]
    chats = [[dict(m) for m in tasks[i].prompt] for i in order]
    column = ["\n".join(m["content"] for m in chat) + "\n" for chat in chats] if prompts.plain else chats
    marks: list[Mark] = []
    steps: list[dict[str, Any]] = []

    class Marks(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            marks.append(now())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            marks.append(now())

    class Timed(GRPOTrainer):
        def _generate(self, prompt_column: list[Any]) -> Any:
            start = time.perf_counter()
            out = super()._generate(prompt_column)
            steps.append({"generate": time.perf_counter() - start, "tokens": sum(len(ids) for ids in out[1])})
            wanted = [prompts.ids(tasks[i]).tolist() for i in spec["tasks"][len(steps) - 1]]
            if out[0][:: cfg.budget.group_size] != wanted:
                raise RuntimeError("the arms do not see the same prompts")
            return out

        def _calculate_rewards(self, *args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            out = super()._calculate_rewards(*args, **kwargs)
            steps[-1]["verify"] = time.perf_counter() - start
            return out

    with build_pool(cfg.verifier) as pool:

        def reward(completions: list[Any], index: list[int], **_: Any) -> list[float]:
            texts = [c if isinstance(c, str) else c[0]["content"] for c in completions]
            scores = [
                verdict.score for verdict in pool.grade([(t, tasks[i]) for t, i in zip(texts, index, strict=True)])
            ]
            steps[-1]["passed"] = sum(scores) / len(scores)
            return scores

        base: Any = load_base(cfg.model, dtype_of(cfg.model.dtype, device_of_choice()), device_of_choice())
        base.config._name_or_path = base.name_or_path = model_source(cfg.model.path)  # where its vLLM reads the weights
        trainer = Timed(
            model=with_adapter(base, cfg.model, cfg.seed, None, train=True),
            reward_funcs=reward,
            args=trl_config(spec, cfg, folder),
            train_dataset=Dataset.from_dict({"prompt": column, "index": order}),
            processing_class=prompts.tokenizer,
            callbacks=[Marks()],
        )
        trainer.train()
    for i, step in enumerate(steps):
        step |= between(marks[i], marks[i + 1])
        step["update"] = step["wall"] - step["generate"] - step["verify"]
        step["trained"] = float(cfg.budget.prompts * cfg.budget.group_size)
    return {"steps": steps, **peak_memory()}


def main() -> None:
    arm, spec_file, out = sys.argv[1:]
    spec = json.loads(Path(spec_file).read_text())
    with tempfile.TemporaryDirectory() as folder:
        found = {"rftlab": rftlab_arm, "trl": trl_arm}[arm](spec, folder)
    found["device"] = torch.cuda.get_device_name(0) if torch.cuda.is_available() else "CPU"
    found["threads"] = torch.get_num_threads()
    Path(out).write_text(json.dumps(found))


if __name__ == "__main__":
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    main()
