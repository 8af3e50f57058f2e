"""The trained model: a frozen base with a LoRA adapter, and its update."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rftlab import grpo
from rftlab.core import Group, InputError, Pick, UpdateInfo
from rftlab.engines.keyed import row_key
from rftlab.prompts import Prompts, model_source
from rftlab.update import Row, Totals, canary_rows, rows_of

log = logging.getLogger(__name__)

MAX_LOGP_GAP = {torch.float32: 1e-3, torch.bfloat16: 0.1, torch.float16: 0.05}
"""Canary: largest tolerated mean |logp engine - logp trainer| by the dtype of the weights, in nats per token."""


class CanaryError(RuntimeError):
    """The engine samples from a policy that is not the one trained."""


class NonFiniteError(RuntimeError):
    """The loss was not finite in too many consecutive steps."""


class Policy:
    """A base model from transformers, a LoRA adapter by peft, AdamW.

    Args:
        model: the ``model`` group of the configuration.
        algo: the ``algo`` group; None = for generation only.
        prompts: the tokenizer.
        seed: of the adapter's initialisation: the same for every arm of a seed.
        init_from: folder of an adapter to start from.
    """

    def __init__(self, model: Any, algo: Any, prompts: Prompts, seed: int, init_from: Path | None = None) -> None:
        from peft import LoraConfig, PeftModel, get_peft_model

        self.cfg, self.algo, self.prompts, self.seed = model, algo, prompts, seed
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.dtype = _dtype(model.dtype, self.device)
        base = load_base(model, self.dtype, self.device)
        lora = LoraConfig(
            task_type="CAUSAL_LM",
            r=model.lora.r,
            lora_alpha=model.lora.alpha,
            lora_dropout=model.lora.dropout,
            target_modules=_targets(model.lora.targets),
        )
        torch.manual_seed(seed)
        if init_from is None:
            self.model = get_peft_model(base, lora)
        else:
            self.model = PeftModel.from_pretrained(base, str(init_from), is_trainable=True)
        if model.gradient_checkpointing:
            self.model.gradient_checkpointing_enable()
            self.model.enable_input_require_grads()
        self.model.eval()  # dropout only inside an update
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        if algo is not None:
            self.optimizer = torch.optim.AdamW(
                self.parameters, lr=algo.lr, betas=tuple(algo.betas), weight_decay=algo.weight_decay
            )
            self.max_gap = algo.max_logp_gap if algo.max_logp_gap is not None else MAX_LOGP_GAP[self.dtype]
        self.version = 0
        self.bad_steps = 0

    # ---------------------------------------------------------------- the update

    def update(
        self,
        batch: Sequence[tuple[Group, Pick]],
        generated: Sequence[Group],
        *,
        group_size: int,
        target_groups: int,
        rollouts: int,
    ) -> UpdateInfo:
        """One optimisation phase.

        Args:
            batch: groups and what of them is trained on.
            generated: every group of this step: the token loss is divided by their mean length.
            rollouts: generated for training so far, this step included: the learning rate's clock.

        Raises:
            CanaryError: the engine's log-probs are not the trainer's. Nothing has been changed.
            NonFiniteError: the loss was not finite in ``algo.max_bad_steps`` consecutive steps.
        """
        rows, abs_advantage = rows_of(
            batch,
            generated,
            prompts=self.prompts,
            version=self.version,
            algo=self.algo,
            group_size=group_size,
            target_groups=target_groups,
            max_new_tokens=self.cfg.max_new_tokens,
        )
        metrics = {"train/live_rollouts": float(len(rows))}
        if abs_advantage:
            metrics["train/advantage_abs"] = float(np.mean(list(abs_advantage.values())))
        if not rows:  # nothing to learn from: no optimiser step, the canary all the same
            metrics |= self._canary(canary_rows(batch, generated, self.prompts, self.version))
            self.version += 1
            return UpdateInfo(metrics, abs_advantage)
        lr = self.algo.lr * min(1.0, rollouts / max(1, self.algo.warmup_rollouts))
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        torch.manual_seed(row_key(("dropout", self.seed), "", self.version))  # only LoRA dropout draws from it
        passes = self.algo.epochs * self.algo.minibatches
        old = self.logps(rows) if passes > 1 or self.cfg.lora.dropout > 0 else None
        totals = Totals()
        if old is not None:
            totals.add_gap(rows, old)
            self._check(totals)
        for part in self._passes(rows):
            self._optimise(
                [rows[i] for i in part],
                None if old is None else [old[i] for i in part],
                totals,
                scale=float(self.algo.minibatches),
            )
        self.version += 1
        return UpdateInfo(metrics | totals.metrics() | {"train/lr": lr}, abs_advantage)

    def _passes(self, rows: Sequence[Row]) -> Iterator[list[int]]:
        """Indices of the rows of each optimiser step: epochs x minibatches."""
        for epoch in range(self.algo.epochs):
            order = np.arange(len(rows))
            if self.algo.minibatches > 1:
                order = np.random.default_rng((self.seed, self.version, epoch)).permutation(len(rows))
            yield from ([int(i) for i in part] for part in np.array_split(order, self.algo.minibatches) if len(part))

    def _optimise(self, rows: Sequence[Row], old: Sequence[Tensor] | None, totals: Totals, scale: float) -> None:
        """One optimiser step on ``rows``; the loss of a minibatch is scaled so that its mean size is the batch's."""
        self.optimizer.zero_grad(set_to_none=True)
        self.model.train(self.cfg.lora.dropout > 0)
        for batch in grpo.micro_batches([len(r) for r in rows], self.cfg.micro_batch_tokens):
            part = [rows[i] for i in batch]
            logp = self._forward(part)
            if old is None:
                before = logp.detach()
                totals.add_gap(part, before.split([len(r.tokens) for r in part]))
            else:
                before = torch.cat([old[i] for i in batch])
            reference = self._reference(part) if self.algo.kl > 0 else None
            out = grpo.token_loss(
                logp,
                before,
                self._per_token(part, lambda r: r.engine_logp),
                self._per_token(part, lambda r: np.full(len(r.tokens), r.advantage)),
                fresh=self._per_token(part, lambda r: np.full(len(r.tokens), r.fresh)).bool(),
                clip_low=self.algo.clip_low,
                clip_high=self.algo.clip_high,
                is_cap=self.algo.is_cap,
                ref_logp=reference,
                kl=self.algo.kl,
            )
            weight = self._per_token(part, lambda r: np.full(len(r.tokens), r.weight)) * scale
            loss = (out.loss * weight).sum()
            loss.backward()
            totals.add_loss(float(loss.detach()), out, before)
        self.model.eval()
        if old is None:
            self._check(totals)
        self._step(totals)

    def _step(self, totals: Totals) -> None:
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.algo.max_grad_norm)
        if np.isfinite(totals.loss) and bool(torch.isfinite(norm)):
            self.optimizer.step()
            totals.grad_norm = float(norm)
            self.bad_steps = 0
            return
        totals.skipped += 1
        self.bad_steps += 1
        log.warning("non-finite loss or gradient: optimiser step skipped (%d in a row)", self.bad_steps)
        if self.bad_steps >= self.algo.max_bad_steps:
            raise NonFiniteError(
                f"the loss was not finite in {self.bad_steps} consecutive steps "
                f"(algo.max_bad_steps={self.algo.max_bad_steps}); lower algo.lr={self.algo.lr:g}"
            )

    # ---------------------------------------------------------------- log-probs

    def _forward(self, rows: Sequence[Row]) -> Tensor:
        """Log-probs float32 [M] of all completion tokens, row after row, at the training temperature.

        Rows are padded on the right: with causal attention no padding is ever seen, so no mask is needed. The
        vocabulary projection is computed on completion positions only.
        """
        width = max(len(r) for r in rows)
        ids = np.full((len(rows), width), self.prompts.pad, np.int64)
        where_row, where_col = [], []
        for i, r in enumerate(rows):
            ids[i, : len(r)] = np.concatenate([r.prompt, r.tokens])
            where_row.append(np.full(len(r.tokens), i))
            where_col.append(np.arange(len(r.prompt) - 1, len(r) - 1))  # the position that predicts each token
        row, col = (torch.from_numpy(np.concatenate(w)).to(self.device) for w in (where_row, where_col))
        causal = self.model.get_base_model()
        hidden = causal.base_model(input_ids=torch.from_numpy(ids).to(self.device), use_cache=False).last_hidden_state
        logits = causal.get_output_embeddings()(hidden[row, col]).float() / self.algo.temperature
        targets = torch.from_numpy(np.concatenate([r.tokens for r in rows]).astype(np.int64)).to(self.device)
        return -torch.nn.functional.cross_entropy(logits, targets, reduction="none")

    @torch.no_grad()
    def logps(self, rows: Sequence[Row]) -> list[Tensor]:
        """Log-probs of each row's tokens, no gradient, no dropout."""
        out: list[Tensor | None] = [None] * len(rows)
        for batch in grpo.micro_batches([len(r) for r in rows], self.cfg.micro_batch_tokens):
            part = [rows[i] for i in batch]
            for i, logp in zip(batch, self._forward(part).split([len(r.tokens) for r in part]), strict=True):
                out[i] = logp
        return [logp for logp in out if logp is not None]

    def _reference(self, rows: Sequence[Row]) -> Tensor:
        with torch.no_grad(), self.model.disable_adapter():
            return self._forward(rows)

    def _per_token(self, rows: Sequence[Row], value: Any) -> Tensor:
        flat = np.concatenate([np.asarray(value(r), np.float32) for r in rows])
        return torch.from_numpy(flat).to(self.device)

    # ---------------------------------------------------------------- canary

    def _canary(self, rows: Sequence[Row]) -> dict[str, float]:
        totals = Totals()
        if rows:
            totals.add_gap(rows, self.logps(rows))
            self._check(totals)
        return totals.gap_metrics()

    def _check(self, totals: Totals) -> None:
        if not totals.gap <= self.max_gap:  # also when it is not a number
            self.optimizer.zero_grad(set_to_none=True)
            raise CanaryError(
                f"the engine does not sample from the policy that is trained: mean |logp engine - logp trainer| is "
                f"{totals.gap:.3g} nats a token over {totals.gap_tokens} tokens, wanted at most {self.max_gap:g} for "
                f"{self.dtype} (algo.max_logp_gap); policy version {self.version}"
            )

    # ---------------------------------------------------------------- files

    def save_weights(self, folder: Path) -> None:
        """The adapter, as peft and vLLM read it."""
        self.model.save_pretrained(str(folder))

    def save(self, folder: Path) -> None:
        self.save_weights(folder / "adapter")
        state = {"optimizer": self.optimizer.state_dict(), "version": self.version, "bad_steps": self.bad_steps}
        torch.save(state, folder / "optimizer.pt")

    def load(self, folder: Path) -> None:
        from peft import load_peft_weights, set_peft_model_state_dict

        set_peft_model_state_dict(self.model, load_peft_weights(str(folder / "adapter"), device=str(self.device)))
        state = torch.load(folder / "optimizer.pt", map_location=self.device, weights_only=True)
        self.optimizer.load_state_dict(state["optimizer"])
        self.version, self.bad_steps = state["version"], state["bad_steps"]


def load_base(model: Any, dtype: torch.dtype, device: torch.device) -> torch.nn.Module:
    """The base model, frozen, in evaluation mode."""
    from transformers import AutoModelForCausalLM
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    try:
        base = AutoModelForCausalLM.from_pretrained(model_source(model.path), revision=model.revision, dtype=dtype)
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"model.path={model.path}: no model could be loaded ({reason}); "
            "give a folder or, with a network, a name on the hub"
        ) from error
    return base.to(device).eval().requires_grad_(False)


def _dtype(name: str, device: torch.device) -> torch.dtype:
    if name == "auto":
        return torch.bfloat16 if device.type == "cuda" else torch.float32
    return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[name]


def _targets(targets: Any) -> str | list[str]:
    return targets if isinstance(targets, str) else list(targets)
