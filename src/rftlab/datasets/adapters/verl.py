"""Files in verl's layout that carry pass rates of models: AdaRFT's DeepScaleR, and GURU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from rftlab.datasets.rows import BadRow, Row, mapped

GURU_RATES = ("qwen2.5_7b_pass_rate", "qwen3_30b_pass_rate")


def deepscaler(found: Sequence[Row]) -> list[Row]:
    """``pass_rate`` and ``difficulty`` from ``extra_info.difficulty`` = 100 (1 - passed / 128).

    A prompt that was measured more than once has the mean. One that stands there with two answers is a defect, as no
    one can tell which is right; so is one that holds its own answer.
    """
    rows = mapped(found, _with_difficulty)
    same: dict[str, list[Mapping[str, Any]]] = {}
    for row in rows:
        if row.defect is None:
            same.setdefault(row.fields["asked"], []).append(row.fields)
    return [row if row.defect is not None else _settled(row, same[row.fields["asked"]]) for row in rows]


def _with_difficulty(fields: dict[str, Any]) -> Mapping[str, Any]:
    info, prompt = fields.get("extra_info"), fields.get("prompt")
    difficulty = info.get("difficulty") if isinstance(info, dict) else None
    if not isinstance(difficulty, int | float) or not 0 <= difficulty <= 100:
        raise BadRow(f"has {difficulty!r:.40} for 'extra_info.difficulty', wanted a number in [0, 100]")
    if _told(str(prompt), str((fields.get("reward_model") or {}).get("ground_truth"))):
        raise BadRow("holds its own answer in a \\boxed{}")
    return fields | {"difficulty": difficulty, "asked": str(prompt), "measured": info.get("index")}


def _told(prompt: str, answer: str) -> bool:
    """Whether the question has its answer filled in: some blanks of the source came with it."""
    squeezed = "".join(prompt.replace("\\\\", "\\").split())  # the text of a list doubles its backslashes
    return any(f"\\boxed{{{form}}}" in squeezed for form in ("".join(answer.split()), f"\\text{{{answer}}}"))


def _settled(row: Row, same: Sequence[Mapping[str, Any]]) -> Row:
    answers = {str((fields.get("reward_model") or {}).get("ground_truth")).replace(" ", "") for fields in same}
    if len(answers) > 1:
        return replace(row, defect=f"has {len(answers)} answers among the rows with its prompt")
    measured = {fields["measured"]: fields["difficulty"] for fields in same}
    difficulty = float(np.mean(list(measured.values())))
    fields = {key: value for key, value in row.fields.items() if key not in ("asked", "measured")}
    answer = (same[0].get("reward_model") or {}).get("ground_truth")
    return replace(row, fields=fields | {"answer": answer, "difficulty": difficulty, "pass_rate": 1 - difficulty / 100})


def guru(found: Sequence[Row]) -> list[Row]:
    """Pass rates that stand in ``extra_info``, some as text, taken out of it."""

    def change(fields: dict[str, Any]) -> Mapping[str, Any]:
        info = fields.get("extra_info") if isinstance(fields.get("extra_info"), dict) else {}
        return fields | {key: info[key] for key in GURU_RATES if fields.get(key) is None and key in info}

    return mapped(found, change)
