"""One line on a value of the configuration that is of the wrong type."""

from __future__ import annotations

import re

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from rftlab.first_line import first_line

KINDS = {
    "int": "a whole number",
    "float": "a number",
    "bool": "true or false",
    "str": "text",
    "list": "a list, as in [a,b]",
    "dict": "a mapping, as in ++{key}.NAME=VALUE",
}


def wrong_type(cfg: DictConfig, exc: OmegaConfBaseException) -> str:
    """What was found under which key, and what was wanted."""
    text = first_line(str(exc.msg or exc))
    found = re.search(r"converted to (\w+)|of type '(\w+)'$", text)
    kind = (
        {"Integer": "int", "Float": "float", "Boolean": "bool"}.get(found[1] or found[2], found[2]) if found else None
    )
    kind = "list" if "not a ListConfig" in text else "dict" if re.search(r"Dict\[|not a subclass of", text) else kind
    if exc.full_key and kind in KINDS:
        value = OmegaConf.select(cfg, exc.full_key)
        return f"{exc.full_key}={'null' if value is None else value}: wanted {KINDS[kind].format(key=exc.full_key)}"
    return f"{exc.full_key}: {text}" if exc.full_key else text
