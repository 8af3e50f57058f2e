"""Trains on groups whose variance is a large part of what their size allows."""

from __future__ import annotations

from typing import overload

from rftlab.core import Float, InputError, Int, Need, Outcomes, StepContext
from rftlab.samplers.admissions.refill import Refill


@overload
def normalized_variance(wins: int, trials: int) -> float: ...
@overload
def normalized_variance(wins: Int, trials: Int) -> Float: ...
def normalized_variance(wins: int | Int, trials: int | Int) -> float | Float:
    """Unbiased variance of a group of at least 2 as a share of the largest that its size allows, in [0, 1].

    k (n - k) / (n (n - 1)) over n / (4 (n - 1)) for even n and (n + 1) / (4 n) for odd n.
    """
    return wins * (trials - wins) / ((trials // 2) * ((trials + 1) // 2))


class Kappa(Refill):
    """Groups with a normalised variance of at least kappa (VCRL, Jiang et al., arXiv:2509.19803).

    With n even that is 4 p (1 - p) >= kappa. The values of kappa and their schedule are not published; ours are 0.3
    and, after a fifth of the run, 0.8, which of 8 rollouts wants 3 to 5 passes.

    Args:
        kappa: Least normalised variance.
        late: The same from ``switch`` on.
        switch: Share of the run after which ``late`` holds; None = never, and then the run's length does not matter.
        oversample: As in ``Refill``.
        carry: As in ``Refill``.
    """

    def __init__(
        self,
        kappa: float = 0.3,
        late: float = 0.8,
        switch: float | None = 0.2,
        oversample: float = 1.0,
        carry: int = 0,
    ) -> None:
        super().__init__(oversample, carry)
        for name, value in {"kappa": kappa, "late": late}.items():
            if not 0 <= value <= 1:
                raise InputError(f"sampler.admission.{name}={value:g}, wanted a share in [0, 1]")
        if switch is not None and not 0 <= switch <= 1:
            raise InputError(f"sampler.admission.switch={switch:g}, wanted a share of the run in [0, 1], or null")
        self.kappa, self.late, self.switch = kappa, late, switch

    def needs(self) -> frozenset[Need]:
        return frozenset() if self.switch is None else frozenset({Need.PROGRESS})

    def admit(self, o: Outcomes, ctx: StepContext) -> bool:
        late = self.switch is not None and ctx.progress >= self.switch
        return o.trials > 1 and bool(normalized_variance(o.wins, o.trials) >= (self.late if late else self.kappa))
