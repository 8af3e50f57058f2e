"""Where the time of a step goes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar

T = TypeVar("T")


class Clock:
    """Seconds by phase, since they were last taken."""

    range: Callable[[str], AbstractContextManager[Any]] = nullcontext
    """Opened around every phase, with its name: a profiler's ranges."""

    def __init__(self) -> None:
        self._seconds: defaultdict[str, float] = defaultdict(float)

    @contextmanager
    def timed(self, phase: str) -> Iterator[None]:
        """Counts the seconds of a block."""
        start = time.perf_counter()
        try:
            with self.range(phase):
                yield
        finally:
            self._seconds[phase] += time.perf_counter() - start

    def call(self, phase: str, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
        """``function(*args)``, its seconds counted."""
        with self.timed(phase):
            return function(*args, **kwargs)

    def take(self) -> dict[str, float]:
        """The seconds as metrics, ``time/<phase>``; starts anew."""
        times = {f"time/{phase}": seconds for phase, seconds in self._seconds.items()}
        self._seconds.clear()
        return times
