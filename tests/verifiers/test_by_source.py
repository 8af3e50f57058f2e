"""Every task of a mixture is graded by its own verifier, and blamed as that one would."""

from __future__ import annotations

import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from faulty import Faulty, FaultyProgram

from rftlab import targets
from rftlab.config import build_dataset, check, compose, fingerprint
from rftlab.core import InputError, Status, Task
from rftlab.datasets import parts
from rftlab.validate import validate
from rftlab.verifiers.by_source import BySource
from rftlab.verifiers.exact import Exact
from rftlab.verifiers.number import Number
from rftlab.verifiers.pool import VerifierPool, build_pool

ROWS = "".join(f'{{"prompt": "{i} + 1", "answer": "{i + 1}"}}\n' for i in range(20))


def task(source: str, answer: str = "ab") -> Task:
    return Task("t", 0, (), answer, {"source": source})


def mixture(tmp_path: Path, *more: str) -> list[str]:
    (tmp_path / "sums.jsonl").write_text(ROWS)
    sums = f"{{dataset: file, path: {tmp_path}/sums.jsonl, verifier: number, eval_fraction: 0.4}}"
    return ["dataset=mix", f"dataset.parts={{sums: {sums}, ladder: 1}}", *more]


def test_each_part_brings_the_verifier_of_its_own_yaml_or_the_one_named(tmp_path: Path) -> None:
    cfg = compose(mixture(tmp_path), verb="validate")
    check(cfg, "validate")
    with build_pool(cfg.verifier) as pool:
        assert isinstance(pool.verifier, BySource) and not pool.verifier.trusted
        assert {name: type(each) for name, each in pool.verifier.checks.items()} == {"sums": Number, "ladder": Exact}
        found = pool.grade([("so 4.0", task("sums", "4")), ("so 4.0", task("ladder", "4")), ("4", task("ladder", "4"))])
        assert [verdict.passed for verdict in found] == [True, False, True]
        assert validate(build_dataset(cfg), pool).ok


def test_a_verifier_that_lacks_an_option_is_named_by_the_part() -> None:
    with pytest.raises(InputError, match=r"^dataset\.parts\.p: .*YAML of your own"):
        BySource({"p": {"dataset": "ladder", "verifier": "python"}})


def test_without_parts_there_is_nothing_to_grade_by() -> None:
    cfg = check(compose(["verifier=by_source"], verb="validate"), "validate")
    with pytest.raises(InputError, match=r"^verifier=by_source grades the parts of a mixture, and there are none"):
        build_pool(cfg.verifier)


def test_a_mixture_of_string_comparisons_needs_no_workers() -> None:
    cfg = compose(["dataset=mix", "dataset.parts=[ladder]"], verb="validate")
    with build_pool(cfg.verifier) as pool:
        assert pool.verifier.trusted and pool.grade([("ab", task("ladder"))])[0].passed


def test_the_limits_are_the_largest_of_the_parts(tmp_path: Path) -> None:
    (tmp_path / "verifier").mkdir()
    text = "# Slow.\nname: slow\ncheck: {{_target_: rftlab.verifiers.number.Number}}\npool: {{workers: 2, {}}}\n"
    (tmp_path / "verifier" / "slow.yaml").write_text(text.format("deadline: 33.0, memory_gib: null"))
    more = [f"dataset.config_dir={tmp_path}", "verifier.pool.deadline=5"]
    cfg = compose(mixture(tmp_path, *more), verb="validate")
    assert build(cfg) == (10.0, 2.0)
    cfg.dataset.parts.sums.verifier = "slow"
    assert build(cfg) == (33.0, None)


def build(cfg: object) -> tuple[float, float | None]:
    return targets.build("verifier.check", cfg.verifier.check, BySource).limits(cfg.verifier.pool.deadline, 1.0)  # type: ignore[attr-defined]


def test_a_dead_worker_is_the_doing_of_programs_only() -> None:
    verifier = BySource(["ladder"])
    verifier.checks = {"programs": FaultyProgram(), "texts": Faulty()}
    verifier.trusted = False
    assert verifier.runs(task("programs")) and not verifier.runs(task("texts"))
    with VerifierPool(verifier, workers=1, deadline=60.0, memory_gib=1.0) as pool:
        found = pool.grade([("crash", task("programs")), ("crash", task("texts")), ("ok", task("texts"))])
    assert [verdict.status for verdict in found] == [Status.TIMEOUT, Status.FAULT, Status.OK]


def test_a_task_of_no_part_is_a_fault_and_the_verifier_pickles() -> None:
    with VerifierPool(pickle.loads(pickle.dumps(BySource(["ladder"])))) as pool:
        assert pool.grade([("ab", task("elsewhere"))])[0].status is Status.FAULT
        assert "elsewhere" in pool.reasons[0]
    with pytest.raises(ValueError, match="no verifier for source None"):
        BySource(["ladder"]).gold(Task("t", 0, (), "ab"))


def test_options_in_the_yaml_of_a_parts_verifier_are_in_the_fingerprint(tmp_path: Path) -> None:
    def of(strip: str, deadline: str = "10.0") -> tuple[str, Any]:
        (tmp_path / "verifier").mkdir(exist_ok=True)
        grader = f"{{_target_: rftlab.verifiers.exact.Exact, strip: {strip}, casefold: false}}"
        text = f"# Mine.\nname: mine\ncheck: {grader}\npool: {{workers: 2, deadline: {deadline}, memory_gib: 2.0}}\n"
        (tmp_path / "verifier" / "mine.yaml").write_text(text)
        parts._composed.cache_clear()  # a process reads a file once
        cfg = compose(
            ["dataset=mix", "dataset.parts={ladder: {verifier: mine}}", f"dataset.config_dir={tmp_path}", "engine=sim"]
        )
        return fingerprint(cfg, False), check(cfg)

    first, cfg = of("true")
    assert of("true")[0] == first and of("false")[0] != first and of("true", "11.0")[0] != first
    assert cfg.verifier.check.verifiers.ladder.check.strip is True
    of("false")
    # what grades is what config.yaml says, whatever the file holds by now
    assert targets.build("verifier.check", cfg.verifier.check, BySource).checks["ladder"].strip is True
