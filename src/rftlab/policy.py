"""The trained model: a frozen base with a LoRA adapter, and its update."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import Tensor
from torch.utils._pytree import tree_map_only

from rftlab import grpo
from rftlab.canary import Canary, CanaryError
from rftlab.core import Group, Pick, UpdateInfo
from rftlab.engines.keyed import row_key
from rftlab.forward import Forward, Micro
from rftlab.models import device_of_choice, dtype_of, load_base, training_modules, with_adapter
from rftlab.prompts import Prompts
from rftlab.ranks import Alone
from rftlab.update import Row, Totals, canary_rows, engines_of, minibatches, rows_of

log = logging.getLogger(__name__)


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
        ranks: those that train this policy together.
    """

    def __init__(
        self,
        model: Any,
        algo: Any,
        prompts: Prompts,
        seed: int,
        init_from: Path | None = None,
        ranks: Alone | None = None,
    ) -> None:
        self.cfg, self.algo, self.prompts, self.seed = model, algo, prompts, seed
        self.ranks = ranks or Alone()
        self.device = device_of_choice()
        self.dtype = dtype_of(model.dtype, self.device)
        self.precision = str(self.dtype).removeprefix("torch.")
        if self.device.type == "cuda" and self.dtype == torch.bfloat16:
            torch.set_float32_matmul_precision("high")  # the adapter's products: finer than the base's, at its speed
        base = load_base(model, self.dtype, self.ranks.cradle(self.device))
        self.model = self.ranks.placed(with_adapter(base, model, seed, init_from, train=algo is not None), self.device)
        if model.gradient_checkpointing:
            self.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        self.model.eval()
        self._switched = training_modules(self.model, model)
        self.parameters = [p for p in self.model.parameters() if p.requires_grad]
        if algo is not None:
            self.forward = Forward(self.model, model, algo, self.device, prompts.pad, self.ranks)
            self.optimizer = torch.optim.AdamW(
                self.parameters, lr=algo.lr, betas=tuple(algo.betas), weight_decay=algo.weight_decay, fused=True
            )
            self.canary = Canary.of(algo, self.dtype)
        self.version = 0
        self.bad_steps = 0

    @property
    def max_gap(self) -> float:
        """Largest tolerated mean |logp engine - logp trainer|, in nats a token."""
        return self.canary.max_gap

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
        rows, advantages = rows_of(
            batch,
            generated,
            prompts=self.prompts,
            version=self.version,
            algo=self.algo,
            group_size=group_size,
            target_groups=target_groups,
            max_new_tokens=self.cfg.max_new_tokens,
        )
        abs_advantage = {task: float(np.abs(a).mean()) for task, a in advantages.items()}
        metrics = {"train/live_rollouts": float(sum(row.advantage != 0 for row in rows))}
        if abs_advantage:
            metrics["train/advantage_abs"] = float(np.mean(list(abs_advantage.values())))
        apart = self._canary(generated, {row.engine for row in rows if row.fresh})
        lr = self.algo.lr * min(1.0, rollouts / max(1, self.algo.warmup_rollouts))
        totals = self.train(rows, lr)
        if rows:
            metrics |= {"train/lr": lr} | totals.metrics()
        return UpdateInfo(apart | metrics, abs_advantage, advantages)

    def train(self, rows: Sequence[Row], lr: float) -> Totals:
        """Epochs x minibatches of optimiser steps on ``rows``; no rows, no step. Every rank does this on equal rows.

        A rank takes its share of every minibatch; gradients and totals are summed, so that all ranks check the same
        numbers, take the same step and raise the same error.
        """
        mine, passes = set(self.ranks.share(rows)), minibatches(len(rows), self.algo, (self.seed, self.version))
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        torch.manual_seed(row_key(("dropout", self.seed), "", self.version))  # only the adapter's dropout draws from it
        totals, old = Totals(self.device, engines_of(rows)), {}
        if len(passes) > 1 or (passes and self.cfg.lora.dropout > 0):
            old = self._before([(i, row) for i, row in enumerate(rows) if i in mine], totals)
        steps = len(passes) // self.algo.epochs
        with self._all_or_nothing(len(passes)), self._gradient() as gradient:
            for part in passes:
                share, summed = [i for i in part if i in mine], Totals(self.device, engines_of(rows))
                self._optimise([rows[i] for i in share], [old[i] for i in share if old], gradient, steps, summed)
                totals.merge(summed)
        self._count_bad(totals.skipped > 0)
        self.version += 1
        return totals

    def _before(self, rows: Sequence[tuple[int, Row]], totals: Totals) -> dict[int, Tensor]:
        """Log-probs of numbered rows before the first of several steps; the engine is checked here, once."""
        old = dict(zip((i for i, _ in rows), self.add_gap([row for _, row in rows], totals), strict=True))
        totals.reduce(self.ranks)
        self.canary.check(totals, self.version)
        return old

    @contextmanager
    def _all_or_nothing(self, steps: int) -> Iterator[None]:
        """Takes back the optimiser steps before one that fails; of the very first, the moments that it has begun."""
        state = {"parameters": [p.data for p in self.parameters], "optimizer": self.optimizer.state_dict()}
        takes_back = steps > 1 or not self.optimizer.state  # any other single step fails before it moves anything
        before = tree_map_only(Tensor, lambda t: t.to("cpu", copy=True), state) if takes_back else None
        try:
            yield
        except BaseException:
            if before is not None:
                for p, value in zip(self.parameters, before["parameters"], strict=True):
                    p.data.copy_(value)
                self.optimizer.load_state_dict(before["optimizer"])
            raise

    @contextmanager
    def _gradient(self) -> Iterator[Tensor]:
        """The gradient of all parameters in one flat tensor: one norm, one sum over ranks."""
        flat = torch.zeros(sum(p.numel() for p in self.parameters), device=self.device)
        for p, part in zip(self.parameters, flat.split([p.numel() for p in self.parameters]), strict=True):
            p.grad = part.view_as(p)
        try:
            yield flat
        finally:
            self.optimizer.zero_grad(set_to_none=True)

    def _optimise(self, rows: Sequence[Row], old: list[Tensor], gradient: Tensor, steps: int, totals: Totals) -> None:
        """One optimiser step on this rank's ``rows``, summed in ``totals``.

        Their loss is multiplied by ``steps``, those of an epoch, so that its mean size is the batch's.
        ``old`` is empty when this is the only step: then the forward's own log-probs are those at its start.
        """
        gradient.zero_()
        self._switch(True)
        for batch, micro in self.forward.micros(rows):
            logp = self.forward.logp(micro)
            before = torch.cat([old[i] for i in batch]) if old else logp.detach()
            weight = self._weight(before, micro)
            if not old:
                totals.add_sync(before, micro.engine_logp, weight, micro.fresh, micro.engine)
            out = grpo.token_loss(
                logp,
                torch.where(micro.fresh, before, micro.engine_logp),
                micro.advantage,
                torch.ones_like(weight) if self.algo.is_weight == "none" else weight.clamp(max=self.algo.is_cap),
                clip_low=self.algo.clip_low,
                clip_high=self.algo.clip_high,
                ref_logp=self.forward.reference(micro) if self.algo.kl > 0 else None,
                kl=self.algo.kl,
            )
            loss = (out.loss * micro.weight).sum() * steps
            loss.backward()
            totals.add(out, before, loss, micro.fresh, micro.ids.numel(), micro.padding)
        self._switch(False)
        self.ranks.sum_(gradient)
        totals.reduce(self.ranks)
        self.canary.check(totals, self.version)
        self._step(gradient, totals)

    def _weight(self, logp: Tensor, micro: Micro) -> Tensor:
        """Importance weights [M] before the cap; ``logp`` is the trainer's at step start."""
        old = torch.where(micro.fresh, logp, micro.engine_logp)
        return grpo.importance(old, micro.engine_logp, micro.row, form=self.algo.is_weight)

    def _step(self, gradient: Tensor, totals: Totals) -> None:
        """Moves the weights, unless loss or gradient is not finite."""
        norm = float(torch.linalg.vector_norm(gradient))
        totals.steps, totals.grad_norm = 1, norm
        if np.isfinite(totals.read()["loss"]) and np.isfinite(norm):
            gradient.mul_(min(1.0, self.algo.max_grad_norm / (norm + 1e-6)))
            self.optimizer.step()
        else:
            totals.skipped = 1

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

    def _switch(self, on: bool) -> None:
        """Training mode for gradient checkpointing and the adapter's dropout only: the base's own dropouts stay off."""
        for module in self._switched:
            module.training = on

    # ---------------------------------------------------------------- canary

    def logps(self, rows: Sequence[Row]) -> list[Tensor]:
        """Log-probs of each row's tokens, no gradient, no dropout."""
        return self.add_gap(rows, Totals(self.device, engines_of(rows)))

    def _canary(self, generated: Sequence[Group], seen: set[int]) -> dict[str, float]:
        """Looks at a few of the step's own rollouts by engines that the update itself will not have ``seen``."""
        rows = canary_rows(generated, self.prompts, self.version, seen)
        versions = {c.engine: c.version for group in generated for c in group.completions}
        for engine in versions.keys() - seen - {row.engine for row in rows}:
            raise CanaryError(
                f"the engine sampled version {versions[engine]}, the policy is at {self.version}: "
                "it has not taken over the newest weights"
            )
        if not rows:
            return {}
        totals = Totals(self.device, engines_of(rows))
        self.add_gap(rows, totals)
        self.canary.check(totals, self.version)
        return totals.sync_metrics()

    def add_gap(self, rows: Sequence[Row], totals: Totals) -> list[Tensor]:
        """Adds how far the engine's log-probs of ``rows`` are from the policy's, and returns those."""
        found: dict[int, Tensor] = {}
        with torch.no_grad():
            for batch, micro in self.forward.micros(rows):
                logp = self.forward.logp(micro)
                totals.add_sync(logp, micro.engine_logp, self._weight(logp, micro), micro.fresh, micro.engine)
                found |= zip(batch, logp.split([len(rows[i].tokens) for i in batch]), strict=True)
        return [found[i] for i in range(len(rows))]

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
