"""vLLM as servers: one or several ``vllm serve`` processes, on this machine or others, spoken to over HTTP.

How a server uses several GPUs is its own affair (``--tensor-parallel-size``, ``--data-parallel-size``); here it is an
address. Adapters travel through a folder that all of them see, rollouts come back as token ids.
"""

from __future__ import annotations

import json
import queue
import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

import numpy as np
import torch
import urllib3

from rftlab.canary import MAX_LOGP_GAP
from rftlab.core import InputError, Task
from rftlab.engines.base import Sampling
from rftlab.engines.vllm import Ask, Sampled
from rftlab.engines.vllm_progress import Progress
from rftlab.first_line import first_line
from rftlab.policy import Policy
from rftlab.prompts import model_source

AT_ONCE = 64
"""Requests to one server at a time; more wait here instead of there."""
UNREACHABLE = 0
RETRIED = (UNREACHABLE, 408, 429, 502, 503, 504)
CONNECT = 10.0
"""Seconds to wait for a connection, and for the count of tokens."""
FAREWELL = 2.0
"""Seconds that the servers have, all together, to forget the adapter at the end."""
KEEPALIVE = [(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)]
"""A connection whose other end is gone without a word is found out, although answers are waited for without limit."""
if hasattr(socket, "TCP_KEEPIDLE"):
    KEEPALIVE += [(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)]
PROBE = Task("probe", 0, ({"role": "user", "content": "What is 3 + 4? Then count from 1 to 9."},), "7")
PROBE_TOKENS = 16


class ServerError(InputError):
    """A server cannot be used: not there, started otherwise, or with another model."""


