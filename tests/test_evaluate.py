"""Evaluation metrics against brute force, on an engine whose answers are known."""

from itertools import combinations
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rftlab import cli
from rftlab.core import Completion, Finish, Status, Task, TaskPool, Verdict
from rftlab.evaluate import Evaluator, pass_at_k
from rftlab.verifiers.base import Verifier
from rftlab.verifiers.pool import VerifierPool


@given(st.integers(1, 8).flatmap(lambda n: st.tuples(st.just(n), st.integers(0, n), st.integers(1, n))))
def test_pass_at_k_is_the_share_of_subsets_with_a_success(case):
    n, wins, k = case
    subsets = list(combinations([True] * wins + [False] * (n - wins), k))
    want = np.mean([any(s) for s in subsets])
    assert pass_at_k(np.array([wins]), np.array([n]), k)[0] == pytest.approx(want)


def test_pass_at_k_of_fewer_trials_is_unknown():
    assert np.isnan(pass_at_k(np.array([1]), np.array([3]), 4)[0])


class Script(Verifier):
    """Grades by the letter: ``1`` passes, ``f`` cannot be graded, ``?`` cannot be parsed."""

    trusted = True

    def grade(self, text, task):
        if text == "f":
            raise ValueError("the grader broke")
        return Verdict(float(text == "1"), text == "1", Status.UNPARSABLE if text == "?" else Status.OK)


class Replay:
    """Completes task i with the letters of its answer."""

    def generate(self, jobs, sampling, stream):
        assert stream == ("eval", 7)
        token = np.zeros(2, np.int32)
        return [
            [Completion(job.task.answer[i], token, token.astype(np.float32), Finish.STOP, 0) for i in range(job.n)]
            for job in jobs
        ]


def evaluation(answers, **cfg):
    tasks = tuple(Task(str(i), i, ({"role": "user", "content": "q"},), a) for i, a in enumerate(answers))
    n = len(tasks)
    pool = TaskPool(tasks, category=np.arange(n) % 2, categories=("even", "odd"), level=np.arange(n) // 2 * 1.0)
    options = SimpleNamespace(
        **(
            {
                "limit": None,
                "samples": 4,
                "temperature": 1.0,
                "top_p": 1.0,
                "top_k": 0,
                "seed": 7,
                "save_completions": 3,
            }
            | cfg
        )
    )
    with VerifierPool(Script()) as verifier:
        return Evaluator(pool, verifier, options, 24).run(Replay())


def test_accuracy_is_the_mean_over_tasks_and_faults_are_no_trials():
    found = evaluation(["1100", "0000", "11ff", "??00"])
    m = found.metrics
    assert m["eval/accuracy"] == pytest.approx((0.5 + 0 + 1 + 0) / 4)
    assert m["eval/accuracy_se"] == pytest.approx(np.std([0.5, 0, 1, 0], ddof=1) / 2)
    assert (m["eval/faults"], m["eval/unparsable"]) == (2 / 16, 2 / 16)
    assert m["eval/pass@1"] == pytest.approx(0.375)
    assert m["eval/pass@4"] == pytest.approx(1 / 3)  # of the three tasks with four trials
    assert m["eval/by_category/even"] == 0.75 and m["eval/by_category/odd"] == 0
    assert m["eval/by_level/0"] == 0.25 and m["eval/by_level/1"] == 0.5
    assert [r["trials"] for r in found.rows] == [4, 4, 2, 4] and found.rollouts == 16


def test_limit_takes_the_first_tasks():
    found = evaluation(["1111", "0000", "1111"], limit=2)
    assert found.metrics["eval/accuracy"] == 0.5 and found.rollouts == 8


def test_so_many_completions_are_kept_as_the_key_says_one_of_each_task_in_turn():
    answers = ["1?00", "f100", "0011"]
    kept = evaluation(answers).completions
    assert [(row["task"], row["text"], row["status"]) for row in kept] == [
        ("0", "1", "ok"), ("1", "f", "fault"), ("2", "0", "ok"),
    ]  # fmt: skip
    assert all(row["advantage"] is None and row["step"] == 0 for row in kept)
    assert [row["text"] for row in evaluation(answers, save_completions=4).completions][3] == "?"
    assert len(evaluation(answers, save_completions=-1).completions) == 12
    assert evaluation(answers, save_completions=0).completions == []


def test_a_place_that_is_a_file_is_said_before_the_evaluation(tmp_path, capsys):
    (file := tmp_path / "ok.jsonl").write_text("kept")
    assert cli.main(["eval", "engine=sim", "eval.limit=8", f"out={file}"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and file.read_text() == "kept"
    assert f"cannot write to {file} (Not a directory): give a writable place by out=DIR" in err
