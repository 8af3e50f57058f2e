"""Trains only on groups that have something to compare: DAPO's dynamic sampling."""

from __future__ import annotations

from rftlab.core import Outcomes, StepContext
from rftlab.samplers.admissions.refill import Refill


class NonzeroVar(Refill):
    """Groups with at least one pass and one failure (DAPO, arXiv:2503.14476).

    On accuracy, not on the reward: a length penalty would keep dead groups alive. Differs from the release: a batch
    that stays short is trained on short and counted, where the release stops the run.
    """

    def admit(self, o: Outcomes, ctx: StepContext) -> bool:
        return 0 < o.wins < o.trials
