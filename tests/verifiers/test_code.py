"""Right programs pass, and nothing else does: with real programs, real attacks and the real sandbox."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from omegaconf import OmegaConf

sys.path.insert(0, str(Path(__file__).parent))
from patient import Patient

from rftlab.core import InputError, Status, Task
from rftlab.sandbox.process import SandboxError
from rftlab.verifiers.code import Code, fenced
from rftlab.verifiers.pool import VerifierPool, build_pool

ROOT = Path(__file__).parents[2]
HUMANEVAL = {
    "starter": "def twice(x):\n    '''Twice x.'''\n",
    "canonical_solution": "    return 2 * x\n",
    "entry_point": "twice",
    "test": "def check(candidate):\n    assert candidate(2) == 4\n    assert candidate('a') == 'aa'\n",
}
MBPP = {
    "code": "class Pair:\n    def __init__(self, a, b): self.a, self.b = a, b\n"
    "def total(pairs): return sum(p.a for p in pairs)",
    "test_list": ["assert total([Pair(1, 2), Pair(3, 4)]) == 4", "assert total([]) == 0"],
}
STREAMS = {"code": "print(sum(map(int, input().split())))", "inputs": ["1 2\n", "5"], "outputs": ["3\n", ["5"]]}
CALLS = {
    "code": "class Solution:\n    def add(self, a, b): return (a, b), a + b",
    "input_output": '{"fn_name": "add", "inputs": [[1, 2], [3, 4]], "outputs": [[[1, 2], 3], [[3, 4], 7]]}',
}


def task(meta: dict[str, Any], index: int = 0) -> Task:
    return Task("t", index, (), str(meta.get("code", "")), meta)


def attack_script() -> Any:
    spec = importlib.util.spec_from_file_location("attack_sandbox", ROOT / "scripts" / "attack_sandbox.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool(Code(seconds=60.0, memory_gib=0.5), workers=2, deadline=180.0, memory_gib=2.0) as shared:
        yield shared


@pytest.mark.parametrize("meta", [HUMANEVAL, MBPP, STREAMS, CALLS], ids=["humaneval", "mbpp", "streams", "calls"])
def test_the_reference_passes_in_every_dress_and_no_attack_does(pool: VerifierPool, meta: dict[str, Any]) -> None:
    verifier = pool.verifier
    assert isinstance(verifier, Code)
    golds = [(verifier.gold(task(meta)), task(meta))]
    golds += [(text, task(meta)) for i in range(5) for text in verifier.alike(task(meta, i))]
    assert [v.passed and v.score == 1.0 for v in pool.grade(golds)] == [True] * 6
    wrong = [(text, task(meta)) for text in [*verifier.wrong(task(meta)), *map(fenced, verifier.attacks(task(meta)))]]
    verdicts = pool.grade(wrong)
    assert len(wrong) >= 8
    assert [(v.score, v.passed, v.valid) for v in verdicts] == [(0.0, False, True)] * len(wrong), pool.reasons


def test_no_attack_scores_and_the_next_program_is_graded_right() -> None:
    script = attack_script()
    items = []
    for source in script.ATTACKS.values():
        right = (Code().gold(script.TASK), replace(script.TASK, id="right"))
        items += [(fenced(script.HEAD + source), script.TASK), right]
    with VerifierPool(Patient(), workers=2, deadline=180.0, memory_gib=2.0) as pool:
        verdicts = pool.grade(items)
        assert [v.score for v in verdicts] == [0.0, 1.0] * (len(items) // 2)
        assert all(v.valid for v in verdicts), pool.reasons
        assert pool.replaced == 0 and script.left_behind() == []


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("def twice(x): return x + x", Status.OK),
        ("def twice(x): return x", Status.OK),
        ("def twice(x):\n    while True: pass", Status.TIMEOUT),
        ("def twice(x): return bytearray(1 << 34)", Status.TIMEOUT),
        ("def twice(x:", Status.OK),
    ],
)
def test_statuses(program: str, status: Status) -> None:
    verdict = Code(seconds=2.0 if "while True" in program else 60.0).grade(fenced(program), task(HUMANEVAL))
    assert verdict.status is status and verdict.passed is (program == "def twice(x): return x + x")


def test_broken_tests_are_a_fault_and_no_trial(pool: VerifierPool) -> None:
    broken = task(MBPP | {"test_list": ["assert total([]) =="]})
    with pytest.raises(SandboxError):
        Code().grade(fenced(MBPP["code"]), broken)
    assert (
        pool.grade([(fenced("x = 1"), broken), (fenced("x = 1"), task({}))])
        and not pool.grade([(fenced("x = 1"), broken)])[0].valid
    )


def test_the_partial_score_is_the_share_and_passing_is_all() -> None:
    verifier = Code(partial=True)
    half = verifier.grade(fenced("def twice(x): return x * 2 if x == 2 else None"), task(HUMANEVAL))
    assert (half.score, half.passed) == (0.5, False)
    lines = verifier.grade(fenced("print(3)"), task(STREAMS))
    assert (lines.score, lines.passed) == (0.5, False)
    assert verifier.grade(verifier.gold(task(STREAMS)), task(STREAMS)).score == 1.0


def test_the_time_limit_is_for_all_cases_together() -> None:
    many = STREAMS | {"inputs": ["1"] * 50, "outputs": ["1"] * 50}
    verdict = Code(seconds=2.0, partial=True).grade(fenced("import time\ntime.sleep(0.9)\nprint(1)"), task(many))
    assert verdict.status is Status.TIMEOUT and 0 < verdict.score <= 4 / 50, "four seconds by the clock"


def test_the_configuration_is_whole_and_the_pool_must_leave_the_program_its_limits() -> None:
    cfg = OmegaConf.load(ROOT / "conf" / "verifier" / "code.yaml")
    with build_pool(cfg) as pool:
        assert pool.grade([(pool.verifier.gold(task(MBPP)), task(MBPP))])[0].passed
    for key, value in (("deadline", 22.0), ("memory_gib", 0.5)):
        small = OmegaConf.merge(cfg, {"pool": {key: value}})
        with pytest.raises(InputError, match=rf"verifier\.pool\.{key}="):
            build_pool(small)


@pytest.mark.parametrize(
    ("options", "repair"),
    [
        ({"seconds": 0.0}, "seconds=10"),
        ({"memory_gib": 0.01}, "memory_gib=1"),
        ({"isolation": "docker"}, "isolation=auto"),
        ({"tolerance": -1.0}, "tolerance=1e-6"),
    ],
)
def test_impossible_options_are_refused(options: dict[str, Any], repair: str) -> None:
    with pytest.raises(InputError, match=rf"verifier\.check\.{repair}"):
        Code(**options)
