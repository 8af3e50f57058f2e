"""Real vLLM on the bundled model. Without vLLM every test here is skipped."""

import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from importlib import metadata

import pytest

from ports import free_port
from rftlab.engines.vllm_install import PACKAGES
from rftlab.prompts import model_source

START = 300
"""Seconds that a server may take to start."""


def there() -> bool:
    return any(dist.metadata["Name"] in PACKAGES for dist in metadata.distributions())


@pytest.fixture(autouse=True, scope="session")
def needs_vllm():
    if not there():
        pytest.skip("needs vLLM: make test-vllm")


@pytest.fixture(scope="session")
def server(needs_vllm, tmp_path_factory):
    """The address of a real server of the bundled model; one for all tests."""
    port = free_port()
    log = tmp_path_factory.mktemp("server") / "log"
    env = os.environ | {
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True",
        "VLLM_NO_USAGE_STATS": "1",
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
        "VLLM_CPU_KVCACHE_SPACE": "1",
    }
    command = [sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--model", model_source("bundled:tiny")]
    command += ["--host", "127.0.0.1", "--port", str(port), "--dtype", "float32", "--max-model-len", "512"]
    command += ["--enable-lora", "--max-lora-rank", "32", "--logprobs-mode", "processed_logprobs", "--enforce-eager"]
    command += ["--no-enable-chunked-prefill"]  # cannot go with seeds on a CPU
    with log.open("w") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=env)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + START
    while not _healthy(url):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            pytest.fail(f"the server did not start:\n{log.read_text()[-3000:]}")
        time.sleep(0.5)
    yield url
    process.terminate()
    try:
        process.wait(30)
    except subprocess.TimeoutExpired:
        process.kill()


def _healthy(url: str) -> bool:
    try:
        return urllib.request.urlopen(f"{url}/health", timeout=2).status == 200
    except (urllib.error.URLError, OSError):
        return False
