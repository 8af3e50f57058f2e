"""Makes the bundled models: `python scripts/build_tiny_models.py` (11 minutes on one core).

Writes `src/rftlab/assets/`: the models `tiny` and `tiny-strong` with their tokenizer, the pass rate of both on every
task of the ladder (`ladder_references.json`), and `README.md` with the table that is also printed.

Both models come from one supervised warm-up on ladder problems: `tiny` is its state after a few steps, `tiny-strong`
its end. Short lengths are favoured, so that the pass rate falls with length and leaves reinforcement something to do.
The problems are drawn afresh; prompts of the evaluation set are left out. Prompts of the training pool are not: at
length 1 they are most of what exists, and the pool is trained on later anyway.

Everything is seeded: on one machine with one thread and the same versions the files come out bit for bit the same;
elsewhere the sums round differently and the pass rates agree within sampling error.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import torch
from tokenizers import pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    GenerationConfig,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen2Tokenizer,
)

from rftlab.core import Task, TaskPool
from rftlab.datasets import ladder

ASSETS = Path(__file__).parents[1] / "src" / "rftlab" / "assets"
SEED = 0
STEPS = {"tiny": 500, "tiny-strong": 2000}
BATCH = 64
LR = 1e-3
WARMUP = 50
INIT_STD = 0.06  # with the usual 0.02 the sums come some 300 steps later
LENGTH_RATE = 0.35
ROLLOUTS = 16
MAX_NEW_TOKENS = 24
CONTEXT = 2048

PAD, BOS, EOS = "<|pad|>", "<|start|>", "<|end|>"
ROLES = ("system", "user", "assistant")
CHAT_TEMPLATE = (
    "{{ bos_token }}{% for message in messages %}<|{{ message['role'] }}|>{{ message['content'] }}{{ eos_token }}"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def make_tokenizer() -> Qwen2Tokenizer:
    """Qwen2's byte-level tokenizer without merges: a token per ASCII character, other characters as UTF-8 bytes.

    It is that class because AutoTokenizer gives every Qwen2 model that class, whatever its folder asks for.
    """
    roles = [f"<|{role}|>" for role in ROLES]
    pieces = [PAD, BOS, EOS, *roles, *sorted(pre_tokenizers.ByteLevel.alphabet())]
    return Qwen2Tokenizer(
        vocab={piece: i for i, piece in enumerate(pieces)},
        merges=[],
        unk_token=None,
        pad_token=PAD,
        bos_token=BOS,
        eos_token=EOS,
        extra_special_tokens=roles,
        padding_side="left",
        model_max_length=CONTEXT,
        chat_template=CHAT_TEMPLATE,
    )


def make_model(tokenizer: Qwen2Tokenizer) -> Qwen2ForCausalLM:
    """A Qwen2 of 0.9 M parameters with random weights."""
    ids = {
        "pad_token_id": tokenizer.pad_token_id,
        "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=128,
        intermediate_size=384,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=4,
        max_position_embeddings=CONTEXT,
        tie_word_embeddings=True,
        initializer_range=INIT_STD,
        **ids,
    )
    torch.manual_seed(SEED)
    model = Qwen2ForCausalLM(config)
    model.generation_config = GenerationConfig(**ids)
    return model


def warm_up_batch(tokenizer: Qwen2Tokenizer, rng: np.random.Generator, held_out: set[str]) -> dict[str, torch.Tensor]:
    """Fresh problems as int64 [BATCH, T] ids, mask and labels; only answer and end of text are learnt."""
    rows = []
    while len(rows) < BATCH:
        family = ladder.FAMILIES[rng.integers(len(ladder.FAMILIES))]
        length = min(1 + int(rng.exponential(1 / LENGTH_RATE)), ladder.LENGTHS[-1])
        text, answer = ladder.problem(family, length, rng)
        if text not in held_out:
            prompt = f"{BOS}<|user|>{text}{EOS}<|assistant|>"
            rows.append((tokenizer(prompt).input_ids, tokenizer(answer + EOS).input_ids))
    width = max(len(prompt) + len(answer) for prompt, answer in rows)
    ids = torch.full((BATCH, width), tokenizer.pad_token_id)
    labels = torch.full((BATCH, width), -100)
    mask = torch.zeros((BATCH, width), dtype=torch.int64)
    for i, (prompt, answer) in enumerate(rows):
        start, end = len(prompt), len(prompt) + len(answer)
        ids[i, :end] = torch.tensor(prompt + answer)
        labels[i, start:end] = torch.tensor(answer)
        mask[i, :end] = 1
    return {"input_ids": ids, "attention_mask": mask, "labels": labels}


def warm_up(model: Qwen2ForCausalLM, tokenizer: Qwen2Tokenizer, evaluation: TaskPool) -> None:
    """Trains for the most steps of ``STEPS`` and saves each model when its step has come."""
    rng = np.random.default_rng(SEED)
    held_out = {task.prompt[0]["content"] for task in evaluation.tasks}
    optimizer = torch.optim.AdamW(model.parameters(), lr=LR)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: min(1.0, (step + 1) / WARMUP))
    names = {step: name for name, step in STEPS.items()}
    start = time.perf_counter()
    for step in range(1, max(names) + 1):
        loss = model(**warm_up_batch(tokenizer, rng, held_out)).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step:5d}  loss {loss.item():.3f}  {time.perf_counter() - start:.0f} s", flush=True)
        if step in names:
            save(model, tokenizer, ASSETS / names[step])


def save(model: Qwen2ForCausalLM, tokenizer: Qwen2Tokenizer, folder: Path) -> None:
    """Writes the model as it is now in bfloat16; training goes on in float32."""
    frozen = Qwen2ForCausalLM(model.config).to(torch.bfloat16)
    frozen.load_state_dict(model.state_dict())
    frozen.generation_config = model.generation_config
    frozen.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    for file in folder.iterdir():
        file.chmod(0o644)  # safetensors writes for the owner alone


@torch.inference_mode()
def count_wins(folder: Path, tasks: tuple[Task, ...], rollouts: int) -> np.ndarray:
    """Right answers among ``rollouts`` samples at temperature 1 of the saved model: int64 [N]."""
    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    torch.manual_seed(SEED)
    wins = np.zeros(len(tasks), np.int64)
    by_length = np.argsort([len(task.prompt[0]["content"]) for task in tasks], kind="stable")
    for rows in np.array_split(by_length, max(1, len(tasks) // 64)):
        prompts = [
            tokenizer.apply_chat_template(list(tasks[row].prompt), tokenize=False, add_generation_prompt=True)
            for row in rows
        ]
        batch = tokenizer(prompts, return_tensors="pt", padding=True)
        sampled = model.generate(
            **batch, do_sample=True, top_k=0, num_return_sequences=rollouts, max_new_tokens=MAX_NEW_TOKENS
        )
        texts = tokenizer.batch_decode(sampled[:, batch.input_ids.shape[1] :], skip_special_tokens=True)
        for i, text in enumerate(texts):
            row = rows[i // rollouts]
            wins[row] += text.strip() == tasks[row].answer
    return wins


def table(pool: TaskPool, rates: np.ndarray) -> str:
    """Pass rate by family and length, as Markdown; the last row and column are means."""
    assert pool.category is not None and pool.level is not None
    lines = ["| family | " + " | ".join(map(str, ladder.LENGTHS)) + " | all |"]
    lines.append("|---" * (len(ladder.LENGTHS) + 2) + "|")
    everything = np.ones(len(pool), bool)
    for name, family in [*((name, pool.category == i) for i, name in enumerate(pool.categories)), ("all", everything)]:
        cells = [rates[family & (pool.level == length)].mean() for length in ladder.LENGTHS]
        lines.append(f"| {name} | " + " | ".join(f"{cell:.2f}" for cell in [*cells, rates[family].mean()]) + " |")
    return "\n".join(lines)


def write_references(pool: TaskPool, wins: dict[str, np.ndarray]) -> None:
    """The file that ``dataset.references`` reads; the hashes tie it to the weights it was measured on."""
    weights = {name: hashlib.sha256((ASSETS / name / "model.safetensors").read_bytes()).hexdigest() for name in wins}
    content = {
        "rollouts_per_task": ROLLOUTS,
        "fingerprint": pool.fingerprint,
        "weights_sha256": weights,
        "ids": [task.id for task in pool.tasks],
        "wins": {name: counts.tolist() for name, counts in wins.items()},
    }
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
    (ASSETS / ladder.REFERENCES_FILE).write_text("{\n" + ",\n".join(lines) + "\n}\n")


def write_readme(pool: TaskPool, wins: dict[str, np.ndarray]) -> None:
    """`assets/README.md`: how the files were made, how large they are, and what the models can do."""
    parts = [README.format(length_rate=LENGTH_RATE, rollouts=ROLLOUTS, lr=LR, batch=BATCH)]
    for name, counts in wins.items():
        size = sum(file.stat().st_size for file in (ASSETS / name).iterdir()) / 1e6
        rates = counts / ROLLOUTS
        mixed = ((rates > 0) & (rates < 1)).mean()
        parts.append(
            f"## {name}\n\n{STEPS[name]} steps, {size:.2f} MB. Mean pass rate {rates.mean():.3f}; "
            f"{(rates == 0).mean():.0%} of the tasks never solved in {ROLLOUTS} rollouts, {mixed:.0%} sometimes, "
            f"{(rates == 1).mean():.0%} always.\n\n{table(pool, rates)}\n"
        )
    (ASSETS / "README.md").write_text("\n".join(parts))


README = """# Bundled models

