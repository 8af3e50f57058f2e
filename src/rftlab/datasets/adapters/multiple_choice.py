"""Multiple choice as five benchmarks publish it: the options' texts become a list, the answer a letter."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from rftlab.datasets.rows import BadRow, Row, mapped

_LABEL = re.compile(r"\(?([A-Z])\)\s*")
_LETTERED = re.compile(r"^\(([A-Z])\) ?(.*)$", re.MULTILINE)
_LISTED = re.compile(r"^- (.+?) *$", re.MULTILINE)
_SIZES = {"three": 3, "five": 5, "seven": 7}


def mmlu(found: Sequence[Row]) -> list[Row]:
    """``choices`` and ``answer``, the position of the right one."""

    def change(fields: dict[str, Any]) -> Mapping[str, Any]:
        options, position = list(fields["choices"]), fields["answer"]
        if position not in range(len(options)):
            raise BadRow(f"has the answer {position!r}, wanted a position among {len(options)} choices")
        return _task(fields, fields["question"], options, chr(ord("A") + position))

    return _unanimous(mapped(found, _checked(change)), "prompt", "answer")


def aqua(found: Sequence[Row]) -> list[Row]:
    """``options`` as ``A)21``; ``correct`` is the letter."""

    def change(fields: dict[str, Any]) -> Mapping[str, Any]:
        return _task(fields, fields["question"], _unlabelled(fields["options"]), fields["correct"])

    return mapped(found, _checked(change))


def agieval(found: Sequence[Row]) -> list[Row]:
    """A ``passage``, which may be empty, ``options`` as ``(A)21``; ``label`` is the letter, the file the category."""

    def change(fields: dict[str, Any]) -> Mapping[str, Any]:
        question = "\n\n".join(part for part in (fields.get("passage"), fields["question"]) if part)
        return _task(fields, question, _unlabelled(fields["options"]), fields["label"])

    return _with_category(mapped(found, _checked(change)))


def bbh(found: Sequence[Row]) -> list[Row]:
    """``input`` with its options at the end, as ``(A) text`` or ``- text``, or without; ``target`` as it must be said.

    The options of true/false and yes/no tasks that list none are those. ``objects`` is the size of a logical deduction.
    """

    def change(fields: dict[str, Any]) -> Mapping[str, Any]:
        text, target = str(fields["input"]), str(fields["target"])
        lettered = _LETTERED.findall(text)
        _, mark, after = text.rpartition("Options:")
        options = [option for _, option in lettered] or (_LISTED.findall(after) if mark else [])
        for pair in (["True", "False"], ["Yes", "No"]):
            if target in pair and not lettered:
                options = pair
        letter = re.fullmatch(r"\(([A-Z])\)", target)
        if lettered and (not letter or letter[1] not in [label for label, _ in lettered]):
            raise BadRow(f"has the target {target!r}, which is none of its options")
        return {**fields, "options": options} if options else fields

    return [
        replace(row, fields={**row.fields, "objects": _SIZES[size[1]]})
        if (size := re.search("logical_deduction_(three|five|seven)_objects", str(row.fields.get("category"))))
        else row
        for row in _with_category(_unanimous(mapped(found, _checked(change)), "input", "target"))
    ]


def _checked(change: Callable[[dict[str, Any]], Mapping[str, Any]]) -> Callable[[dict[str, Any]], Mapping[str, Any]]:
    def checked(fields: dict[str, Any]) -> Mapping[str, Any]:
        try:
            return change(fields)
        except (KeyError, TypeError) as error:
            raise BadRow(f"is no such row: {type(error).__name__} {error}") from None

    return checked


def _task(fields: Mapping[str, Any], question: str, options: list[str], answer: str) -> Mapping[str, Any]:
    if not isinstance(answer, str) or not 0 <= ord(answer[:1] or "?") - ord("A") < len(options):
        raise BadRow(f"has the answer {answer!r}, wanted a letter of {len(options)} options")
    lines = [f"({chr(ord('A') + i)}) {text}" for i, text in enumerate(options)]
    return {**fields, "prompt": "\n".join([question, *lines]), "options": options, "answer": answer}


def _unlabelled(options: Sequence[str]) -> list[str]:
    """Option texts without the label in front, which must be A, B, C and so on."""
    texts = []
    for i, option in enumerate(options):
        label = _LABEL.match(option)
        if not label or label[1] != chr(ord("A") + i):
            raise BadRow(
                f"has the option {option[:40]!r} at position {i}, wanted it to begin with {chr(ord('A') + i)})"
            )
        texts.append(option[label.end() :])
    return texts


def _unanimous(rows: Sequence[Row], prompt: str, answer: str) -> list[Row]:
    """Rows that ask the same and differ in the answer, as defects: no answer to them can be held right."""
    answers: dict[str, set[str]] = {}
    for row in rows:
        answers.setdefault(str(row.fields.get(prompt)), set()).add(str(row.fields.get(answer)))
    reason = "asks what another row asks, with another answer"
    return [
        replace(row, defect=reason) if row.defect is None and len(answers[str(row.fields.get(prompt))]) > 1 else row
        for row in rows
    ]


def _with_category(rows: Sequence[Row]) -> list[Row]:
    """The name of the file as the category."""
    return [
        replace(row, fields={**row.fields, "category": row.file.name.partition(".")[0]}) if row.file else row
        for row in rows
    ]
