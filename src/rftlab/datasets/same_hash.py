"""A process beside this one, in which the hashes of texts are the same in every run."""

from __future__ import annotations

import atexit
import contextlib
import os
import pickle
import subprocess
import sys
import traceback
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from rftlab.core import InputError
from rftlab.pipes import private_pipes

EQUAL_HASHES = {"PYTHONHASHSEED": "0"}
"""For the environment of a process: sets of texts then have the same order in every process."""

# The caller's import path, and no import of its main module (which may load torch).
_BOOT = "import sys; sys.path[:] = sys.argv[1:]; from rftlab.datasets.same_hash import serve; serve()"


def called(function: Callable[..., Any], *arguments: Any) -> Any:
    """What ``function(*arguments)`` returns in that process, which is started once and kept.

    The function, what it takes and what it returns must pickle. ``InputError`` comes back as it was raised, any other
    exception as a ``RuntimeError`` with its traceback.
    """
    if not sys.flags.hash_randomization:
        return function(*arguments)
    if _child().poll() is not None:  # killed while idle: no call's doing, and its pipe may still take one
        _end(_child())
    child = _child()
    assert child.stdin is not None and child.stdout is not None
    try:
        pickle.dump((function, arguments), child.stdin)
        child.stdin.flush()
        failed, result = pickle.load(child.stdout)
    except BaseException as error:  # an interrupt, too: what it still answers would be taken for the next answer
        _end(child)
        if isinstance(error, EOFError | BrokenPipeError):
            raise RuntimeError(f"the process of equal hashes has ended, exit code {child.returncode}") from error
        raise
    if failed:
        raise result if isinstance(result, InputError) else RuntimeError(result)
    return result


def serve() -> None:
    """The life of that process: calls what it is sent until its input ends."""
    requests, replies = private_pipes()
    while True:
        try:
            function, arguments = pickle.load(requests)
        except EOFError:
            return
        try:
            reply = (False, function(*arguments))
        except InputError as error:
            reply = (True, error)
        except Exception:
            reply = (True, traceback.format_exc())
        pickle.dump(reply, replies)
        replies.flush()


@lru_cache(maxsize=1)
def _child() -> subprocess.Popen[bytes]:
    child = subprocess.Popen(
        [sys.executable, "-P", "-c", _BOOT, *(os.path.abspath(path) for path in sys.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C at the terminal is the caller's
        env=os.environ | EQUAL_HASHES,
    )
    atexit.register(_end, child)
    return child


def _end(child: subprocess.Popen[bytes]) -> None:
    _child.cache_clear()
    with contextlib.suppress(BrokenPipeError), child:  # which closes its pipes and waits
        child.kill()
