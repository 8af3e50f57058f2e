"""vLLM's offline engine in this process, stepped by hand so that a long generation can be stopped."""

from __future__ import annotations

import contextlib
import gc
import itertools
import os
import random
import typing
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rftlab.core import InputError
from rftlab.engines.base import Sampling
from rftlab.engines.vllm import Ask, Sampled
from rftlab.engines.vllm_install import check_install
from rftlab.first_line import first_line
from rftlab.models import stored_config
from rftlab.policy import Policy
from rftlab.prompts import model_source

ENVIRONMENT = {
    "VLLM_ENABLE_V1_MULTIPROCESSING": "0",  # the scheduler in this process: no spinning helpers, errors arrive whole
    "VLLM_NO_USAGE_STATS": "1",
    "VLLM_LOGGING_LEVEL": "ERROR",
    "VLLM_CPU_OMP_THREADS_BIND": "nobind",  # cores are shared with the update and with other runs
}
"""Set for vLLM unless the user has set them."""
CPU_KV_GIB = 1.0
CPU_BATCH = 2048
"""Tokens of one forward on a CPU."""
SHARE = {False: 0.5, True: 0.85}
"""Of the free GPU memory, what vLLM may take when nothing else is said; more when it sleeps during the update."""


class Local:
    """``Backend`` in this process; the arguments are those of ``VLLMEngine``."""

    def __init__(
        self,
        policy: Policy,
        stops: list[int],
        poll: Callable[[], None],
        *,
        max_num_seqs: int,
        gpu_memory_utilization: float | None,
        kv_cache_gib: float | None,
        sleep_level: int,
        tensor_parallel: int,
        enforce_eager: bool,
    ) -> None:
        check_install()
        os.environ |= {name: os.environ.get(name, value) for name, value in ENVIRONMENT.items()}
        self.stops, self.poll = stops, poll
        cuda = policy.device.type == "cuda"
        self.sleep_level = sleep_level if cuda else 0
        self._asleep, self._adapter, self._count = False, None, itertools.count()
        options: dict[str, Any] = {
            "model": model_source(policy.cfg.path),
            "revision": policy.cfg.revision,
            "tokenizer_revision": policy.cfg.revision,
            "generation_config": "vllm",  # the model's own defaults (top-k, penalties) would change what is sampled
            "dtype": policy.precision,
            "max_model_len": policy.cfg.context or stored_config(policy.cfg).max_position_embeddings,
            "max_num_seqs": max_num_seqs,
            "enable_lora": True,
            "max_loras": 1,
            "logprobs_mode": "processed_logprobs",  # at the sampling temperature
            "enable_prefix_caching": True,
            "tensor_parallel_size": tensor_parallel,
            "enforce_eager": enforce_eager,
            "enable_sleep_mode": self.sleep_level > 0,
            "disable_log_stats": True,
            "use_tqdm_on_load": False,
        }
        if cuda:
            share = _planned(self.sleep_level > 0) if gpu_memory_utilization is None else gpu_memory_utilization
            options["gpu_memory_utilization"] = share
        if not cuda:  # a prompt cut in two ends in a step back of its generator, which those of a CPU cannot take
            options["enable_chunked_prefill"] = False
            options["max_num_batched_tokens"] = max(CPU_BATCH, options["max_model_len"])
            kv_cache_gib = CPU_KV_GIB if kv_cache_gib is None else kv_cache_gib
        if kv_cache_gib is not None:
            options["kv_cache_memory_bytes"] = int(kv_cache_gib * 2**30)
        if torch.distributed.is_initialized() and torch.distributed.get_world_size() > 1:
            options["distributed_executor_backend"] = "external_launcher"  # a rank's engine is on the rank's device
            _keep_distributed()
        self.llm = _started(options, policy)
        self.engine = self.llm.llm_engine

    def load(self, name: str, number: int, folder: Path) -> None:
        from vllm.lora.request import LoRARequest

        self._wake()
        old, self._adapter = self._adapter, LoRARequest(name, number, str(folder))
        if old is not None:
            self.engine.remove_lora(old.lora_int_id)
        self._give()
        self.engine.reset_prefix_cache()

    def _give(self) -> None:
        """The present adapter to vLLM's workers."""
        if not self.engine.add_lora(self._adapter):
            raise RuntimeError(f"vLLM did not load the adapter {self._adapter.lora_path}")

    def complete(self, asks: Sequence[Ask], sampling: Sampling) -> list[list[Sampled]]:
        self._wake()
        with _undisturbed():
            done = self._stepped(asks, sampling)
        self._sleep()
        return [[_sampled(one) for one in out.outputs] for out in done]

    def _stepped(self, asks: Sequence[Ask], sampling: Sampling) -> list[Any]:
        """vLLM's answers, in order; nothing stays behind when ``poll`` raises."""
        names = {str(next(self._count)): i for i in range(len(asks))}
        done: dict[int, Any] = {}
        try:
            for name, ask in zip(names, asks, strict=True):
                self.engine.add_request(
                    name, {"prompt_token_ids": ask.prompt}, self._params(ask, sampling), lora_request=self._adapter
                )
            while self.engine.has_unfinished_requests():
                self.poll()
                done |= {names[out.request_id]: out for out in self.engine.step() if out.finished}
        except BaseException:
            self.engine.abort_request([name for name, i in names.items() if i not in done])
            raise
        return [done[i] for i in range(len(asks))]

    def _params(self, ask: Ask, sampling: Sampling) -> Any:
        from vllm import SamplingParams
        from vllm.sampling_params import RequestOutputKind

        return SamplingParams(
            n=ask.n,
            seed=ask.seed,
            temperature=sampling.temperature,
            top_p=sampling.top_p,
            top_k=sampling.top_k,
            max_tokens=sampling.max_new_tokens,
            stop_token_ids=self.stops,
            logprobs=0,  # of the sampled token alone
            flat_logprobs=True,
            detokenize=False,
            output_kind=RequestOutputKind.FINAL_ONLY,
        )

    def _sleep(self) -> None:
        if self.sleep_level:
            self.llm.sleep(level=self.sleep_level)
            self._asleep = True

    def _wake(self) -> None:
        """Weights and adapter back on the GPU, an empty KV cache."""
        if not self._asleep:
            return
        torch.cuda.empty_cache()  # what the update has cached, vLLM needs now
        if self.sleep_level == 2:
            self.llm.wake_up(tags=["weights"])
            self.llm.collective_rpc("reload_weights")
            self.llm.wake_up(tags=["kv_cache"])
            self.engine.remove_lora(self._adapter.lora_int_id)
            self._give()
        else:
            self.llm.wake_up()
        self._asleep = False

    def close(self) -> None:
        self.engine.engine_core.shutdown()
        del self.llm, self.engine
        gc.collect()


