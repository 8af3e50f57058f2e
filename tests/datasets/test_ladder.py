"""The ladder is the same on every machine, its splits are disjoint, and its references follow their tasks."""

import hashlib

import numpy as np
import pytest

from rftlab.core import InputError
from rftlab.datasets import ladder
from rftlab.datasets.base import Dataset

REFERENCES = ["tiny", "tiny-strong"]


@pytest.fixture(scope="module")
def default() -> Dataset:
    return ladder.load(limit=None, references=REFERENCES)


def prompts(pool) -> list[str]:
    return [task.prompt[0]["content"] for task in pool.tasks]


def solve(text: str) -> str:
    """The answer, computed another way than the module does."""
    family, problem = text.split(" ")
    if family == "add":
        a, b = int(problem[::2][::-1]), int(problem[1::2][::-1])
        return f"{a + b:0{len(problem) // 2}d}"[::-1]
    if family == "sum":
        return "".join(str(sum(map(int, problem[: i + 1])) % 10) for i in range(len(problem)))
    if family == "shift":
        return "".join("a" if c == "z" else chr(ord(c) + 1) for c in problem)
    return {"copy": problem, "reverse": "".join(reversed(problem)), "sort": "".join(sorted(problem))}[family]


def test_the_default_pool_is_a_fact(default):
    content = "\n".join(f"{task.id} {task.prompt[0]['content']} {task.answer}" for task in default.train.tasks)
    assert hashlib.sha256(content.encode()).hexdigest()[:16] == "c7aa4dc82954eb82"
    assert default.train.fingerprint == "5b9fd7e638594607"
    assert default.eval.fingerprint == "367d7cc8746c1dad"


def test_every_answer_is_right(default):
    for pool in (default.train, default.eval):
        assert [task.answer for task in pool.tasks] == [solve(text) for text in prompts(pool)]


def test_no_prompt_occurs_twice_in_or_across_the_splits(default):
    both = prompts(default.train) + prompts(default.eval)
    assert len(both) == 2500
    assert len(set(both)) == 2500


def test_families_and_lengths_are_covered_evenly(default):
    pool = default.train
    counts = np.zeros((len(ladder.FAMILIES), 11), int)
    np.add.at(counts, (pool.category, pool.level.astype(int)), 1)
    assert pool.categories == ladder.FAMILIES
    assert counts[:, 3:].min() >= 33 and counts[:, 3:].max() <= 35
    assert counts[:4, 1].min() >= 15, "26 letters, of which the evaluation set takes nine"
    assert counts.sum(axis=0).tolist() == [0, 136, 272, 204, 200, 198, 198, 198, 198, 198, 198]
    assert counts.sum(axis=1).tolist() == [334, 334, 333, 333, 333, 333]
    assert default.counts["made longer to avoid repeats"] == 68


def test_category_and_level_describe_their_task(default):
    for task, category, level in zip(default.eval.tasks, default.eval.category, default.eval.level, strict=True):
        family, problem = task.prompt[0]["content"].split(" ")
        assert family == ladder.FAMILIES[category]
        assert len(problem) == {"add": 2 * level, "sum": level + 1}.get(family, level)


def test_a_limited_or_smaller_pool_is_a_prefix_and_leaves_the_evaluation_set_alone(default):
    for smaller in (ladder.load(limit=300, references=REFERENCES), ladder.load(None, REFERENCES, train_size=300)):
        assert smaller.train.tasks == default.train.tasks[:300]
        assert smaller.eval.fingerprint == default.eval.fingerprint
        for name in REFERENCES:
            np.testing.assert_array_equal(smaller.train.references[name], default.train.references[name][:300])
            assert smaller.train.reference_rollouts[name] == 300 * 16


def test_another_seed_is_another_pool():
    other = ladder.load(limit=None, references=None, seed=1)
    assert len(set(prompts(other.train)) & set(prompts(ladder.load(None, None).train))) < 200  # the shortest


def test_references_are_rates_of_sixteen_rollouts_and_know_their_cost(default):
    assert list(default.train.references) == REFERENCES
    for name in REFERENCES:
        rates = default.train.references[name]
        assert rates.shape == (2000,)
        np.testing.assert_array_equal(rates * 16, np.round(rates * 16))
        assert default.train.reference_rollouts[name] == 32_000
    assert default.eval.references == {}


def test_the_strong_reference_is_stronger_at_every_length(default):
    weak, strong = (default.train.references[name] for name in REFERENCES)
    for length in ladder.LENGTHS:
        rows = default.train.level == length
        assert strong[rows].mean() > weak[rows].mean()


@pytest.mark.parametrize("override", [{"seed": 1}, {"train_size": 2001}, {"eval_size": 400}])
def test_references_of_another_pool_are_refused(override):
    with pytest.raises(InputError, match=r"lack \d+ of \d+ tasks.*dataset.references=null"):
        ladder.load(limit=None, references=["tiny"], **override)


def test_an_unknown_reference_is_named_with_the_choices():
    with pytest.raises(InputError, match=r"'big'.*tiny, tiny-strong"):
        ladder.load(limit=10, references=["big"])


@pytest.mark.parametrize("references", [None, []])
def test_no_references_on_request(references):
    pool = ladder.load(limit=10, references=references).train
    assert pool.references == {} and pool.reference_rollouts == {}


@pytest.mark.parametrize("override", [{"limit": 0}, {"train_size": -1}, {"eval_size": 0}, {"seed": -1}])
def test_impossible_numbers_are_refused_by_name(override):
    arguments = {"limit": None, "references": None} | override
    with pytest.raises(InputError, match=f"dataset.{next(iter(override))} is"):
        ladder.load(**arguments)


def test_a_pool_larger_than_the_short_lengths_still_has_distinct_tasks():
    pool = ladder.load(limit=None, references=None, train_size=8000).train
    assert len(set(prompts(pool))) == 8000
    assert (pool.level == 1).sum() <= 4 * 26 + 2 * 100
