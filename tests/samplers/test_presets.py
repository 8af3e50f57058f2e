"""Every preset and every crossing of the shipped parts keeps the contract; found by looking, so none is forgotten."""

import itertools
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig

from rftlab.core import TaskPool
from rftlab.samplers.build import build_sampler
from rftlab.samplers.composer import TaskSampler
from rftlab.testing import check_sampler

CONF = Path(__file__).resolve().parents[2] / "conf"


def options(group: str) -> list[str]:
    return sorted(file.stem for file in (CONF / group).glob("*.yaml"))


CROSSINGS = list(itertools.product(*(options(f"sampler/{part}") for part in ("selector", "allocator", "admission"))))


def composed(preset: str, *overrides: str) -> DictConfig:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        return compose("train", overrides=[f"sampler={preset}", *overrides]).sampler


def check(cfg: DictConfig, steps: int) -> None:
    def make(pool: TaskPool, group_size: int) -> TaskSampler:
        return build_sampler(cfg, pool, group_size, truth=True)

    check_sampler(make, steps=steps)


@pytest.mark.parametrize("preset", options("sampler"))
def test_every_preset_keeps_the_contract(preset: str) -> None:
    check(composed(preset), steps=8)


@pytest.mark.parametrize("parts", CROSSINGS, ids="-".join)
def test_every_crossing_keeps_the_contract(parts: tuple[str, str, str]) -> None:
    selector, allocator, admission = parts
    cfg = composed(
        "uniform",
        f"sampler/selector={selector}",
        f"sampler/allocator={allocator}",
        f"sampler/admission={admission}",
    )
    check(cfg, steps=4)


@pytest.mark.parametrize("admission", ["nonzero_var", "window"])
def test_carried_surplus_keeps_the_contract(admission: str) -> None:
    check(
        composed(
            "mopps",
            f"sampler/admission={admission}",
            "sampler.admission.carry=2",
            "sampler.admission.oversample=1.7",
            "sampler.selector.candidates=2",
        ),
        steps=8,
    )


@pytest.mark.parametrize(
    "knobs",
    [
        ["bots", "sampler.selector.mode=paper"],
        ["bots", "sampler.selector.thompson=false", "sampler.selector.adaptive_rho=true"],
        ["mopps", "sampler.selector.strategy=threshold", "sampler.selector.lam=0.5"],
        ["uniform", "sampler.selector.replacement=true", "sampler.allocator.n=3"],
        ["accuracy_filter", "sampler/selector=bots", "sampler.filter.reference=strong", "sampler.filter.hi=1.0"],
    ],
    ids=" ".join,
)
def test_every_mode_keeps_the_contract(knobs: list[str]) -> None:
    check(composed(*knobs), steps=4)


@pytest.mark.parametrize("preset", options("sampler"))
def test_a_preset_is_named_as_its_file_and_opens_with_a_sentence(preset: str) -> None:
    assert composed(preset).name == preset
    first = (CONF / "sampler" / f"{preset}.yaml").read_text().splitlines()[0]
    assert first.startswith("# ") and first.endswith(".")


def test_the_command_line_crosses_a_preset_with_other_parts() -> None:
    cfg = composed("bots", "sampler/admission=nonzero_var", "sampler.selector.lam=0.2", "sampler.admission.carry=1")
    assert cfg.name == "bots" and cfg.selector.lam == 0.2 and cfg.selector.rho == 0.1
    assert cfg.admission._target_.endswith("NonzeroVar") and cfg.admission.carry == 1
