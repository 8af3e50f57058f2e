"""The sampler that CONTRIBUTING.md points to works from outside of the repository, as its page says."""

import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "examples" / "my_sampler"


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The example, somewhere else."""
    shutil.copytree(EXAMPLE, tmp_path / "mine", ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.chdir(tmp_path / "mine")
    monkeypatch.syspath_prepend(tmp_path / "mine")
    return tmp_path / "mine"


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", (EXAMPLE / "README.md").read_text(), re.MULTILINE | re.DOTALL)


def test_the_example_keeps_the_contract(copy: Path) -> None:
    (code,) = blocks("python")
    exec(code, {})


def test_the_commands_of_the_example_work(copy: Path) -> None:
    (shown,) = blocks("")
    commands = [shlex.split(line, comments=True) for line in shown.splitlines()]
    assert [command[:2] for command in commands] == [["rftlab", "samplers"], ["rftlab", "train"], ["rftlab", "train"]]
    outputs = []
    for command in commands:
        installed = Path(sys.executable).with_name("rftlab")  # finds what lies beside the command, as `python -m` does
        start = [installed] if installed.is_file() else [sys.executable, "-m", "rftlab"]
        small = ["engine=sim", "tracking=none", "budget=smoke", "eval.limit=8"] if command[1] == "train" else []
        done = subprocess.run([*start, *command[1:], *small], cwd=copy, capture_output=True, text=True, timeout=240)
        assert done.returncode == 0, done.stderr
        outputs.append(done.stdout)
    assert "learnable.Learnable" in outputs[0] and "eta: 0.5" in outputs[0]
    assert all((copy / output.strip().splitlines()[-1] / "metrics.jsonl").is_file() for output in outputs[1:])


def test_contributing_points_to_the_example() -> None:
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    for link in re.findall(r"\]\((examples/[^)]*)\)", page):
        assert (ROOT / link).exists()
    assert "examples/my_sampler" in page
