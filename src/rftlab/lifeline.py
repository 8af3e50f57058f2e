"""A job of a sweep: ``python -m rftlab.lifeline FD train OVERRIDES`` is ``rftlab train OVERRIDES``, tied to its parent.

When the parent is gone, kill -9 included, the job is asked to stop as if by SIGTERM: it saves and ends, nothing is left
behind that holds a GPU and a run directory for hours, and the same sweep again goes on from there.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from rftlab.cli import main


def follow(descriptor: int) -> None:
    """Sends this process SIGTERM once the only writer of the pipe is gone."""

    def watch() -> None:
        os.read(descriptor, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=watch, daemon=True).start()


if __name__ == "__main__":
    follow(int(sys.argv[1]))
    sys.exit(main(sys.argv[2:]))
