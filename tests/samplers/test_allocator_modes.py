"""Options of the allocating methods that no preset uses keep the contract too."""

import pytest

from rftlab.samplers.admissions.balanced import Balanced
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.admissions.max_variance import MaxVariance
from rftlab.samplers.admissions.nonzero_var import NonzeroVar
from rftlab.samplers.allocators.ar3po import AR3PO
from rftlab.samplers.allocators.dars import DARS
from rftlab.samplers.allocators.dart import DART
from rftlab.samplers.allocators.e3 import E3
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.allocators.hora import HORA
from rftlab.samplers.allocators.knapsack import Knapsack
from rftlab.samplers.allocators.reinforce_ada import ReinforceAda
from rftlab.samplers.allocators.speed import SPEED
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.mopps import MoPPS
from rftlab.testing import check_sampler

MODES = {
    "dart by a reference, refilled": lambda: (DART(reference="weak"), Balanced(flat="refill", carry=1)),
    "dart one at a time": lambda: (DART(k=2, chunk=1, cap=5), Balanced(3, "own", "keep")),
    "reinforce_ada, refilled ahead": lambda: (ReinforceAda(chunk=3), Balanced(flat="refill", oversample=1.5)),
    "ar3po with variance": lambda: (AR3PO(chunk=1, cap=6), NonzeroVar()),
    "dars hw with std": lambda: (DARS("hw", std=True), NonzeroVar(carry=2)),
    "speed with a long rest": lambda: (SPEED(2, 7), MaxVariance(3, "pool")),
    "knapsack, refilled": lambda: (Knapsack(n_max=9, n_neg=1, min_trials=1), NonzeroVar()),
    "hora after one rollout": lambda: (HORA(probe=1, n_max=5), NonzeroVar(carry=1)),
    "e3 in its full range": lambda: (E3(n_min=1, n_max=12, widen=None), Balanced()),
    "pods of eight": lambda: (Fixed(8), MaxVariance(2)),
    "knapsack of many": lambda: (Knapsack(n=7), All()),
}


@pytest.mark.parametrize("mode", MODES)
def test_modes_keep_the_contract(mode) -> None:
    def make(pool, group_size):
        return TaskSampler(pool, MoPPS(), *MODES[mode](), group_size=group_size, stats_discount=0.5)

    check_sampler(make, steps=6)
