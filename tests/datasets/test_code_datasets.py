"""HumanEval, MBPP and CRUXEval as their authors publish them become tasks whose references pass."""

from __future__ import annotations

from pathlib import Path

import pytest

from rftlab.config import build_dataset, compose
from rftlab.core import TaskPool
from rftlab.datasets.adapters import cruxeval, humaneval, mbpp
from rftlab.datasets.rows import Row
from rftlab.verifiers.pool import build_pool

SIZES = {"humaneval": (0, 164), "mbpp": (888, 86), "cruxeval": (0, 800), "cruxeval_input": (0, 800)}


@pytest.mark.parametrize("name", SIZES)
def test_the_published_files_become_tasks_whose_references_pass(data: Path, name: str) -> None:
    cfg = compose([f"dataset={name}", f"dataset.path={data / name.removesuffix('_input')}"], verb="validate")
    dataset = build_dataset(cfg)
    pools = dataset.pools()
    assert {kind: len(pool) for kind, pool in pools.items()} == {
        kind: size for kind, size in zip(("train", "eval"), SIZES[name], strict=True) if size
    }
    with build_pool(cfg.verifier) as pool:
        sample = _sample(pools["eval"])
        right = [(text, task) for task in sample for text in (pool.verifier.gold(task), *pool.verifier.alike(task))]
        wrong = [(text, task) for task in sample[:4] for text in pool.verifier.wrong(task)]
        assert all(v.passed for v in pool.grade(right)), pool.reasons
        assert not [v for v in pool.grade(wrong) if v.passed or not v.valid], pool.reasons


def _sample(pool: TaskPool) -> list:
    return list(pool.tasks[:: max(1, len(pool) // 12)])


def test_the_answer_is_not_in_the_question() -> None:
    row = {"code": "def f(x):\n    return x + 40", "input": "2", "output": "42"}
    (output,) = cruxeval.output_rows([Row("r:1", row)])
    (given,) = cruxeval.input_rows([Row("r:1", row)])
    assert output.fields["question"].endswith("assert f(2) == ?") and "42" not in output.fields["question"]
    assert given.fields["question"].endswith("assert f(?) == 42") and "f(2)" not in given.fields["question"]
    assert (output.fields["answer"], given.fields["answer"]) == ("42", "f(2)")


def test_mbpp_shows_one_test_and_keeps_all_with_plain_line_ends() -> None:
    fields = {"text": "Add.", "code": "def a():\r\n    pass", "test_list": ["assert a() == 1\r\n", "assert a() == 2"]}
    (row,) = mbpp.rows([Row("r:1", fields | {"task_id": 1, "test_setup_code": ""})])
    assert row.fields["test_list"] == ["assert a() == 1", "assert a() == 2"] and "\r" not in str(row.fields["code"])
    assert "assert a() == 1" in row.fields["question"] and "assert a() == 2" not in row.fields["question"]


@pytest.mark.parametrize("adapter", [humaneval.rows, mbpp.rows, cruxeval.output_rows])
def test_a_row_without_its_parts_is_named(adapter: object) -> None:
    (row,) = adapter([Row("r:1", {"prompt": "x", "text": "x"})])  # type: ignore[operator]
    assert row.defect and row.defect.startswith("has no '")
