"""Every task of a mixture is graded by the verifier that its own dataset brings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rftlab.core import InputError, Task, Verdict
from rftlab.verifiers.base import Verifier


class BySource(Verifier):
    """Hands a task to the verifier of the part that ``task.meta["source"]`` names.

    Args:
        parts: as in ``dataset=mix``.
        eval_parts: as in ``dataset=mix``.
        config_dir: as in ``dataset=mix``.
        verifiers: part -> its verifier, as ``part_verifiers`` gives them; None = those of the YAMLs as they are now.

    Raises:
        InputError: there is no part, or the verifier of one cannot be built.
    """

    def __init__(
        self,
        parts: Mapping[str, Any] | Sequence[str] | None = None,
        eval_parts: Mapping[str, Any] | Sequence[str] | None = None,
        config_dir: str | None = None,
        verifiers: Mapping[str, Any] | None = None,
    ) -> None:
        self.checks: dict[str, Verifier] = {}
        self._limits: list[tuple[float, float | None]] = []
        if verifiers is None and parts is not None:
            verifiers = part_verifiers(parts, eval_parts, config_dir)
        if not verifiers:
            raise InputError(
                "verifier=by_source grades the parts of a mixture, and there are none: give dataset=mix "
                "'dataset.parts=[NAME, …]', or another verifier=NAME"
            )
        for name, node in verifiers.items():
            from rftlab import targets

            try:
                check = targets.build(f"the verifier of part {name}", node["check"], Verifier)
            except InputError as error:
                key = f"dataset.{'parts' if name in (parts or ()) else 'eval_parts'}.{name}"
                raise InputError(
                    f"{key}: {error}; in a mixture, write these options into a verifier's YAML of your own "
                    f"(--config-dir) and give {key}.verifier=NAME"
                ) from error
            self.checks[name] = check
            if not check.trusted:
                self._limits.append(check.limits(node["deadline"], node["memory_gib"]))
        self.trusted = all(check.trusted for check in self.checks.values())

    def runs(self, task: Task) -> bool:
        return self._of(task).runs(task)

    def limits(self, deadline: float, memory_gib: float | None) -> tuple[float, float | None]:
        """The largest of the parts' limits and of those configured."""
        seconds, sizes = zip((deadline, memory_gib), *self._limits, strict=True)
        return max(seconds), None if None in sizes else max(sizes)

    def grade(self, text: str, task: Task) -> Verdict:
        return self._of(task).grade(text, task)

    def gold(self, task: Task) -> str:
        return self._of(task).gold(task)

    def wrong(self, task: Task) -> list[str]:
        return self._of(task).wrong(task)

    def alike(self, task: Task) -> list[str]:
        return self._of(task).alike(task)

    def _of(self, task: Task) -> Verifier:
        source = task.meta.get("source")
        if source not in self.checks:
            there = ", ".join(self.checks) or "none"
            raise ValueError(f"no verifier for source {source!r}: dataset=mix names {there}")
        return self.checks[source]


def part_verifiers(parts: Any, eval_parts: Any, config_dir: str | None) -> dict[str, dict[str, Any]]:
    """Part -> ``check``, ``deadline`` and ``memory_gib`` of its verifier's YAML; of a part to train on and to evaluate
    on, the former's."""
    from omegaconf import OmegaConf

    from rftlab.datasets.parts import read

    train, held_out = read(parts, eval_parts, config_dir)
    return {
        name: {
            "check": OmegaConf.to_container(part.cfg.verifier.check, resolve=True),
            "deadline": part.cfg.verifier.pool.deadline,
            "memory_gib": part.cfg.verifier.pool.memory_gib,
        }
        for name, part in (held_out | train).items()
    }


def fill_in(check: Any, dataset: Mapping[str, Any] | None = None) -> None:
    """Writes what grades the parts into ``verifier.check``, where it is not said yet.

    The parts are its own or, where it has none, those of ``dataset``.
    """
    if check.get("_target_") != f"{__name__}.{BySource.__name__}" or check.get("verifiers") is not None:
        return
    if check.get("parts") is None and dataset is not None:
        for key in ("parts", "eval_parts", "config_dir"):
            check[key] = dataset.get(key)
    if check.get("parts") is not None:
        check["verifiers"] = part_verifiers(check["parts"], check.get("eval_parts"), check.get("config_dir"))
