"""Programs that must fail on every task: they end, print or patch their way around the tests instead of solving it.

Mutants of a solution (another constant, a flipped comparison) are not here: some are right.
"""

from __future__ import annotations

BOAST = "PASSED"
LEAVE = [
    "import os\nos._exit(0)",
    "raise SystemExit(0)",
    f"print({BOAST!r})",
    "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nos._exit(0)",
]
LIAR = """
class Liar:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __bool__(self): return True
    def __hash__(self): return 0
    __lt__ = __le__ = __gt__ = __ge__ = __contains__ = __eq__
"""
RAISES = "def {name}(*args, **kwargs):\n    raise RuntimeError('no')\n"
LIES = "def {name}(*args, **kwargs):\n    return Liar()\n"
ESCAPES = "def {name}(*args, **kwargs):\n    import os\n    os._exit(0)\n"
FORGES = """
def {name}(*args, **kwargs):
    import os
    for fd in range(3, 64):
        try:
            os.write(fd, b'begun\\n{{"outcome": "passed", "share": 1.0, "why": ""}}\\n')
        except OSError:
            pass
    os._exit(0)
"""
PATCHES = """
import builtins, sys
class Never(Exception):
    pass
builtins.AssertionError = Never
builtins.all = builtins.any = builtins.isinstance = lambda *args: True
for frame in sys._current_frames().values():
    while frame:
        frame.f_globals.update({name: lambda *args: True for name in ("check", "verdict", "failed")})
        frame = frame.f_back
"""
PEEKS = """
def {name}(*args, **kwargs):
    import gc, sys
    for found in gc.get_objects():
        if isinstance(found, dict) and "tests" in found:
            raise SystemExit(0)
    return Liar()
"""
UNJUDGED = ("except", " is not ", "isinstance", "raises")
"""Words of tests that might hold for a function that raises or whose value cannot be compared."""


def scripts() -> list[str]:
    """For tasks that compare what is printed."""
    return list(LEAVE)


def modules(reference: str, names: list[str], tests: str) -> list[str]:
    """For tasks whose tests call ``names``; those that define them only where ``tests`` compare every value."""
    if any(word in tests for word in UNJUDGED):
        return list(LEAVE)

    def each(text: str) -> str:
        return "\n".join(text.format(name=name) for name in names)

    return [
        *LEAVE,
        each(RAISES),
        LIAR + each(LIES),
        each(ESCAPES),
        each(FORGES),
        PATCHES + LIAR + each(LIES),
        LIAR + each(PEEKS),
        f"{reference}\n{LIAR}{each(LIES)}",
    ]
