"""Shares are what the weights say, nothing is repeated, and nothing that is evaluated on is trained on."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rftlab.config import build_dataset, check, compose, fingerprint
from rftlab.core import InputError
from rftlab.datasets.base import Dataset
from rftlab.datasets.mix import load
from rftlab.datasets.shares import apportion, interleaved, largest


def file(folder: Path, name: str, rows: list[dict[str, Any]]) -> str:
    (folder / f"{name}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return str(folder / f"{name}.jsonl")


def rows(name: str, count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"prompt": f"{name} {i}?", "answer": str(i)} | more for i in range(count)]


def part(path: str, **more: Any) -> dict[str, Any]:
    return {"dataset": "file", "path": path, **more}


def sources(found: Dataset) -> Counter[str]:
    return Counter(task.meta["source"] for task in found.train.tasks)


@pytest.fixture
def two(tmp_path: Path) -> dict[str, Any]:
    test = file(tmp_path, "test", rows("test", 5))
    return {
        "a": part(file(tmp_path, "a", rows("a", 60)), eval_path=test, weight=1),
        "b": part(file(tmp_path, "b", rows("b", 30)), eval_path=test, weight=2),
    }


def test_the_pool_is_the_largest_that_repeats_nothing(two: dict[str, Any]) -> None:
    found = load(two)
    assert sources(found) == {"a": 15, "b": 30}
    assert len({task.id for task in found.train.tasks}) == 45
    assert [task.index for task in found.train.tasks] == list(range(45))
    assert found.train.category is not None and found.train.categories == ("a", "b")
    names = [found.train.categories[c] for c in found.train.category]
    assert names == [task.meta["source"] for task in found.train.tasks]
    assert Counter(names[:9]) == {"a": 3, "b": 6}  # any stretch holds the shares


def test_a_size_is_shared_out_and_an_impossible_one_says_the_largest(two: dict[str, Any]) -> None:
    assert sources(load(two, train_size=10)) == {"a": 3, "b": 7}
    with pytest.raises(InputError, match=r"wants 31 tasks of b, which has 30: at most dataset\.train_size=45"):
        load(two, train_size=46)
    with pytest.raises(InputError, match="gets no task"):
        load(two, train_size=1)


def test_which_tasks_are_taken_is_a_matter_of_the_seed_alone(two: dict[str, Any]) -> None:
    again, other = load(two), load(two, seed=1)
    assert load(two).train.fingerprint == again.train.fingerprint != other.train.fingerprint
    first = [task.meta["row"] for task in again.train.tasks if task.meta["source"] == "a"]
    assert first != [f"a.jsonl:{i}" for i in range(1, 16)]  # not the head of a sorted file


def test_what_any_evaluation_pool_asks_is_not_trained_on(tmp_path: Path) -> None:
    test = file(tmp_path, "test", [{"prompt": "A  7?", "answer": "x"}, *rows("test", 2)])
    other = file(tmp_path, "other", rows("other", 2))
    parts = {
        "a": part(file(tmp_path, "a", rows("a", 20)), eval_path=other, template="Say it.\n{prompt}\nNow."),
        "b": part(file(tmp_path, "b", rows("b", 20)), eval_path=test),
    }
    found = load(parts)
    asked = [task.prompt[0]["content"] for task in found.train.tasks]
    assert "Say it.\na 7?\nNow." not in asked
    assert found.counts["training tasks dropped for standing in an evaluation pool"] == 1


def test_an_instruction_that_stands_in_the_prompts_of_a_file_hides_no_leak(tmp_path: Path) -> None:
    added = r" Let's think step by step and output the final answer within \boxed{}."
    asked = [[{"role": "user", "content": f"q {i}?{added}"}] for i in range(20)]
    messages = file(tmp_path, "messages", [{"prompt": each, "answer": "1"} for each in asked])
    plain = file(tmp_path, "plain", rows("q", 8))
    parts = {"a": part(messages, eval_path=file(tmp_path, "other", rows("other", 2)))}
    found = load(parts, {"b": part(plain, eval_fraction=1.0, template="{prompt}\nBox it.")})
    assert found.counts["training tasks dropped for standing in an evaluation pool"] == 8
    assert [task.prompt[0]["content"] for task in found.train.tasks] == [f"q {i}?{added}" for i in range(8, 20)]


def test_a_task_of_two_parts_belongs_to_the_first(tmp_path: Path) -> None:
    test = file(tmp_path, "test", rows("test", 2))
    parts = {
        "a": part(file(tmp_path, "a", rows("q", 10)), eval_path=test),
        "b": part(file(tmp_path, "b", rows("q", 30)), eval_path=test, template="{prompt}!"),
    }
    found = load(parts)
    assert sources(found) == {"a": 10, "b": 10}
    assert found.counts["training tasks dropped for standing in a part before their own"] == 10


def test_it_evaluates_on_other_datasets_where_they_are_named(tmp_path: Path, two: dict[str, Any]) -> None:
    bench = part(file(tmp_path, "bench", rows("bench", 7)), eval_fraction=1.0)
    found = load(two, {"bench": bench, "a": None})
    assert Counter(task.meta["source"] for task in found.eval.tasks) == {"a": 5, "bench": 7}
    assert found.eval.categories == found.train.categories == ("a", "b", "bench")
    with pytest.raises(InputError, match=r"dataset\.parts\.bench is for evaluation only"):
        load({**two, "bench": bench})


def test_levels_and_references_are_kept_where_they_are(tmp_path: Path) -> None:
    test = file(tmp_path, "test", rows("test", 2, hard=1, rate=0.5))
    known = {"eval_path": test, "level_key": "hard"}
    rated = {"references": {"m": "rate"}, "reference_samples": {"m": 8}}
    a = part(file(tmp_path, "a", rows("a", 10, hard=3, rate=0.25)), **known, **rated)
    b = part(file(tmp_path, "b", rows("b", 5, hard=4)), **known)
    train = load({"a": a, "b": b}).train
    of_a = np.array([task.meta["source"] == "a" for task in train.tasks])
    assert train.level is not None and set(train.level[of_a]) == {3} and set(train.level[~of_a]) == {4}
    assert (train.references["m"][of_a] == 0.25).all() and np.isnan(train.references["m"][~of_a]).all()
    assert train.reference_rollouts == {"m": 40}  # half of the tasks of a
    b.pop("level_key")
    assert load({"a": a, "b": b}).train.level is None


def test_a_dataset_of_ones_own_can_be_a_part(tmp_path: Path) -> None:
    path = file(tmp_path, "mine", rows("mine", 20))
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "mine.yaml").write_text(
        f"# @package _global_\n# Mine.\ndefaults:\n  - file\n  - _self_\n  - override /verifier: number\n"
        f"dataset: {{name: mine, path: {path}}}\n"
    )
    found = load({"mine": 1}, config_dir=str(tmp_path))
    assert len(found.train) + len(found.eval) == 20


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({}, "dataset.parts=null: wanted names of datasets"),
        ({"parts": {"gsm8kk": 1}}, "did you mean gsm8k?"),
        ({"parts": {"ladder": {"sead": 1}}}, "dataset.parts.ladder.sead: no such key; did you mean"),
        ({"parts": {"ladder": 0}}, "dataset.parts.ladder.weight=0: wanted a number above 0"),
        ({"parts": {"ladder": "x"}}, "weight=x"),
        ({"parts": {"mine": {"dataset": "file"}}}, "dataset.parts.mine: dataset=mine needs tasks"),
        ({"parts": {"mix": 1}}, "cannot be a part of a mixture"),
        ({"parts": ["ladder"], "eval_parts": {"ladder": 2}}, "leave the weight out"),
        ({"parts": {"ladder": {"verifier": "exakt"}}}, "did you mean exact?"),
        ({"parts": {"ladder": {"verifier": 5}}}, "dataset.parts.ladder.verifier=5: wanted the name of a verifier"),
        ({"parts": {"ladder": {"verifier": ["exact"]}}}, "wanted the name of a verifier"),
        (
            {"parts": ["ladder"], "eval_parts": {"ladder": {"verifier": "number"}}},
            "wanted {ladder_eval: {dataset: ladder, verifier: number}}",
        ),
        (
            {"parts": {"ladder": 1, "again": {"dataset": "ladder"}}, "eval_parts": ["ladder"]},
            "dataset.parts.again: all of its 2,000 tasks stand",
        ),
        ({"parts": ["ladder"], "seed": -1}, "dataset.seed=-1: wanted 0 or more"),
        ({"parts": ["ladder"], "train_size": 0}, "dataset.train_size=0"),
        ({"parts": ["ladder"], "config_dir": "nowhere"}, "dataset.config_dir=nowhere"),
    ],
)
def test_what_is_wrong_with_the_parts_is_one_line(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as caught:
        load(**options)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_the_parts_are_part_of_a_runs_identity_and_the_configuration_holds() -> None:
    def composed(parts: str) -> Any:
        cfg = compose(["engine=sim", "dataset=mix", f"dataset.parts={parts}"])
        check(cfg)
        return cfg

    assert fingerprint(composed("{ladder: 1}"), False) != fingerprint(composed("{ladder: {limit: 9}}"), False)
    assert len(build_dataset(composed("{ladder: {limit: 9}}")).train) == 9


weights = st.dictionaries(st.sampled_from("abcdef"), st.floats(0.01, 100), min_size=1)


@given(weights, st.integers(1, 500))
def test_shares_add_up_and_are_off_by_less_than_one(parts: dict[str, float], total: int) -> None:
    counts = apportion(parts, total)
    assert sum(counts.values()) == total
    assert all(abs(counts[name] - total * parts[name] / sum(parts.values())) < 1 + 1e-6 for name in parts)
    order = interleaved(counts)
    assert sorted(order) == sorted((name, i) for name, count in counts.items() for i in range(count))


@given(weights, st.integers(1, 500))
def test_the_largest_pool_fits_and_uses_up_one_part(parts: dict[str, float], there: int) -> None:
    available = {name: there + 7 * i for i, name in enumerate(parts)}
    counts = largest(parts, available)
    assert all(counts[name] <= available[name] for name in parts)
    assert any(counts[name] == available[name] for name in parts)
