"""Shell completion: Hydra's, told which verb stands first on the line."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from rftlab import listing


def complete(args: Sequence[str], verbs: Sequence[str]) -> int:
    """``rftlab -sc install=bash`` prints the script, ``query=bash`` answers it: COMP_LINE holds what is typed."""
    verb = "train"
    if args and args[0].startswith("query="):
        line = os.environ.get("COMP_LINE", "")
        words = line.split()
        typing_verb = len(words) < 2 or (len(words) == 2 and not line.endswith(" "))
        if typing_verb:
            start = words[1] if len(words) == 2 else ""
            print(" ".join(name for name in verbs if name.startswith(start)))
            return 0
        verb = words[1]
        if verb.endswith("s") and verb[:-1] in ("sampler", "dataset", "verifier", "model"):
            print(" ".join(listing.options(verb[:-1])))
            return 0
        if verb not in listing.ROOTS:
            return 0  # the shell completes files
        if verb == "rescore" and len(words) > 2 and "=" not in words[2]:  # the run, by its path alone
            if len(words) == 3 and not line.endswith(" "):
                return 0
            del words[2]
        os.environ["COMP_LINE"] = " ".join([words[0], *words[2:]]) + (" " if line.endswith(" ") else "")
    import hydra

    sys.argv = ["rftlab", "-sc", *args]
    hydra.main(version_base="1.3", config_path=str(listing.conf_dir()), config_name=verb)(lambda cfg: None)()
    return 0
