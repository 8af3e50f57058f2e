"""Every preset and every pair of shipped parts keeps the contract; found by looking, so none is forgotten.

Every crossing of three, and longer runs, are `make conformance`.
"""

import inspect
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from hydra.utils import get_class
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from omegaconf import OmegaConf

from rftlab.listing import conf_dir, fields, options
from rftlab.samplers import shelf
from rftlab.samplers.build import build_sampler
from rftlab.samplers.contract import Scenario
from rftlab.testing import MEDLEY, check_run, check_sampler, make_from, make_pool

PRESETS = list(options("sampler"))


def pairwise(*groups: list[str]) -> list[tuple[str, ...]]:
    """The fewest choices of one of each of three groups in which every pair from two different groups occurs.

    All pairs of the two larger groups are needed anyway; the smallest turns around beside them like a Latin square.
    """
    order = sorted(range(3), key=lambda g: -len(groups[g]))
    large, middle, small = (sorted(groups[g]) for g in order)
    rows = []
    for i, a in enumerate(large):
        for j, b in enumerate(middle):
            row = {order[0]: a, order[1]: b, order[2]: small[(i + j) % len(small)]}
            rows.append(tuple(row[g] for g in range(3)))
    return sorted(rows)


CROSSINGS = pairwise(*(list(options(f"sampler/{group}")) for group in shelf.GROUPS))


def composed(preset: str, *overrides: str) -> Any:
    with initialize_config_dir(str(conf_dir()), version_base="1.3"):
        node = compose("train", overrides=[f"sampler={preset}", *overrides]).sampler
    return OmegaConf.to_container(node, resolve=True)


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_keeps_the_contract(preset: str) -> None:
    check_sampler(make_from(shelf.preset(preset)), steps=5)


@pytest.mark.parametrize("parts", CROSSINGS, ids="-".join)
def test_every_pair_of_parts_keeps_the_contract(parts: tuple[str, str, str]) -> None:
    check_run(make_from(shelf.crossing(*parts)), MEDLEY)


def test_the_pairs_are_all_there() -> None:
    groups = [set(options(f"sampler/{group}")) for group in shelf.GROUPS]
    for g, h in ((0, 1), (0, 2), (1, 2)):
        assert {(row[g], row[h]) for row in CROSSINGS} == {(a, b) for a in groups[g] for b in groups[h]}
    assert len(pairwise(list("abcde"), list("xyz"), list("12"))) == 15


STEP = st.builds(
    Scenario,
    name=st.just("drawn"),
    rollouts=st.integers(0, 150),
    rounds=st.integers(0, 20),
    answers=st.sampled_from(["mixed", "right", "wrong", "shaped"]),
    faults=st.sampled_from([0.0, 0.2, 0.9, 1.0]),
)


@st.composite
def runs(draw: st.DrawFn) -> list[Scenario]:
    """A run of at most six steps, each under its own conditions; the first one's sizes hold throughout."""
    sizes = {
        "tasks": draw(st.integers(1, 60)),
        "prompts": draw(st.integers(1, 9)),
        "group_size": draw(st.integers(2, 9)),
    }
    return [Scenario(**(vars(step) | sizes)) for step in draw(st.lists(STEP, min_size=1, max_size=6))]


@pytest.mark.parametrize("preset", PRESETS)
@settings(
    max_examples=8,
    derandomize=True,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.generate, Phase.shrink],  # explaining costs a traced run for every shrunk one
)
@given(scenarios=runs(), seed=st.integers(0, 2**32))
def test_every_preset_keeps_the_contract_in_drawn_runs(preset: str, scenarios: list[Scenario], seed: int) -> None:
    check_run(make_from(shelf.preset(preset)), scenarios, seed=seed)


@pytest.mark.parametrize("admission", ["nonzero_var", "window"])
def test_carried_surplus_keeps_the_contract(admission: str) -> None:
    cfg = composed(
        "mopps",
        f"sampler/admission={admission}",
        "sampler.admission.carry=2",
        "sampler.admission.oversample=1.7",
        "sampler.selector.candidates=2",
    )
    check_sampler(make_from(cfg))


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
    check_sampler(make_from(composed(*knobs)), steps=4)


@pytest.mark.parametrize("preset", PRESETS)
def test_a_preset_is_composed_as_hydra_does_it_and_says_what_it_is(preset: str) -> None:
    node = shelf.preset(preset)
    assert node == composed(preset) and node["name"] == preset
    said = fields(options("sampler")[preset])
    assert list(said) == ["Idea", "Source", "Knob", "Cost"], "the header: idea, Source:, Knob:, Cost:"
    assert said["Idea"].endswith(".") and all(said.values())


@pytest.mark.parametrize("group", shelf.GROUPS)
def test_option_files_list_every_option_and_one_of_a_class_has_its_defaults(group: str) -> None:
    plain = set()
    for option in options(f"sampler/{group}"):
        written = shelf.part(group, option)
        target = written.pop("_target_")
        assert written.keys() == defaults(target).keys(), option
        plain |= {target} if written == defaults(target) else set()
    assert plain == {shelf.part(group, option)["_target_"] for option in options(f"sampler/{group}")}


def defaults(target: str) -> dict[str, Any]:
    """Option -> default of a class's constructor."""
    parameters = inspect.signature(get_class(target)).parameters.values()
    return {p.name: list(p.default) if isinstance(p.default, tuple) else p.default for p in parameters}


@pytest.mark.parametrize("selector", list(options("sampler/selector")))
def test_a_selector_keeps_at_most_64_bytes_of_a_task(selector: str) -> None:
    sizes = {}
    for n in (1000, 2000):
        sampler = build_sampler(shelf.crossing(selector, "fixed", "all"), make_pool(n), 8, truth=True)
        sizes[n] = sum(_bytes(part.state_dict()) for part in sampler.parts.values())
    assert (sizes[2000] - sizes[1000]) / 1000 <= 64


def _bytes(state: Any) -> int:
    if isinstance(state, dict):
        return sum(map(_bytes, state.values()))
    if isinstance(state, list):
        return sum(map(_bytes, state))
    return int(getattr(state, "nbytes", 8))


def test_the_command_line_crosses_a_preset_with_other_parts() -> None:
    cfg = composed("bots", "sampler/admission=nonzero_var", "sampler.selector.lam=0.2", "sampler.admission.carry=1")
    assert cfg["name"] == "bots" and cfg["selector"]["lam"] == 0.2 and cfg["selector"]["rho"] == 0.1
    assert cfg["admission"]["_target_"].endswith("NonzeroVar") and cfg["admission"]["carry"] == 1
