"""Where what can be made again is kept."""

from __future__ import annotations

import os
from pathlib import Path


def cache_dir(part: str) -> Path:
    """``$RFTLAB_CACHE/<part>``, by default ``~/.cache/rftlab/<part>``; it need not exist."""
    root = os.environ.get("RFTLAB_CACHE")
    return (Path(root) if root else Path.home() / ".cache" / "rftlab") / part
