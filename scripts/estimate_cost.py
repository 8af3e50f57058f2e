"""Hours of an experiment on a card, from its configuration: ``python scripts/estimate_cost.py NAME``. An estimate.

Supposed, and written nowhere else: a rollout has half of ``model.max_new_tokens`` (``--tokens``), a prompt 200 tokens;
every group is trained on. With N parameters, an update costs 2N operations a token forward and 2N backward (the base's
weights have no gradient), 2N more where activations are recomputed and 2N for a KL reference, at 35 % of the card's
bfloat16 matrix rate. Decoding reads the weights and the cache of all sequences once a token, at half of the memory
bandwidth, and takes 10 ms a token more; evaluation decodes too. Loading, sampling and grading are left out.
"""

from __future__ import annotations

import argparse

from rftlab.config import compose
from rftlab.memory import GIB, Load, kv_bytes, micro_batch_tokens, vllm_share

CARDS = {"A10": (24, 125e12, 0.6e12), "A100": (80, 312e12, 2.0e12), "H100": (80, 989e12, 3.35e12)}
"""GB, bfloat16 operations and bytes a second, by their data sheets."""
PROMPT, MATRIX, BANDWIDTH, STEP = 200, 0.35, 0.5, 0.010
EVAL_TASKS = 500


def hours(cfg: object, card: str, tokens: int) -> float:
    """Of the whole run; raises ``InputError`` where the memory plan does not fit."""
    size, rate, bandwidth = CARDS[card]
    load = Load(cfg.model, cfg.algo, cfg.engine, device="cuda")
    weights = load.weights.base
    micro = micro_batch_tokens(load, size * GIB)
    cache = vllm_share(load, size * GIB, micro) * size * GIB - weights
    budget, parameters = cfg.budget, weights / load.dtype.itemsize
    rollouts = budget.steps * budget.prompts * budget.group_size
    marks = rollouts // cfg.eval.every_rollouts + 1
    decoded = (rollouts + marks * EVAL_TASKS * cfg.eval.samples) * tokens
    room = cache / ((PROMPT + tokens) * kv_bytes(load.config, load.dtype))
    beside = max(1, min(cfg.engine.max_num_seqs, int(room), budget.prompts * budget.group_size))
    read = weights + beside * (PROMPT + tokens / 2) * kv_bytes(load.config, load.dtype)
    decode = decoded / beside * (STEP + read / (BANDWIDTH * bandwidth))
    passes = 2 + cfg.model.gradient_checkpointing + (cfg.algo.kl > 0)
    passes += 1 if cfg.algo.minibatches * cfg.algo.epochs > 1 else 0  # log-probs before the first of several steps
    update = rollouts * (PROMPT + tokens) * 2 * parameters * passes / (MATRIX * rate)
    return (decode + update) / 3600


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("experiment")
    parser.add_argument("shape", help="a bundled shape, as in model.path=random:SHAPE")
    parser.add_argument("--tokens", type=int, help="of a rollout; default: half of model.max_new_tokens")
    chosen = parser.parse_args()
    cfg = compose([f"experiment={chosen.experiment}", f"model.path=random:{chosen.shape}"])
    tokens = chosen.tokens or cfg.model.max_new_tokens // 2
    for card in CARDS:
        print(f"{card}: about {hours(cfg, card, tokens):.1f} h at {tokens} tokens a rollout")


if __name__ == "__main__":
    main()
