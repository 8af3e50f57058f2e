"""What an error of somebody else's says, short enough to stand in a line of ours."""

from __future__ import annotations


def first_line(error: BaseException | str) -> str:
    """The first line that is not empty of a message; of an error without one, the name of its class."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return next(iter(lines), "no message" if isinstance(error, str) else type(error).__name__)
