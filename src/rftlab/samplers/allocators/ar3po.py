"""AR3PO's adaptive rollout: stages that a task leaves at its first pass."""

from __future__ import annotations

from rftlab.core import Feedback, Int, StepContext
from rftlab.samplers.allocators.quota import Quota


class AR3PO(Quota):
    """Adaptive Rollout with Response Reuse, the rollout part (Zhang et al., arXiv:2509.25808).

    A task gets ``chunk`` rollouts a stage and leaves at the first stage that has brought a pass. The same rule as
    Reinforce-Ada's ``positive``; the two differ in size and in what is trained on: here all rollouts.

    Not built: the reuse of an earlier right answer for tasks that never passed. It would train on rollouts of old
    policies, which the loss corrects only for groups of one age; such tasks teach nothing here.

    The paper's number of stages and their size were not at hand. Ours: two stages of half a group, so that a task gets
    a whole group at most and the method can only save (the paper reports 5.7 rollouts a task).

    Args:
        chunk: Rollouts of a stage; None = half the group size.
        cap: Rollouts of all stages; None = the group size.
    """

    CAP = 1.0

    def largest(self, group_size: int) -> tuple[int, int]:
        return 1, 0

    def quota(self, open: Feedback, ctx: StepContext) -> tuple[Int | int, Int | int]:
        return 1, 0
