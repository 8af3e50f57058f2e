"""A child process that answers over its standard streams, while what it runs may print to and read from them."""

from __future__ import annotations

import os
from typing import IO


def private_pipes() -> tuple[IO[bytes], IO[bytes]]:
    """Standard input and output moved to descriptors that no child inherits; in their place, nothing.

    So what runs here cannot garble the replies by printing, nor eat the requests by reading.
    """
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    return requests, replies
