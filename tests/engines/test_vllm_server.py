"""How a server is spoken to that is slow, busy, gone, or whose answers get lost. No vLLM is needed: the faults are."""

import json
import signal
import subprocess
import sys
import textwrap
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import SimpleNamespace

import pytest

from rftlab.core import InputError
from rftlab.engines.base import Sampling
from rftlab.engines.vllm import Ask
from rftlab.engines.vllm_server import Servers

CHOICE = {"index": 0, "finish_reason": "stop", "token_ids": [5], "logprobs": {"token_logprobs": [-0.5]}}
METRICS = """# TYPE vllm:generation_tokens_total counter
vllm:prompt_tokens_total{{engine="0",model_name="m"}} 40.0
vllm:prompt_tokens_created{{engine="0",model_name="m"}} {made}.5
vllm:generation_tokens_total{{engine="0",model_name="m"}} {made}.0
vllm:generation_tokens_created{{engine="0",model_name="m"}} 1.7e+09
"""
"""As vLLM's; what ends in _created is a time."""


class Server(ThreadingHTTPServer):
    """Answers completions after ``seconds`` and counts tokens meanwhile, unless its engine ``hangs``; its counts come
    with the status ``metrics``, None = not at all."""

    daemon_threads = True

    def __init__(self, seconds=0.0, metrics=200, hangs=False):
        self.seconds, self.metrics, self.hangs, self.ended = seconds, metrics, hangs, threading.Event()
        self.loaded, self.lost, self.asked = [], 0, 0
        super().__init__(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server_port}"

    def __enter__(self):
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.ended.set()
        self.shutdown()
        self.server_close()


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path != "/metrics":
            self._answer(200, {})
        elif self.server.metrics is None:
            self.server.ended.wait()
        elif self.server.metrics == 200:
            made = 7 if self.server.hangs else int(1000 * time.monotonic())
            self._answer(200, METRICS.format(made=made))
        else:
            self._answer(self.server.metrics, {})

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/v1/load_lora_adapter":
            self._load(body["lora_name"])
            return
        self.server.asked += 1
        self.server.ended.wait(self.server.seconds)
        self._answer(200, {"choices": [CHOICE]})

    def _load(self, name):
        """As vLLM: a name is loaded once. The answer may get lost on the way, as at a proxy, or never come: None."""
        if name in self.server.loaded:
            self._answer(400, {"error": {"message": f"The lora adapter '{name}' has already been loaded."}})
            return
        self.server.loaded.append(name)
        if self.server.lost is None:
            self.server.ended.wait()
        self._answer(504 if self.server.lost else 200, {})

    def _answer(self, status, content):
        said = (content if isinstance(content, str) else json.dumps(content)).encode()
        try:
            self.send_response(status)
            self.send_header("Content-Length", str(len(said)))
            self.end_headers()
            self.wfile.write(said)
        except OSError:
            pass  # nobody waits any more

    def log_message(self, *_):
        pass


def servers(server, deadline, poll=lambda: None):
    made = Servers(SimpleNamespace(), [2], poll, urls=[server.url], deadline=deadline)
    made._adapter = "before"
    return made


def asks(n):
    return [Ask([1, 2], 1, i) for i in range(n)]


def test_a_server_that_is_busy_for_longer_than_the_deadline_is_waited_for():
    with Server(seconds=1.5) as server:
        engine = servers(server, deadline=0.3)
        assert [len(group) for group in engine.complete(asks(2), Sampling(8))] == [1, 1]
        assert server.asked == 2  # nothing is asked twice, so nothing is generated twice
        engine.close()


@pytest.mark.parametrize(
    ("options", "found"),
    [
        ({"hangs": True}, r"its engine hangs: /metrics has counted no token meanwhile\); start it again, .*goes on"),
        ({"metrics": None}, "nor did /metrics: "),
        ({"metrics": 404}, "/metrics, status 404, counts no tokens, .*without --disable-log-stats, or give more"),
    ],
)
def test_a_server_whose_work_stands_still_ends_the_run(options, found, monkeypatch):
    if options.get("metrics", 200) is None:  # what does answer has its time
        monkeypatch.setattr("rftlab.engines.vllm_server.CONNECT", 0.5)
    with Server(seconds=600, **options) as server:
        engine = servers(server, deadline=0.5)
        with pytest.raises(InputError, match=rf"gave no answer in engine\.deadline=0\.5 seconds \(.*{found}"):
            engine.complete(asks(1), Sampling(8))
        engine.close()


def test_an_adapter_that_an_engine_never_loads_ends_the_run(tmp_path):
    with Server(hangs=True) as server:
        server.lost = None
        engine = servers(server, deadline=0.5)
        with pytest.raises(InputError, match="its engine hangs"):
            engine.load("new", 2, tmp_path)
        engine.close()


def test_an_adapter_whose_loading_was_answered_into_nothing_is_loaded(tmp_path):
    with Server() as server:
        server.lost = 1
        engine = servers(server, deadline=60.0)
        engine.load("new", 2, tmp_path)
        assert server.loaded == ["new"] and engine._adapter == "new"
        engine.close()


def test_to_close_takes_two_seconds_at_most():
    with Server(seconds=600) as server:
        engine = servers(server, deadline=60.0)
        start = time.monotonic()
        engine.close()
        assert time.monotonic() - start < 30


def test_a_process_that_is_stopped_ends_although_answers_are_outstanding():
    script = """
        import sys
        from types import SimpleNamespace
        from rftlab.engines.base import Sampling
        from rftlab.engines.vllm import Ask
        from rftlab.engines.vllm_server import Servers
        from rftlab.signals import Stopped, Stopper

        with Stopper() as stopper:
            engine = Servers(SimpleNamespace(), [2], stopper.poll, urls=[sys.argv[1]], deadline=600.0)
            engine._adapter = "one"
            try:
                engine.complete([Ask([1, 2], 1, i) for i in range(100)], Sampling(8))
            except Stopped as stopped:
                engine.close()
                sys.exit(stopped.code)
    """
    with Server(seconds=600) as server:
        process = subprocess.Popen([sys.executable, "-c", textwrap.dedent(script), server.url])
        try:
            deadline = time.monotonic() + 120
            while server.asked < 64 and process.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            assert process.wait(120) == 130
        finally:
            process.kill()
