"""Generation by vLLM, in this process or by servers.

The adapter is never merged into vLLM's weights. Every hand-over writes it to a new folder and loads it under a new name
and number: vLLM serves what it has cached for a number it knows, whatever the folder holds by then. So a swap costs the
size of the adapter, the base stays exact, and the prefix cache, which is keyed by the name, cannot mix versions.

Randomness is keyed, as in every engine here, but by request: rollout k of a task has the seed ``key(stream, task) + k``
and vLLM draws its tokens from a generator of that seed. A rollout does not depend on what else is asked, on the number
of its siblings or on their order; the logits do in their last bits, as vLLM's kernels depend on the batch.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from rftlab.core import Completion, Finish, Float, InputError
from rftlab.engines.base import Job, Learner, Sampling
from rftlab.engines.hf import stop_ids
from rftlab.engines.keyed import row_key
from rftlab.policy import Policy

MEMORY = Path("/dev/shm")
"""Where Linux keeps files in memory."""
ROOM = 4
"""Adapters that must fit there before it is used: containers often have 64 MiB of it."""


@dataclass(frozen=True)
class Ask:
    """n rollouts of one prompt; rollout i is drawn with ``seed + i``."""

    prompt: list[int]
    n: int
    seed: int


@dataclass(frozen=True)
class Sampled:
    """One rollout as vLLM gives it."""

    tokens: np.ndarray
    """int32 [T], the stop token included."""
    logps: np.ndarray
    """float32 [T], at the sampling temperature, after top-p and top-k."""
    stopped: bool
    """False = cut at ``max_new_tokens``."""
    engine: int = 0
    """Position of the server that sampled it."""


class Backend(Protocol):
    """A vLLM, here or elsewhere, that holds one adapter."""

    def load(self, name: str, number: int, folder: Path) -> None:
        """Serves the adapter in ``folder`` from now on, under a name and a number >= 1 that it has never seen, and
        forgets the one before."""
        ...

    def complete(self, asks: Sequence[Ask], sampling: Sampling) -> list[list[Sampled]]: ...

    def close(self) -> None: ...


class VLLMEngine:
    """Samples from a policy with vLLM.

    Args:
        policy: the policy whose adapter is followed.
        mode: ``colocated``: vLLM's offline engine in this process; ``server``: running ``vllm serve`` processes.
        poll: called again and again during generation; may raise to stop it.
        max_num_seqs: sequences decoded at once.
        gpu_memory_utilization: share of the GPU's memory for vLLM, its weights included; None = planned.
        kv_cache_gib: memory of the KV cache; None = what ``gpu_memory_utilization`` leaves, on a CPU 1 GiB.
        sleep_level: what leaves the GPU when a generation ends: 0 = nothing, 1 = the KV cache, and the weights wait in
            main memory, 2 = both are dropped and the weights read again from disk.
        tensor_parallel: GPUs that share the model.
        enforce_eager: no CUDA graphs: a faster start and less memory, slower decoding.
        urls: of the servers.
        adapter_dir: a folder that this process and the servers see; None = a private temporary one.
        deadline: seconds that a server may refuse, or count no token of its work, before the run ends.

    Raises:
        InputError: vLLM is missing, does not start, cannot serve such an adapter, or no server answers.
    """

    LEARNS = False
    separate = True

    def __init__(
        self,
        policy: Policy,
        *,
        mode: str,
        max_num_seqs: int,
        gpu_memory_utilization: float | None,
        kv_cache_gib: float | None,
        sleep_level: int,
        tensor_parallel: int,
        enforce_eager: bool,
        urls: Sequence[str],
        adapter_dir: str | None,
        deadline: float,
        poll: Callable[[], None] = lambda: None,
    ) -> None:
        check_servable(policy)
        self.policy, self.version, self.swaps = policy, -1, 0
        stops = [int(i) for i in stop_ids(policy.model, policy.prompts.tokenizer)]
        self.backend: Backend
        if mode == "colocated":
            from rftlab.engines.vllm_local import Local

            self.backend = Local(
                policy,
                stops,
                poll,
                max_num_seqs=max_num_seqs,
                gpu_memory_utilization=gpu_memory_utilization,
                kv_cache_gib=kv_cache_gib,
                sleep_level=sleep_level,
                tensor_parallel=tensor_parallel,
                enforce_eager=enforce_eager,
            )
            home = _memory(policy)
        elif mode == "server":
            from rftlab.engines.vllm_server import Servers

            self.backend = Servers(policy, stops, poll, urls=urls, deadline=deadline)
            home = adapter_dir
        else:
            raise InputError(f"engine.mode={mode}, wanted colocated or server")
        self._folder = _private_folder(home)
        self._name = Path(self._folder.name).name

    def sync(self, learner: Learner) -> None:
        """Hands the adapter over under a new name; ``version`` moves once vLLM has it."""
        self.swaps += 1
        folder = Path(self._folder.name)
        new = folder / str(self.swaps)
        learner.save_weights(new)
        self.backend.load(f"{self._name}-{self.swaps}", self.swaps, new)
        shutil.rmtree(folder / str(self.swaps - 1), ignore_errors=True)  # the first has no predecessor
        self.version = learner.version

    def truth(self) -> Float | None:
        return None

    def generate(self, jobs: Sequence[Job], sampling: Sampling, stream: tuple[Any, ...]) -> list[list[Completion]]:
        """Completions of every job, in order; see ``Engine.generate``. Greedy rollouts of a task are computed once."""
        greedy = sampling.temperature == 0
        asks = [
            Ask(self.policy.prompts.ids(job.task).tolist(), 1 if greedy else job.n, seed(stream, job)) for job in jobs
        ]
        done = self.backend.complete(asks, sampling)
        return [[self._completion(s) for s in (d * job.n if greedy else d)] for job, d in zip(jobs, done, strict=True)]

    def _completion(self, sampled: Sampled) -> Completion:
        return Completion(
            text=self.policy.prompts.text(sampled.tokens),
            tokens=sampled.tokens,
            logps=sampled.logps,
            finish=Finish.STOP if sampled.stopped else Finish.LENGTH,
            version=self.version,
            engine=sampled.engine,
        )

    def close(self) -> None:
        self.backend.close()
        self._folder.cleanup()


def seed(stream: tuple[Any, ...], job: Job) -> int:
    """Of a job's first rollout: the task's key in [0, 2^62) plus the ordinal, as vLLM counts on from there."""
    return (row_key(stream, job.task.id, 0) >> 2) + job.first


def check_servable(policy: Policy) -> None:
    """Raises ``InputError`` for an adapter, one from ``init_from`` too, that vLLM does not serve as it is trained."""
    lora = policy.model.peft_config["default"]
    if getattr(lora, "use_dora", False):
        raise InputError("vLLM serves no DoRA adapters: give model.lora.dora=false, or engine=hf")
    if lora.bias != "none" or lora.modules_to_save:
        raise InputError(
            f"vLLM serves no adapters with bias={lora.bias} or modules_to_save={lora.modules_to_save}: give engine=hf"
        )


def _memory(policy: Policy) -> str | None:
    """A folder in memory when there is room for adapters, else None."""
    size = sum(p.numel() * p.element_size() for name, p in policy.model.named_parameters() if "lora_" in name)
    roomy = MEMORY.is_dir() and shutil.disk_usage(MEMORY).free > ROOM * size
    return str(MEMORY) if roomy else None


def _private_folder(home: str | None) -> tempfile.TemporaryDirectory[str]:
    """Removed by ``cleanup`` or at the latest when the process ends."""
    try:
        if home is not None:
            Path(home).mkdir(parents=True, exist_ok=True)
        made = tempfile.TemporaryDirectory(prefix="rftlab-", dir=home and str(Path(home).resolve()))
        if home != str(MEMORY):
            Path(made.name).chmod(0o755)  # a server may run as another user
        return made
    except OSError as error:
        raise InputError(f"engine.adapter_dir={home} cannot be written ({error.strerror}); give another DIR") from error
