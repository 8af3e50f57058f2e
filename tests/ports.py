"""A port for a server of a test."""

import random
import socket


def free_port() -> int:
    """A port of this machine at which nobody listens.

    Its server starts seconds later. The kernel hands out the ports from 32768 on (16384 on some systems) to whoever
    connects meanwhile, so it is drawn from below them.
    """
    while True:
        port = random.SystemRandom().randrange(10_000, 16_384)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
