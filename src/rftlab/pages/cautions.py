"""What a reader of one run should be warned of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from rftlab.pages.record import Record
from rftlab.pages.words import count, number, share

TRUNCATED, UNPARSABLE, UNDERFILLED = 0.2, 0.2, 0.1
"""Shares above which a run is warned of."""
CANARY = {"float32": 5e-4, "bfloat16": 0.015}
"""nat, by the precision of the weights: half of the gap that stops a run."""


class Caution(NamedTuple):
    """``severity`` is "bad" (the numbers may be wrong), "look" (they may mislead) or "note"."""

    severity: str
    text: str


def cautions(record: Record) -> list[Caution]:
    """All that hold, the worst first."""
    found = [caution for check in CHECKS for caution in check(record)]
    return sorted(found, key=lambda caution: ("bad", "look", "note").index(caution.severity))


def _unfinished(record: Record) -> Iterator[Caution]:
    state = record.state
    if state.state != "done":
        why = f": {state.reason}" if state.reason else ""
        of = f" of {state.steps:,}" if state.steps else ""
        yield Caution("bad", f"The run is {state.state} at step {state.step:,}{of}{why}; its end points are not final.")


def _faults(record: Record) -> Iterator[Caution]:
    for key, what in (("verdict/fault", "training"), ("eval/faults", "evaluation")):
        if (worst := _max(record, key)) > 0:
            yield Caution(
                "bad", f"Up to {share(worst)} of the {what} rollouts of a step could not be graded and were left out."
            )


def _canary(record: Record) -> Iterator[Caution]:
    gap = _max(record, "sync/logp_gap")
    stops = record.setting("algo.max_logp_gap")
    if gap > (stops / 2 if stops else CANARY.get(str(record.identity.get("precision")), CANARY["bfloat16"])):
        yield Caution(
            "bad", f"Engine and trainer disagreed by {number(gap)} nat on sampled tokens: was the same policy sampled?"
        )


def _skipped(record: Record) -> Iterator[Caution]:
    if total := np.nansum(record.column("train/skipped")):
        yield Caution("bad", f"{count(total)} optimiser steps were left out: loss or gradient was not finite.")


def _truncated(record: Record) -> Iterator[Caution]:
    for key, what in (("completion/truncated", "training"), ("eval/truncated", "evaluation")):
        if (worst := _max(record, key)) > TRUNCATED:
            yield Caution(
                "look",
                f"Up to {share(worst)} of the {what} completions were cut at max_new_tokens: raise "
                "model.max_new_tokens, or accuracy measures length.",
            )


def _unparsable(record: Record) -> Iterator[Caution]:
    if (end := record.last("eval/unparsable")) > UNPARSABLE:
        yield Caution("look", f"In {share(end)} of the last evaluation's completions no answer was found.")


def _underfill(record: Record) -> Iterator[Caution]:
    if (end := record.last("sampler/underfilled_share")) > UNDERFILLED:
        yield Caution(
            "look",
            f"{share(end)} of the steps trained on fewer groups than budget.prompts: smaller batches, not only other "
            "tasks.",
        )


def _references(record: Record) -> Iterator[Caution]:
    if (cost := record.last("ledger/reference_rollouts")) > 0:
        yield Caution(
            "look",
            f"The sampler read reference pass rates that had cost {count(cost)} rollouts; they are beside the ledger, "
            "not in it.",
        )


def _no_gain(record: Record) -> Iterator[Caution]:
    values = record.known("eval/accuracy")
    if len(values) > 1 and values[-1] < values[0]:
        yield Caution(
            "look", f"Accuracy ended below its start: {share(float(values[-1]))} after {share(float(values[0]))}."
        )


def _resumed(record: Record) -> Iterator[Caution]:
    starts = record.identity.get("starts", [])
    if len(starts) > 1:
        versions = {str(sorted(start.get("versions", {}).items())) for start in starts}
        gits = {str(start.get("git")) for start in starts}
        mixed = len(versions) > 1 or len(gits) > 1
        text = f"The run was started {len(starts)} times" + (", with different versions of the code." if mixed else ".")
        yield Caution("look" if mixed else "note", text)


def _uncommitted(record: Record) -> Iterator[Caution]:
    if any(str(start.get("git") or "").endswith("+") for start in record.identity.get("starts", [])):
        yield Caution("note", "The code had uncommitted changes: the commit alone does not give this run again.")


def _max(record: Record, key: str) -> float:
    values = record.known(key)
    return float(values.max()) if len(values) else 0.0


CHECKS: tuple[Callable[[Record], Iterator[Caution]], ...] = (
    _unfinished,
    _faults,
    _canary,
    _skipped,
    _truncated,
    _unparsable,
    _underfill,
    _references,
    _no_gain,
    _resumed,
    _uncommitted,
)
