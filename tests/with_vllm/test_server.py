"""A real server: the same rollouts as in this process, and one line when it is not the right one."""

import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import psutil
import pytest
import urllib3

from rftlab import loop
from rftlab.config import check, compose
from rftlab.core import InputError
from rftlab.engines.base import Sampling
from rftlab.engines.hf import HFEngine
from rftlab.signals import Stopped
from rftlab.tracking import read_jsonl
from vllm_tools import LOGP, SAMPLING, STREAM, build, jobs, perturb, same, tokens, trainer_gap, update


def served(server, *overrides):
    return build("engine.mode=server", f"engine.urls=[{server}]", "engine.deadline=120", *overrides)


def models(server):
    answer = urllib3.request("GET", f"{server}/v1/models").json()
    return {model["id"] for model in answer["data"]}


def test_it_samples_what_the_colocated_engine_samples(server):
    policy, remote = served(server)
    _, local = build()
    perturb(policy)
    for engine in (remote, local):
        engine.sync(policy)
    greedy = Sampling(24, temperature=0.0)
    hf = HFEngine(policy, merged=True, max_rows=512)
    hf.sync(policy)
    asked = jobs(range(32))
    same(remote.generate(asked, greedy, STREAM), hf.generate(asked, greedy, STREAM))
    for sampling in (SAMPLING, Sampling(24, temperature=0.7), Sampling(5, top_p=0.9, top_k=3)):
        same(remote.generate(asked, sampling, STREAM), local.generate(asked, sampling, STREAM))
    done = remote.generate(asked, SAMPLING, STREAM)
    assert trainer_gap(policy, asked, done) < LOGP
    local.close()
    remote.close()


def test_it_follows_updates_and_leaves_one_adapter_then_none(server):
    before = models(server)
    policy, engine = served(server)
    engine.sync(policy)
    for step in range(3):
        assert update(policy, engine, step)["sync/logp_gap_max"] < LOGP
        engine.sync(policy)
        assert len(models(server) - before) == 1 and os.listdir(engine._folder.name) == [str(step + 2)]
    folder = engine._folder.name
    engine.close()
    assert models(server) == before and not os.path.exists(folder)


def test_rollouts_are_shared_out_evenly_over_servers(server, monkeypatch):
    """One server under two addresses, which has what it is given once."""
    policy, engine = served(server)
    engine.sync(policy)
    whole = tokens(engine.generate(jobs(range(10)), SAMPLING, STREAM))
    other = server.replace("127.0.0.1", "localhost")
    engine.backend.urls, asked, real = [server, other], [], engine.backend._completions
    monkeypatch.setattr(engine.backend, "_completions", lambda url, *rest: asked.append(url) or real(url, *rest))
    done = engine.generate(jobs(range(10)), SAMPLING, STREAM)
    assert tokens(done) == whole and sorted({c.engine for group in done for c in group}) == [0, 1]
    assert asked.count(server) == asked.count(other) == 5
    engine.backend.urls = [server]
    engine.close()


def test_another_base_model_is_found_by_its_log_probs(server):
    policy, engine = served(server, "model=tiny-strong")
    with pytest.raises(InputError, match=r"serves another model than model\.path=bundled:tiny-strong.*vllm serve"):
        engine.sync(policy)
    engine.close()


def test_no_server_is_one_line_at_once():
    with pytest.raises(InputError, match=r"engine\.urls: no server answers at http://127\.0\.0\.1:9 .*vllm serve"):
        served("http://127.0.0.1:9")
    with pytest.raises(InputError, match=r"engine\.urls=\[http://localhost:8000\]"):
        build("engine.mode=server")


def test_a_server_of_something_else_is_one_line():
    class Other(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_error(404)

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Other) as web:
        threading.Thread(target=web.serve_forever, daemon=True).start()
        with pytest.raises(InputError, match="/v1/models answered 404, wanted a vLLM"):
            served(f"http://127.0.0.1:{web.server_port}")
        web.shutdown()


def test_a_server_that_falls_silent_ends_the_run_after_the_deadline(server):
    policy, engine = served(server)
    engine.sync(policy)
    engine.backend.urls, engine.backend.deadline = ["http://127.0.0.1:9"], 1.0
    with pytest.raises(InputError, match=r"gave no answer in engine\.deadline=1 seconds.*same command goes on"):
        engine.generate(jobs(range(3)), SAMPLING, STREAM)
    engine.backend.urls = [server]
    engine.close()


def test_an_engine_that_hangs_while_health_answers_ends_the_run(server):
    policy, engine = served(server)
    engine.sync(policy)
    whole = tokens(engine.generate(jobs(range(3)), SAMPLING, STREAM))
    children = psutil.Process().children(recursive=True)
    (core,) = (child for child in children if "EngineCore" in " ".join(child.cmdline()))
    core.suspend()
    try:
        assert urllib3.request("GET", f"{server}/health", timeout=5.0).status == 200
        engine.backend.deadline = 2.0
        with pytest.raises(InputError, match=r"gave no answer in engine\.deadline=2 seconds \(its engine hangs"):
            engine.generate(jobs(range(3)), SAMPLING, STREAM)
    finally:
        core.resume()
    engine.backend.deadline = 120.0
    assert tokens(engine.generate(jobs(range(3)), SAMPLING, STREAM)) == whole
    engine.close()


def test_a_folder_that_it_does_not_see_is_one_line(server, tmp_path):
    policy, engine = served(server, f"engine.adapter_dir={tmp_path / 'adapters'}")
    engine.sync(policy)
    with pytest.raises(InputError, match=r"could not load the adapter.*engine\.adapter_dir=DIR"):
        engine.backend.load("nowhere", 99, tmp_path / "not-there")
    engine.close()


def test_a_long_generation_can_be_stopped(server):
    policy, engine = served(server)
    engine.sync(policy)
    whole = tokens(engine.generate(jobs(range(8)), SAMPLING, STREAM))

    def poll():
        raise Stopped(15)

    engine.backend.poll = poll
    with pytest.raises(Stopped):
        engine.generate(jobs(range(200)), SAMPLING, STREAM)
    engine.backend.poll = lambda: None
    assert tokens(engine.generate(jobs(range(8)), SAMPLING, STREAM)) == whole
    engine.close()


def test_a_run_with_it(server, tmp_path):
    options = ["engine=vllm", "engine.mode=server", f"engine.urls=[{server}]", "budget=smoke", "eval.limit=8"]
    options += ["eval.samples=1", "panel.tasks=0", "tracking=none", f"outputs_dir={tmp_path}"]
    cfg = compose(options)
    check(cfg)
    rows = read_jsonl(loop.train(cfg) / "metrics.jsonl")
    assert len(rows) == 7 and all(row.get("sync/logp_gap_max", 0.0) < LOGP for row in rows)
