"""One thread, no network, no W&B server: set before anything imports torch. No test fails because a machine is busy."""

import os
import sys
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

sys.path.insert(0, str(Path(__file__).parent))

os.environ |= {
    "OMP_NUM_THREADS": "1",
    "OMP_WAIT_POLICY": "PASSIVE",
    "HF_HUB_OFFLINE": "1",
    "WANDB_MODE": "offline",
    "TOKENIZERS_PARALLELISM": "false",
}
# Hypothesis measures examples by the clock: 200 ms would be exceeded whenever something else has the processor.
# The examples are the same in every run: a change is to blame for what fails, not the draw.
settings.register_profile("rftlab", deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("rftlab")


@pytest.fixture(scope="session")
def data() -> Path:
    """The data sets' own files, one folder each. They are no part of the repository: without them a test is skipped."""
    folder = Path(os.environ.get("RFTLAB_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("needs the data sets' own files: RFTLAB_DATA=FOLDER, one folder for each")
    return folder
