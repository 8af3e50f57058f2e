"""Inside the sandbox: a program that reads standard input and writes standard output."""

import sys
import types


def main(job, _channel):
    """Runs ``job["source"]`` as the main module; the exit code as Python would give it."""
    program = sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        exec(compile(job["source"], "<program>", "exec"), program.__dict__)
        return 0
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except MemoryError:
        return OUT_OF_MEMORY
    except BaseException:
        return 1
    finally:
        sys.stdout.flush()


OUT_OF_MEMORY = 124
"""Exit code of a program that met its memory limit; it could say so itself, and would gain nothing."""