class Servers:
    """``Backend`` of running servers.

    Args:
        policy: whose adapter is served.
        stops: ids of the stop tokens.
        urls: of the servers, e.g. ``http://localhost:8000``.
        deadline: seconds that a server may refuse or fail before the run ends. One that is busy with a request is
            waited for while its count of tokens (``/metrics``) moves, and may stand still for as long.
    """

    def __init__(
        self, policy: Policy, stops: list[int], poll: Callable[[], None], *, urls: Sequence[str], deadline: float
    ) -> None:
        if not urls:
            raise InputError("engine.mode=server needs the servers' addresses: engine.urls=[http://localhost:8000]")
        self.policy, self.stops, self.poll, self.deadline = policy, stops, poll, deadline
        self.urls = [url.rstrip("/").removesuffix("/v1") for url in urls]
        self._adapter: str | None = None
        self._closing = threading.Event()
        options = [*urllib3.connection.HTTPConnection.default_socket_options, *KEEPALIVE]
        self._http = urllib3.PoolManager(maxsize=AT_ONCE, retries=False, socket_options=options)
        for url in self.urls:
            self._reachable(url)
        self._work: queue.SimpleQueue[tuple[Future[Any], Callable[..., Any], tuple[Any, ...]]] = queue.SimpleQueue()
        for _ in range(AT_ONCE * len(self.urls)):  # no executor: its threads would hold up the end of the process
            threading.Thread(target=self._worker, daemon=True).start()

    def load(self, name: str, number: int, folder: Path) -> None:
        """Loads the adapter everywhere, then forgets the one before. The first one is probed."""
        for url in self.urls:
            body = {"lora_name": name, "lora_path": str(folder)}
            status, said = self._attended(self._post, url, "/v1/load_lora_adapter", body)
            lost = b"already been loaded" in said  # the answer to an attempt before: nobody else uses this name
            if status != 200 and not lost:
                raise ServerError(self._not_loaded(url, status, said))
        old, self._adapter = self._adapter, name
        for url in self.urls:
            if old is None:
                self._probe(url)
            else:
                self._attended(self._post, url, "/v1/unload_lora_adapter", {"lora_name": old})

    def complete(self, asks: Sequence[Ask], sampling: Sampling) -> list[list[Sampled]]:
        load = dict.fromkeys(self.urls, 0)
        futures: dict[Future[list[Sampled]], str] = {}
        for ask in asks:
            url = min(load, key=load.__getitem__)  # rollouts are shared out evenly
            load[url] += ask.n
            futures[self._submit(self._completions, url, ask, sampling)] = url
        self._wait(futures, self.poll)
        return [future.result() for future in futures]

    def _submit(self, call: Callable[..., Any], *args: Any) -> Future[Any]:
        future: Future[Any] = Future()
        self._work.put((future, call, args))
        return future

    def _worker(self) -> None:
        while not self._closing.is_set():
            future, call, args = self._work.get()
            if future.set_running_or_notify_cancel():
                try:
                    future.set_result(call(*args))
                except BaseException as error:
                    future.set_exception(error)

    def _attended(self, call: Callable[..., Any], url: str, *args: Any) -> Any:
        """What ``call(url, …)`` returns. A signal waits for it: weights and records move together."""
        future = self._submit(call, url, *args)
        self._wait({future: url}, lambda: None)
        return future.result()

    def _wait(self, futures: Mapping[Future[Any], str], poll: Callable[[], None]) -> None:
        """Until all are done; a poll that raises, a failure or an idle server cancels what has not begun."""
        left = set(futures)
        timeout = urllib3.Timeout(CONNECT)
        servers = {url: Progress(self._http, url, timeout, self.deadline) for url in {*futures.values()}}
        try:
            while left:
                done, left = wait(left, timeout=0.1)
                for future in done:
                    future.result()
                poll()
                for url in {futures[future] for future in left}:
                    if found := servers[url].stands_still():
                        raise self._silent(url, found)
        except BaseException:
            for future in left:
                future.cancel()
            raise

    def _completions(self, url: str, ask: Ask, sampling: Sampling) -> list[Sampled]:
        body = {
            "model": self._adapter,
            "prompt": ask.prompt,
            "n": ask.n,
            "seed": ask.seed,
            "temperature": sampling.temperature,
            "top_p": sampling.top_p,
            "top_k": sampling.top_k,
            "min_p": 0.0,
            # left out, the server takes these from the model's own generation settings
            "repetition_penalty": 1.0,
            "presence_penalty": 0.0,
            "frequency_penalty": 0.0,
            "max_tokens": sampling.max_new_tokens,
            "stop_token_ids": self.stops,
            "logprobs": 0,
            "return_token_ids": True,
        }
        status, said = self._post(url, "/v1/completions", body)
        if status != 200:
            raise ServerError(f"engine.urls: {url} answered {status} to a request for completions: {_message(said)}")
        choices = sorted(json.loads(said)["choices"], key=lambda choice: choice["index"])
        return [_sampled(choice, self.urls.index(url)) for choice in choices]

    def _post(self, url: str, path: str, body: dict[str, Any]) -> tuple[int, bytes]:
        """Status and content of the answer. Asking again does no harm: the seed is in the request."""
        pause, end = 0.1, float("inf")
        while True:
            status, said = self._once(url + path, body)
            if status not in RETRIED:
                return status, said
            end = min(end, time.monotonic() + self.deadline)  # from the first failure on
            if time.monotonic() + pause > end or self._closing.wait(pause):
                raise self._silent(url, f"status {status}: {_message(said)}")
            pause = min(2 * pause, 10.0)

    def _silent(self, url: str, found: str) -> ServerError:
        return ServerError(
            f"engine.urls: {url} gave no answer in engine.deadline={self.deadline:g} seconds ({found}); start it "
            "again, then the same command goes on from the last checkpoint"
        )

    def _once(self, address: str, body: dict[str, Any]) -> tuple[int, bytes]:
        timeout = urllib3.Timeout(connect=CONNECT, read=None)  # ``_wait`` looks after the server meanwhile
        try:
            reply = self._http.request("POST", address, json=body, timeout=timeout, redirect=False)
        except urllib3.exceptions.HTTPError as error:
            return UNREACHABLE, first_line(error).encode()
        return reply.status, reply.data

    def _reachable(self, url: str) -> None:
        """Raises ``ServerError`` unless a server listens."""
        try:
            reply = self._http.request("GET", url + "/v1/models", timeout=urllib3.Timeout(CONNECT), redirect=False)
        except (urllib3.exceptions.HTTPError, ValueError) as error:
            raise ServerError(
                f"engine.urls: no server answers at {url} ({first_line(error)}); {self._start()}"
            ) from error
        if reply.status != 200:
            raise ServerError(f"engine.urls: {url}/v1/models answered {reply.status}, wanted a vLLM; {self._start()}")

    def _start(self) -> str:
        """The command that starts a fitting server."""
        policy = self.policy
        lora = policy.model.peft_config["default"]
        return (
            f"start one by: VLLM_ALLOW_RUNTIME_LORA_UPDATING=True vllm serve {model_source(policy.cfg.path)} "
            f"--dtype {policy.precision} --enable-lora --max-lora-rank {max(8, lora.r)} "
            "--logprobs-mode processed_logprobs"
        )

    def _not_loaded(self, url: str, status: int, said: bytes) -> str:
        if b'"detail"' in said and status == 404:  # the address does not exist at all
            return f"engine.urls: {url} does not load adapters; {self._start()}"
        return (
            f"engine.urls: {url} could not load the adapter ({status}: {_message(said)}); give engine.adapter_dir=DIR, "
            "a folder that it sees too, and start it with a --max-lora-rank of at least model.lora.r"
        )

    def _probe(self, url: str) -> None:
        """Raises ``ServerError`` when log-probs of a fixed prompt are not the trainer's.

        A name says little: a server may hold other weights under the same one.
        """
        policy = self.policy
        temperature = policy.algo.temperature if policy.algo is not None else 1.0
        prompt = policy.prompts.ids(PROBE)
        ask, sampling = Ask(prompt.tolist(), 1, 0), Sampling(PROBE_TOKENS, temperature)
        (one,) = self._attended(self._completions, url, ask, sampling)
        ids = torch.from_numpy(np.concatenate([prompt, one.tokens]).astype(np.int64)).to(policy.device)
        with torch.no_grad():
            logits = policy.model(input_ids=ids[None]).logits[0, len(prompt) - 1 : -1].float() / temperature
        wanted = torch.log_softmax(logits, -1).gather(1, ids[len(prompt) :, None])[:, 0].cpu().numpy()
        gap = float(np.abs(wanted - one.logps).mean())
        bound = 10 * MAX_LOGP_GAP[policy.dtype] * max(1.0, 1.0 / temperature)  # few tokens; the canary is stricter
        if not gap <= bound:
            raise ServerError(
                f"engine.urls: {url} serves another model than model.path={policy.cfg.path}, or not in the same way: "
                f"over {len(one.tokens)} tokens after a fixed prompt its log-probs are {gap:.2g} nats from the "
                f"trainer's, wanted at most {bound:.2g}; {self._start()}"
            )

    def close(self) -> None:
        self._closing.set()
        for _ in range(AT_ONCE * len(self.urls)):
            self._submit(str)  # wakes a thread, which ends
        end = time.monotonic() + FAREWELL
        for url in self.urls if self._adapter else ():
            body, timeout = {"lora_name": self._adapter}, urllib3.Timeout(total=max(0.1, end - time.monotonic()))
            try:
                self._http.request("POST", f"{url}/v1/unload_lora_adapter", json=body, timeout=timeout)
            except urllib3.exceptions.HTTPError:
                continue  # a server that is gone has nothing to forget
        self._http.clear()


def _sampled(choice: dict[str, Any], engine: int) -> Sampled:
    if choice["finish_reason"] not in ("stop", "length"):
        raise RuntimeError(f"the server ended a rollout with {choice['finish_reason']!r}")
    logps = np.asarray(choice["logprobs"]["token_logprobs"], np.float32)
    return Sampled(np.asarray(choice["token_ids"], np.int32), logps, choice["finish_reason"] == "stop", engine)


def _message(said: bytes) -> str:
    """What an error answer says, in one line."""
    text = said.decode("utf-8", "replace")
    try:
        found = json.loads(text)
        text = str(found.get("error", found).get("message", found))
    except (ValueError, AttributeError):
        pass
    return " ".join(text.split())[:300]
