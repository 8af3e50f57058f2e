"""The hub that models are downloaded from: asked once whether it can be reached, not in vain for every file."""

from __future__ import annotations

import os
from functools import cache

PATIENCE = 5.0
"""Seconds that the hub gets to answer."""


@cache
def reachable() -> bool:
    """Whether the hub answers. If it does not, this process and those that it starts load from the cache alone.

    Its own library tries each file six times, with pauses that sum up to half a minute, and says so every time.
    """
    import httpx
    from huggingface_hub import constants, get_session

    if constants.is_offline_mode():
        return False
    try:
        get_session().head(constants.ENDPOINT, timeout=PATIENCE)
    except (httpx.HTTPError, OSError):
        os.environ["HF_HUB_OFFLINE"] = "1"
        constants.HF_HUB_OFFLINE = True  # the library has read the variable before
        return False
    return True
