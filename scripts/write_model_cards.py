"""What the memory plan finds room for on three cards, into the header of every model that is built on ``hub``.

``python scripts/write_model_cards.py``: a minute a model on one core. Needs no network: the shapes are bundled.
"""

from __future__ import annotations

import re
from pathlib import Path

from rftlab import listing
from rftlab.config import compose
from rftlab.core import InputError
from rftlab.memory import GIB, Load, micro_batch_tokens, vllm_share

CARDS = (24, 40, 80)
LABEL = "# Plan:"


def shape_of(model: str) -> str:
    """The bundled shape of a model's name."""
    return re.sub(r"-(instruct|base)$", "", model)


def card_line(model: str) -> str:
    """The header's line: with engine=vllm, and the longest prompts that the context holds."""
    cfg = compose([f"model={model}", "engine=vllm", f"model.path=random:{shape_of(model)}"])
    load = Load(cfg.model, cfg.algo, cfg.engine, device="cuda")
    found = []
    for card in CARDS:
        tokens = micro_batch_tokens(load, card * GIB)
        try:
            found.append((f"{tokens}", f"{vllm_share(load, card * GIB, tokens):.2f}"))
        except InputError:
            found.append(("-", "-"))
    cards = " | ".join(map(str, CARDS))
    micro, share = (" | ".join(column) for column in zip(*found, strict=True))
    return f"{LABEL} on {cards} GB with engine=vllm, {micro} tokens a micro-batch, {share} for vLLM."


def written(file: Path) -> bool:
    """Whether the file is a model of the hub, whose header this script completes."""
    return "\n  - hub\n" in file.read_text(encoding="utf-8")


def main() -> None:
    for name, file in listing.options("model").items():
        if written(file):
            head, *rest = [line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith(LABEL)]
            line = card_line(name)
            file.write_text("\n".join([head, line, *rest]) + "\n", encoding="utf-8")
            print(name, line, flush=True)


if __name__ == "__main__":
    main()