Made by `python scripts/build_tiny_models.py`, which also writes this page: 11 minutes on one core. On one machine, with
one thread and the same versions, it gives the same bytes again.

`tiny` and `tiny-strong` are Qwen2 models (hidden 128, 4 layers, 4 heads, FFN 384, tied embeddings, 2,048 positions) in
bfloat16 with a character-level tokenizer: a token per ASCII character, UTF-8 bytes for the rest. Plain
`AutoModelForCausalLM.from_pretrained` and `AutoTokenizer.from_pretrained` load them.

Both are states of one supervised warm-up on fresh ladder problems, lengths 1 + Exp({length_rate}) cut at 10, prompts of
the evaluation set left out: batches of {batch}, AdamW at {lr:g}, loss on the answer and the end of text.

`ladder_references.json` holds the pass rates of both on the 2,000 training tasks of the ladder: {rollouts} rollouts a
task at temperature 1, top-p 1, no top-k, in float32, graded by exact match. Below, the same by family and length.
"""


def main() -> None:
    torch.set_num_threads(1)
    dataset = ladder.load(limit=None, references=None)
    tokenizer = make_tokenizer()
    warm_up(make_model(tokenizer), tokenizer, dataset.eval)
    wins = {name: count_wins(ASSETS / name, dataset.train.tasks, ROLLOUTS) for name in STEPS}
    write_references(dataset.train, wins)
    write_readme(dataset.train, wins)
    print((ASSETS / "README.md").read_text())


if __name__ == "__main__":
    main()
