"""From configuration to sampler: what is wrong is said in one line, before a model loads."""

from dataclasses import replace
from typing import Any

import pytest
from omegaconf import OmegaConf

from rftlab.core import InputError, Need
from rftlab.samplers.build import ALWAYS, build_sampler
from rftlab.testing import make_pool

PARTS = {
    "selector": {"_target_": "rftlab.samplers.selectors.bots.BOTS"},
    "allocator": {"_target_": "rftlab.samplers.allocators.fixed.Fixed"},
    "admission": {"_target_": "rftlab.samplers.admissions.everything.All"},
}


def build(pool=None, truth=False, **parts: Any):
    return build_sampler(OmegaConf.create(PARTS | parts), pool or make_pool(10), 4, truth=truth)


def selector(name: str, **options: Any) -> dict[str, Any]:
    return {"_target_": name, **options}


def test_options_reach_the_part() -> None:
    sampler = build(
        selector=selector("rftlab.samplers.selectors.mopps.MoPPS", lam=0.5), filter={"lo": 0.1}, stats_discount=0.9
    )
    assert sampler.selector.lam == 0.5 and sampler.stats.discount == 0.9 and sampler.filtered.any()


def test_a_pool_with_everything_serves_everything_but_the_truth() -> None:
    assert make_pool(3).has() | ALWAYS == frozenset(Need) - {Need.TRUTH}


@pytest.mark.parametrize(
    ("part", "words"),
    [
        (
            selector("rftlab.samplers.selectors.bots.BOTS", lamda=2),
            r"lamda: no such key; did you mean .*\.lam\?",
        ),
        (
            selector("rftlab.samplers.selectors.bots.BOTS", xyzzy=2),
            "xyzzy: no such key; .* has .*lam, .*rho",
        ),
        (selector("rftlab.samplers.selectors.bots.BOTS", lam=2), r"sampler\.selector\.lam=2, wanted"),
        (selector("rftlab.samplers.selectors.bots.BOTS", lam="much"), "lam=much, wanted a finite number"),
        (selector("rftlab.samplers.selectors.bots.BOSS"), "cannot be imported"),
        (selector("rftlab.samplers.nowhere.BOTS"), "cannot be imported"),
        (selector("rftlab.samplers.allocators.fixed.Fixed"), r"is no rftlab\.samplers\.base\.Selector"),
        ({}, "has no _target_: choose one with sampler/selector=NAME"),
    ],
)
def test_a_part_that_cannot_be_built_is_one_clear_line(part, words) -> None:
    with pytest.raises(InputError, match=words) as caught:
        build(selector=part)
    assert "\n" not in str(caught.value)


def test_a_need_that_the_dataset_lacks_is_named_with_its_cure() -> None:
    bare = replace(make_pool(10), references={})
    paper = selector("rftlab.samplers.selectors.bots.BOTS", mode="paper")
    with pytest.raises(InputError, match=r"sampler\.selector \(BOTS\) needs references.*\+references\.NAME=FILE"):
        build(bare, selector=paper)
    assert build(bare).selector.rho == 0


def test_the_truth_is_served_in_simulation_only(tmp_path, monkeypatch) -> None:
    (tmp_path / "my_oracle.py").write_text(
        "from rftlab.core import Need\n"
        "from rftlab.samplers.selectors.uniform import Uniform\n"
        "class Oracle(Uniform):\n"
        "    NEEDS = frozenset({Need.TRUTH})\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    mine = selector("my_oracle.Oracle")
    with pytest.raises(InputError, match="engine=sim"):
        build(selector=mine)
    assert build(selector=mine, truth=True).needs() == {Need.TRUTH}
