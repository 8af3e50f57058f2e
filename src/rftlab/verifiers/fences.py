"""The fenced blocks of a completion, and what of it is said after thinking."""

from __future__ import annotations


def after_thoughts(text: str) -> str:
    """What follows the last ``</think>``, up to a ``<think>`` that is never closed (a text that was cut off there); the
    whole text where there are none."""
    return text.rpartition("</think>")[2].partition("<think>")[0]


def blocks(text: str) -> list[tuple[str, str]]:
    """(language, content) of every fenced block in order, the language in lower case; one never closed counts."""
    found: list[tuple[str, str]] = []
    inside: list[str] | None = None
    language = ""
    for line in text.splitlines():
        fence = line.strip()
        if not fence.startswith("```"):
            if inside is not None:
                inside.append(line)
        elif inside is None:
            inside, language = [], fence.strip("`").strip().lower()
        else:
            found.append((language, "\n".join(inside)))
            inside = None
    return found if inside is None else [*found, (language, "\n".join(inside))]
