"""What the composer remembers of one step."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from rftlab.core import Bool, Float, Group, Request, StepContext


@dataclass
class Step:
    """What has happened in the present step; kept readable until the next one begins."""

    taken: Bool
    """bool [N], not to be proposed."""
    predicted: Float | None = None
    """float64 [N], what the selector believed before anything of this step was seen."""
    asked: list[Request] = field(default_factory=list)
    """Requests whose groups have not been told yet."""
    groups: dict[int, Group] = field(default_factory=dict)
    """Train groups by task, in the order of their first request."""
    probes: dict[int, Group] = field(default_factory=dict)
    open: list[int] = field(default_factory=list)
    """Tasks that may get more rollouts."""
    settled: dict[int, bool] = field(default_factory=dict)
    """Task -> admitted, of every task that gets no more rollouts."""
    probed: bool = False
    closed: bool = False
    ended: bool = False
    cut: bool = False
    """Fewer tasks could be opened than the admission wanted."""
    underfilled: bool = False
    """Closed with fewer groups than wanted for want of rollouts, rounds or tasks; not where the method asks no more."""

    def rollouts(self) -> int:
        """Rollouts told so far, probes and rejects included."""
        return sum(len(g.verdicts) for g in (*self.probes.values(), *self.groups.values()))

    def counts(self) -> dict[str, float]:
        """Numbers worth a curve."""
        return {
            "tasks": len(self.groups),
            "rejected": sum(not ok for ok in self.settled.values()),
            "probe_rollouts": sum(len(g.verdicts) for g in self.probes.values()),
            "underfilled": float(self.underfilled),
        }


def charge(ctx: StepContext, n: int, least: int) -> int:
    """Takes ``n`` rollouts from what is left, or what there is if that is ``least`` or more, or none."""
    give = min(n, ctx.left.rollouts)
    give = give if give >= least else 0
    ctx.left = replace(ctx.left, rollouts=ctx.left.rollouts - give)
    return give
