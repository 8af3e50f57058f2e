"""The oracle sees the truth, and only where there is one."""

import numpy as np
import pytest

from rftlab.core import InputError
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.build import build_sampler
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.oracle import Oracle
from rftlab.testing import make_pool

PARTS = {
    "selector": {"_target_": "rftlab.samplers.selectors.oracle.Oracle"},
    "allocator": {"_target_": "rftlab.samplers.allocators.fixed.Fixed"},
    "admission": {"_target_": "rftlab.samplers.admissions.everything.All"},
}


@pytest.mark.parametrize(("target", "best"), [(0.5, {4, 5, 6}), (0.0, {0, 1, 2}), (1.0, {8, 9, 10})])
def test_the_true_rates_nearest_to_the_target_are_asked_for(target, best, hand) -> None:
    sampler = TaskSampler(make_pool(11), Oracle(target), Fixed(), All(), group_size=4)
    ctx = hand.context(sampler, p=3, truth=np.linspace(0, 1, 11))
    assert {r.task for r in sampler.ask(ctx)} == best
    assert sampler.predict() is None


def test_off_simulation_it_is_refused() -> None:
    with pytest.raises(InputError, match="engine=sim"):
        build_sampler(PARTS, make_pool(4), 4)
    assert isinstance(build_sampler(PARTS, make_pool(4), 4, truth=True).selector, Oracle)


def test_a_target_that_is_no_rate_is_named() -> None:
    with pytest.raises(InputError, match=r"sampler\.selector\.target=1\.5"):
        Oracle(1.5)
