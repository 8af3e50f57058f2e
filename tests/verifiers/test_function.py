"""Functions of one's own: found in a file or a module, called in a worker, held to what they return."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from rftlab.config import check, compose
from rftlab.core import InputError, Status, Task
from rftlab.verifiers.function import Function
from rftlab.verifiers.pool import VerifierPool, build_pool

PROMPT = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "6 * 7?"})
TASK = Task("t", 0, PROMPT, "42", {"level": 3, "hint": None, "no name": 1})
Make = Callable[..., Function]
NO_MODULE = Path(__file__).parents[2] / "LICENSE"


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """The verifier of a function ``f`` in a file, with a module beside it that the file may import."""

    def build(body: str, **options: object) -> Function:
        (tmp_path / "beside_the_rewards.py").write_text("RIGHT = '42'\n")
        (tmp_path / "rewards.py").write_text("from rftlab.core import *\n" + body)
        return Function(f"{tmp_path / 'rewards.py'}:f", **options)  # type: ignore[arg-type]

    return build


@pytest.mark.parametrize(
    ("body", "score", "passed"),
    [
        ("def f(text, task): return text == task.answer", 1.0, True),
        ("def f(text, task): return 0.5", 0.5, False),
        ("def f(task, text): return Verdict(0.25, True, answer='x')", 0.25, True),
        ("from beside_the_rewards import RIGHT\ndef f(text, task): return text == RIGHT", 1.0, True),
        ("class F:\n    def __call__(self, text, task): return 1\nf = F()", 1.0, True),
        ("def f(completions, answer): return [float(c == a) for c, a in zip(completions, answer)]", 1.0, True),
        ("def f(prompts, completions, **kwargs): return [float(prompts == ['6 * 7?'])]", 1.0, True),
        ("def f(completions, **kwargs): return [kwargs['level'][0] / 4]", 0.75, False),
        (
            "def f(completions, completion_ids=None, level=None, **_): return [level == [3] and not completion_ids]",
            1,
            1,
        ),
    ],
)
def test_both_signatures_are_told_apart_by_their_names(make: Make, body: str, score: float, passed: bool) -> None:
    verdict = make(body).grade("42", TASK)
    assert (verdict.score, verdict.passed) == (score, passed)


def test_trl_functions_get_messages_and_the_answer_under_the_name_that_they_use(make: Make) -> None:
    body = """
def f(prompts, completions, solution, **kwargs):
    assert prompts[0][0]["role"] == "system" and completions[0][0]["role"] == "assistant"
    return [1.0 if completions[0][0]["content"] == solution[0] else -1.0]
"""
    verifier = make(body, messages=True, answer_column="solution", range=[-1.0, 1.0])
    assert verifier.grade("42", TASK).score == 1.0 and verifier.grade("41", TASK).score == 0.0


def test_a_range_is_mapped_and_the_threshold_is_on_the_mapped_score(make: Make) -> None:
    verifier = make("def f(text, task): return float(text)", range=[-1, 3], threshold=0.5)
    verdicts = [verifier.grade(text, TASK) for text in ("-1", "0", "1", "3")]
    assert [(v.score, v.passed) for v in verdicts] == [(0.0, False), (0.25, False), (0.5, True), (1.0, True)]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("def f(text, task): return 1.5", "score 1.5 is outside of [0, 1]"),
        ("def f(text, task): return float('nan')", "outside"),
        ("def f(text, task): return None", "NoneType"),
        ("def f(text, task): return {}['key']", "KeyError"),
        ("def f(completions, **kw): return [None]", "does not apply"),
        ("def f(completions, **kw): return [1.0, 1.0]", "for one completion"),
        ("def f(completions, **kw): return 1.0", "for one completion"),
        ("def f(completions, solution): return [1.0]", "'solution'; this task has prompts, completions, answer, level"),
    ],
)
def test_what_goes_wrong_in_the_function_is_a_fault_with_its_reason(make: Make, body: str, says: str) -> None:
    with VerifierPool(make(body), workers=1) as pool:
        (verdict,) = pool.grade([("42", TASK)])
        assert verdict.status is Status.FAULT and says in pool.reasons[0]


def test_a_function_that_hangs_is_stopped(make: Make) -> None:
    body = "import time\ndef f(text, task):\n    time.sleep(600 if text == 'hang' else 0)\n    return True"
    with VerifierPool(make(body), workers=1, deadline=3.0) as pool:
        assert [v.status for v in pool.grade([("hang", TASK), ("42", TASK)])] == [Status.FAULT, Status.OK]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("def f(answer, gold): return 1", "f(answer, gold): wanted f(text, task) or TRL's f(completions, **columns)"),
        ("async def f(text, task): return 1", "async"),
        ("def f(completions, completion_ids): return [1]", "completion_ids"),
        ("f = 3", "int, no function"),
        ("def g(text, task): return 1", "no attribute 'f'"),
        ("def f(text, task) return 1", "cannot be loaded"),
        ("import sys; sys.exit(0)", "cannot be loaded (SystemExit: 0)"),
    ],
)
def test_what_is_no_such_function_is_refused_before_anything_runs(make: Make, body: str, says: str) -> None:
    with pytest.raises(InputError) as refused:
        make(body)
    assert says in str(refused.value)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"function": ""}, "verifier.check.function="),
        ({"function": "nowhere.py:f"}, "no such file"),
        ({"function": "no_such_package.f"}, "No module named"),
        ({"function": "f"}, "verifier.check.function=file.py:function"),
        ({"function": "math.cos", "range": [1, 1]}, "verifier.check.range"),
        ({"function": "math.cos", "range": ["a", "b"]}, "wanted two finite numbers"),
        ({"function": "math.cos", "range": [0, float("inf")]}, "wanted two finite numbers"),
        ({"function": f"{NO_MODULE}:f"}, "LICENSE is no Python file"),
        ({"function": "math.cos", "threshold": 0.0}, "verifier.check.threshold"),
        ({"function": "math.cos", "threshold": 2.0}, "verifier.check.threshold"),
    ],
)
def test_wrong_settings_name_what_repairs_them(options: dict[str, object], says: str) -> None:
    with pytest.raises(InputError) as refused:
        Function(**options)  # type: ignore[arg-type]
    assert says in str(refused.value)


def test_it_is_chosen_on_the_command_line(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def close(text, task):\n    return text.strip() == task.answer\n")
    cfg = compose(["verifier=python", f"verifier.check.function={tmp_path}/mine.py:close"])
    check(cfg)
    with build_pool(cfg.verifier) as pool:
        assert [v.passed for v in pool.grade([("42 ", TASK), ("4", TASK), (pool.verifier.gold(TASK), TASK)])] == [
            *(True, False, True)
        ]


def validated(folder: Path, *overrides: str) -> Sequence[str]:
    command = [sys.executable, "-m", "rftlab", "validate", "verifier=python", "dataset.train_size=20", *overrides]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


def test_a_file_beside_the_command_is_found(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text("def f(completions, answer, **_):\n    return [float(completions == answer)]\n")
    lines = validated(tmp_path, "verifier.check.function=mine.py:f")
    assert lines[0].startswith("train: 20 of 20 gold answers accepted")
