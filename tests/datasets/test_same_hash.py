"""The process of equal hashes."""

import os
import sys

import pytest

from rftlab.datasets import same_hash


@pytest.mark.skipif(not sys.flags.hash_randomization, reason="hashes are equal here, no process is started")
def test_one_that_was_killed_while_idle_is_started_anew_also_before_its_pipe_closes() -> None:
    assert same_hash.called(len, "abc") == 3
    child = same_hash._child()
    assert child.stdin is not None
    reader = os.open(f"/proc/self/fd/{child.stdin.fileno()}", os.O_RDONLY)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert same_hash.called(len, "abcd") == 4 and same_hash._child() is not child
    os.close(reader)