def _sampled(out: Any) -> Sampled:
    if out.finish_reason not in ("stop", "length"):
        raise RuntimeError(f"vLLM ended a rollout with {out.finish_reason!r}")
    logps = np.asarray(out.logprobs.logprobs, np.float32)
    return Sampled(np.asarray(out.token_ids, np.int32), logps, out.finish_reason == "stop")


def _started(options: dict[str, Any], policy: Policy) -> Any:
    """The offline engine; random numbers, threads and warnings of this process are as before."""
    with _undisturbed():
        try:
            warnings.simplefilter("ignore", FutureWarning)  # of vLLM about torch
            from vllm import LLM
            from vllm.config.lora import MaxLoRARanks

            return LLM(max_lora_rank=fitting_rank(policy, typing.get_args(MaxLoRARanks)), **options)
        except InputError:
            raise
        except Exception as error:
            raise InputError(_not_started(error, options)) from error


def fitting_rank(policy: Policy, ranks: Sequence[int]) -> int:
    """The smallest of vLLM's adapter ``ranks`` that holds the policy's."""
    lora = policy.model.peft_config["default"]
    wanted = max([lora.r, *lora.rank_pattern.values()])
    if wanted > max(ranks):
        raise InputError(
            f"model.lora.r={wanted}: vLLM serves adapters up to rank {max(ranks)}; "
            f"give model.lora.r={max(ranks)}, or engine=hf"
        )
    return min(r for r in ranks if r >= wanted)


def _not_started(error: Exception, options: dict[str, Any]) -> str:
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    details = getattr(error, "errors", None)  # pydantic says in its first line only how many there are
    reason = details()[0]["msg"] if callable(details) else f"{type(error).__name__}: {first_line(error)}"
    knobs = ""
    if (share := options.get("gpu_memory_utilization")) is not None:
        knobs += f"engine.gpu_memory_utilization={share:.2f}, "
    if (cache := options.get("kv_cache_memory_bytes")) is not None:
        knobs += f"engine.kv_cache_gib={cache / 2**30:.3g}, "
    return (
        f"engine=vllm did not start ({reason}); knobs: {knobs}engine.max_num_seqs={options['max_num_seqs']}, "
        f"model.context={options['max_model_len']}, engine.enforce_eager=true; engine=hf needs no vLLM"
    )


@contextlib.contextmanager
def _undisturbed() -> Iterator[None]:
    """vLLM seeds the process's generators, and its CPU backend replaces ``torch.set_num_threads`` by a warning."""
    threads, count = torch.set_num_threads, torch.get_num_threads()
    python, numbers = random.getstate(), np.random.get_state()
    devices = [torch.cuda.current_device()] if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices), warnings.catch_warnings():
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(numbers)
            torch.set_num_threads = threads
            torch.set_num_threads(count)


def _keep_distributed() -> None:
    """A vLLM that shuts down ends torch.distributed, with which the ranks go on."""
    from vllm.v1.engine import core

    core.cleanup_dist_env_and_memory = lambda: None


def _planned(sleeps: bool) -> float:
    """Share of the GPU's memory for vLLM, from what the policy has left free."""
    free, total = torch.cuda.mem_get_info()
    return SHARE[sleeps] * free / total
