"""The trained model: a frozen base with a LoRA adapter, and its update."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor

from rftlab import grpo
from rftlab.core import Group, Pick, UpdateInfo
from rftlab.engines.keyed import row_key
from rftlab.models import device_of_choice, dtype_of, load_base, with_adapter
from rftlab.prompts import Prompts
from rftlab.update import Row, Totals, canary_rows, project, rows_of

log = logging.getLogger(__name__)

MAX_LOGP_GAP = {torch.float32: 1e-3, torch.bfloat16: 0.03}
"""Canary: largest tolerated mean |logp engine - logp trainer| by the dtype of the weights, in nats per token.

At temperature 1; a lower one raises it in proportion. What an engine does wrong shows once it has moved the log-probs
by more than that: at once in float32 (healthy gaps are about 1e-6); in bfloat16, where healthy gaps are about 5e-3 and
reach 2e-2 at high learning rates, a stale engine shows when the policy has moved on far enough.
"""


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
        self.cfg, self.algo, self.prompts, self.seed = model, algo, prompts, seed
        self.device = device_of_choice()
        self.dtype = dtype_of(model.dtype, self.device)
        self.precision = str(self.dtype).removeprefix("torch.")
        base = load_base(model, self.dtype, self.device)
        self.model = with_adapter(base, model, seed, init_from, train=algo is not None)
        if model.gradient_checkpointing:
            self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self.model.eval()  # dropout only inside an update
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        if algo is not None:
            self.optimizer = torch.optim.AdamW(
                self.parameters, lr=algo.lr, betas=tuple(algo.betas), weight_decay=algo.weight_decay
            )
            # dividing logits by a low temperature magnifies their rounding
            by_dtype = MAX_LOGP_GAP[self.dtype] * max(1.0, 1.0 / algo.temperature)
            self.max_gap = algo.max_logp_gap if algo.max_logp_gap is not None else by_dtype
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
        totals = Totals()
        metrics = {"train/live_rollouts": float(sum(row.advantage != 0 for row in rows))}
        if abs_advantage:
            metrics["train/advantage_abs"] = float(np.mean(list(abs_advantage.values())))
        if not any(row.fresh for row in rows):  # the update itself will not see the engine's newest work
            self._canary(generated, totals)
        if not rows:  # nothing to learn from: no optimiser step
            self.version += 1
            return UpdateInfo(metrics | totals.gap_metrics(), abs_advantage)
        lr = self.algo.lr * min(1.0, rollouts / max(1, self.algo.warmup_rollouts))
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        torch.manual_seed(row_key(("dropout", self.seed), "", self.version))  # only the adapter's dropout draws from it
        passes = list(self._passes(rows))
        old = self.logps(rows) if len(passes) > 1 or self.cfg.lora.dropout > 0 else None
        if old is not None:
            totals.add_gap(torch.cat(old), *self._engine(rows))
            self._check(totals)
        for part in passes:
            self._optimise([rows[i] for i in part], None if old is None else [old[i] for i in part], totals)
        self._count_bad(totals.skipped > 0)
        self.version += 1
        return UpdateInfo(metrics | totals.metrics(len(passes)) | {"train/lr": lr}, abs_advantage)

    def _passes(self, rows: Sequence[Row]) -> Iterator[list[int]]:
        """Indices of the rows of each optimiser step: epochs x minibatches."""
        for epoch in range(self.algo.epochs):
            order = np.arange(len(rows))
            if self.algo.minibatches > 1:
                order = np.random.default_rng((self.seed, self.version, epoch)).permutation(len(rows))
            yield from ([int(i) for i in part] for part in np.array_split(order, self.algo.minibatches) if len(part))

    def _optimise(self, rows: Sequence[Row], old: Sequence[Tensor] | None, totals: Totals) -> None:
        """One optimiser step on ``rows``; the loss of a minibatch is scaled so that its mean size is the batch's."""
        self.optimizer.zero_grad(set_to_none=True)
        self._train_mode(True)
        loss = 0.0
        for batch in grpo.micro_batches([len(r) for r in rows], self.cfg.micro_batch_tokens):
            part = [rows[i] for i in batch]
            logp = self._forward(part)
            before = logp.detach() if old is None else torch.cat([old[i] for i in batch])
            engine, fresh = self._engine(part)
            if old is None:
                totals.add_gap(before, engine, fresh)
            out = grpo.token_loss(
                logp,
                before,
                engine,
                self._per_token(part, lambda r: r.advantage),
                fresh=fresh,
                clip_low=self.algo.clip_low,
                clip_high=self.algo.clip_high,
                is_cap=self.algo.is_cap,
                ref_logp=self._reference(part) if self.algo.kl > 0 else None,
                kl=self.algo.kl,
            )
            weighted = (out.loss * self._per_token(part, lambda r: r.weight)).sum() * self.algo.minibatches
            weighted.backward()
            loss += float(weighted.detach())
            totals.add(out, before)
        self._train_mode(False)
        if old is None:
            self._check(totals)
        totals.loss += loss
        self._step(loss, totals)

    def _step(self, loss: float, totals: Totals) -> None:
        """Moves the weights, unless loss or gradient is not finite."""
        norm = torch.nn.utils.clip_grad_norm_(self.parameters, self.algo.max_grad_norm)
        if np.isfinite(loss) and bool(torch.isfinite(norm)):
            self.optimizer.step()
            totals.grad_norm = float(norm)
        else:
            totals.skipped += 1

    def _count_bad(self, bad: bool) -> None:
        """Raises ``NonFiniteError`` after too many training steps in a row with a skipped optimiser step."""
        self.bad_steps = self.bad_steps + 1 if bad else 0
        if bad:
            log.warning("non-finite loss or gradient: optimiser step skipped (%d in a row)", self.bad_steps)
        if self.bad_steps >= self.algo.max_bad_steps:
            raise NonFiniteError(
                f"the loss was not finite in {self.bad_steps} consecutive steps "
                f"(algo.max_bad_steps={self.algo.max_bad_steps}); lower algo.lr={self.algo.lr:g}"
            )

    def _train_mode(self, on: bool) -> None:
        """Training mode for gradient checkpointing and the adapter's dropout only: the base's own dropouts stay off."""
        self.model.train(on and (self.cfg.gradient_checkpointing or self.cfg.lora.dropout > 0))
        for name, module in self.model.named_modules():
            if isinstance(module, torch.nn.Dropout) and "lora_dropout" not in name:
                module.eval()

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
        targets = torch.from_numpy(np.concatenate([r.tokens for r in rows]).astype(np.int64)).to(self.device)
        return project(causal.get_output_embeddings(), hidden[row, col], targets, self.algo.temperature)

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

    def _per_token(self, rows: Sequence[Row], value: Callable[[Row], Any]) -> Tensor:
        """``value(row)``, a number or one for each token, as float32 [M]."""
        flat = np.concatenate([np.broadcast_to(np.asarray(value(r), np.float32), len(r.tokens)) for r in rows])
        return torch.from_numpy(flat).to(self.device)

    def _engine(self, rows: Sequence[Row]) -> tuple[Tensor, Tensor]:
        """The engine's log-probs float32 [M], and whether the present version sampled each token, bool [M]."""
        return self._per_token(rows, lambda r: r.engine_logp), self._per_token(rows, lambda r: r.fresh).bool()

    # ---------------------------------------------------------------- canary

    def _canary(self, generated: Sequence[Group], totals: Totals) -> None:
        """Looks at a few of the step's own rollouts when the update will not."""
        rows = canary_rows(generated, self.prompts, self.version)
        if rows:
            self.add_gap(rows, totals)
            self._check(totals)
        elif any(group.completions for group in generated):
            raise CanaryError(
                f"the engine sampled version {generated[0].completions[0].version}, the policy is at {self.version}: "
                "it has not taken over the newest weights"
            )

    def add_gap(self, rows: Sequence[Row], totals: Totals) -> None:
        """Adds how far the engine's log-probs of ``rows`` are from the policy's."""
        totals.add_gap(torch.cat(self.logps(rows)), *self._engine(rows))

    def _check(self, totals: Totals) -> None:
        if not totals.gap <= self.max_gap and not totals.broken:  # "not <=": also when the engine has no number
            self.optimizer.zero_grad(set_to_none=True)
            raise CanaryError(
                f"the engine does not sample from the policy that is trained: mean |logp engine - logp trainer| is "
                f"{totals.gap:.3g} nats a token over {totals.gap_tokens} tokens, wanted at most {self.max_gap:g} for "
                f"{self.dtype} (algo.max_logp_gap); policy version {self.version}"
            )

    # ---------------------------------------------------------------- files

    def save_weights(self, folder: Path) -> None:
        """The adapter, as peft and vLLM read it."""
        try:
            self.model.save_pretrained(str(folder), save_embedding_layers=False)  # "auto" asks the hub in every save
        except SafetensorError as error:  # it has no errno of its own
            found = re.search(r"os error (\d+)", str(error))
            raise OSError(int(found[1]) if found else 5, str(error), str(folder)) from error

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
