"""Without a network: what is cached loads, what is not is one line within seconds."""

import os
import shutil
import subprocess
import sys

import pytest

from ports import free_port
from rftlab.prompts import ASSETS

LOAD = (
    "import sys; from rftlab.cli import report; from rftlab.config import compose\n"
    "import torch; from rftlab.models import load_base; from rftlab.prompts import Prompts\n"
    "try:\n"
    "    model = compose(['model.path=someone/tiny']).model\n"
    "    print(Prompts.of(model).tokenizer('ab')['input_ids'])\n"
    "    print(load_base(model, torch.float32, torch.device('cpu')).num_parameters())\n"
    "except Exception as error: sys.exit(report(error))"
)


@pytest.fixture
def nowhere(tmp_path) -> dict[str, str]:
    """The environment of a process whose hub is a port at which nobody listens."""
    kept = {k: v for k, v in os.environ.items() if k not in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")}
    return kept | {"HF_HOME": str(tmp_path), "HF_ENDPOINT": f"http://127.0.0.1:{free_port()}", "NO_PROXY": "*"}


def loaded(environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", LOAD], env=environment, capture_output=True, text=True, timeout=300)


def test_a_model_that_is_not_cached_is_one_line_without_retries(nowhere):
    found = loaded(nowhere)
    assert found.returncode == 2, found.stderr
    lines = found.stderr.splitlines()
    assert len(lines) == 1 and lines[0].startswith("rftlab: model.path=someone/tiny: no tokenizer could be loaded")


def test_a_cached_model_loads(nowhere, tmp_path):
    repository = tmp_path / "hub" / "models--someone--tiny"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("1" * 40)
    shutil.copytree(ASSETS / "tiny", repository / "snapshots" / ("1" * 40))
    found = loaded(nowhere)
    assert found.returncode == 0 and not found.stderr, found.stderr
    assert len(found.stdout.splitlines()) == 2
