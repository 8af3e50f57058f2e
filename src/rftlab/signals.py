"""Stopping on request: a signal sets a flag, the work looks at it between phases and tokens."""

from __future__ import annotations

import signal
from types import FrameType


class Stopped(Exception):
    """A signal asked the run to stop; ``code`` is the exit status of the process (128 + signal)."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number


class Stopper:
    """Catches SIGINT and SIGTERM once; a second one acts as if this were not here."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)
    patient = False
    """A second one does nothing: a launcher passes on what its processes have had from the terminal already."""

    def __init__(self) -> None:
        self.number: int | None = None
        self._before = {s: signal.getsignal(s) for s in self.SIGNALS}

    def __enter__(self) -> Stopper:
        for s in self.SIGNALS:
            signal.signal(s, self._catch)
        return self

    def _catch(self, number: int, frame: FrameType | None) -> None:
        self.number = number
        if not self.patient:
            self._restore()

    def poll(self) -> None:
        """Raises ``Stopped`` once a signal has come."""
        if self.number is not None:
            raise Stopped(self.number)

    def _restore(self) -> None:
        for s, handler in self._before.items():
            signal.signal(s, handler)

    def __exit__(self, *_: object) -> None:
        self._restore()
