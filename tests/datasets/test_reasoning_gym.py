"""Items are functions of family, parameters, seed and index; mixtures hold their shares; both sides are distinct."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from typing import Any

import pytest

pytest.importorskip("reasoning_gym")

from rftlab.config import build_dataset, check, compose
from rftlab.core import InputError
from rftlab.datasets import gym_items
from rftlab.datasets.base import Dataset
from rftlab.datasets.reasoning_gym import load
from rftlab.verifiers.pool import VerifierPool
from rftlab.verifiers.reasoning_gym import ReasoningGym

SMALL = {"leg_counting": {"weight": 2, "max_animals": 4}, "spell_backward": {}}


def questions(found: Dataset, side: str) -> list[str]:
    return [task.prompt[-1]["content"] for task in found.pools()[side].tasks]


def test_the_same_arguments_give_the_same_tasks_and_another_seed_others() -> None:
    one, two, other = (load(SMALL, 30, 10, seed=seed) for seed in (0, 0, 1))
    assert one.train.fingerprint == two.train.fingerprint and one.eval.fingerprint == two.eval.fingerprint
    assert not set(questions(one, "train")) & set(questions(other, "train"))


def test_training_and_evaluation_share_no_question_even_of_a_small_family() -> None:
    found = load({"gcd": {"max_value": 5}}, 1000, 10)
    train, held_out = questions(found, "train"), questions(found, "eval")
    assert not set(train) & set(held_out) and len(set(train)) == len(train) < 100
    assert found.counts["train tasks of gcd fewer than asked, it has no more"] == 1000 - len(train)


def test_a_smaller_pool_is_part_of_a_larger_and_evaluation_is_the_same() -> None:
    small, large = load(SMALL, 30, 10), load(SMALL, 60, 10)
    assert set(questions(small, "train")) < set(questions(large, "train"))
    assert questions(small, "eval") == questions(large, "eval")


def test_weights_are_shares_of_families_which_are_the_categories() -> None:
    found = load(SMALL, 30, 9)
    assert Counter(task.meta["family"] for task in found.train.tasks) == {"leg_counting": 20, "spell_backward": 10}
    assert found.train.categories == found.eval.categories == ("leg_counting", "spell_backward")
    assert Counter(task.meta["family"] for task in found.train.tasks[:9]) == {"leg_counting": 6, "spell_backward": 3}
    assert load(["gcd", "lcm"], 10, 2).train.categories == ("gcd", "lcm")
    assert Counter(task.meta["family"] for task in load({"gcd": 3, "lcm": 1}, 8, 4).train.tasks)["gcd"] == 6


def test_a_task_can_be_built_anew_from_what_it_carries() -> None:
    for task in load(SMALL, 12, 2).train.tasks:
        meta = task.meta
        gym_items._item.cache_clear()
        made = gym_items.item(meta["family"], meta["parameters"], meta["seed"], meta["index"])
        assert (made["question"], made["answer"]) == (task.prompt[0]["content"], task.answer)


SLOW = {"acre", "arc_agi", "countdown", "futoshiki", "puzzle24", "sokoban", "sudoku", "zebra_puzzles"}
"""Families that take a tenth of a second and more for an item; none of them depends on hashes."""

ITEMS = """
import json, sys
from rftlab.datasets import gym_items, same_hash
made = {}
for family in sys.argv[2:]:
    for index in (3, 2) if sys.argv[1] == "backwards" else (2, 3):
        item = same_hash.called(gym_items.item, family, {}, 0, index)
        made[f"{family} {index}"] = [item["question"], item["answer"]]
print(json.dumps(made, sort_keys=True))
"""


def test_items_are_the_same_in_every_process_and_order() -> None:
    quick = [family for family in gym_items.families() if family not in SLOW]
    running = [
        subprocess.Popen(
            [sys.executable, "-c", ITEMS, order, *quick],
            stdout=subprocess.PIPE,
            env=os.environ | {"PYTHONHASHSEED": hashes},
        )
        for order, hashes in (("forwards", "1"), ("backwards", "2"))
    ]
    one, two = (json.loads(each.communicate()[0]) for each in running)
    assert len(one) == 2 * len(quick)
    assert {name.split()[0] for name in one if one[name] != two[name]} == set()


def test_workers_build_the_item_that_was_asked() -> None:
    """Families whose items follow the order of a set of texts, which every process has for itself."""
    tasks = load(
        ["polynomial_multiplication", "ransom_note", "isomorphic_strings", "list_functions"], 16, 4
    ).train.tasks
    with VerifierPool(ReasoningGym(), workers=1) as pool:
        assert all(verdict.passed for verdict in pool.grade([(task.answer, task) for task in tasks]))


def test_the_level_is_the_place_in_the_familys_range() -> None:
    train = load({"spell_backward": {"min_word_len": 3, "max_word_len": 7}}, 60, 5).train
    assert train.level is not None
    assert list(train.level) == [(len(task.answer) - 3) / 4 for task in train.tasks]
    assert load({"spell_backward": {}, "syllogism": {}}, 10, 2).train.level is None


def test_items_that_their_own_family_refuses_are_left_out() -> None:
    found = load(["intermediate_integration"], 30, 2)
    assert found.left_out and len(found.train) == 30
    assert all(ReasoningGym().grade(task.answer, task).passed for task in found.train.tasks)


def test_template_and_system_message_stand_around_the_question() -> None:
    task = load(["gcd"], 1, 1, system="Be brief.", template="{prompt} In tags.").train.tasks[0]
    assert task.prompt[0] == {"role": "system", "content": "Be brief."} and task.prompt[1]["content"].endswith(
        " In tags."
    )


def test_the_default_mixture_is_ascii_and_short() -> None:
    found = build_dataset(compose(["engine=sim", "dataset=reasoning_gym"]))
    assert (len(found.train), len(found.eval)) == (2000, 200) and found.train.level is not None
    for task in found.train.tasks:
        assert task.prompt[0]["content"].isascii() and len(task.prompt[0]["content"]) < 64 and len(task.answer) < 8


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"families": {"leg_count": {}}}, "dataset.families.leg_count: reasoning_gym has no such family; did you mean"),
        ({"families": {"gcd": {"max_values": 3}}}, "dataset.families.gcd.max_values: no such parameter; did you mean"),
        ({"families": {"gcd": {"seed": 3}}}, "use dataset.seed"),
        ({"families": {"gcd": {"min_value": 9, "max_value": 2}}}, "the family refuses it"),
        ({"families": {"gcd": {"min_value": "x"}}}, "the family refuses it"),
        ({"families": {"gcd": {"weight": 0}}}, "dataset.families.gcd.weight=0: wanted a number above 0"),
        ({"families": "gcd"}, "wanted [NAME, …]"),
        ({"families": []}, "leg_counting"),
        ({"families": ["game_of_life_halting"]}, "scores '?' as right"),
        ({"families": ["coin_flip"]}, "scores '0' as right"),
        ({"families": {"gcd": {"max_value": float("inf")}}}, "the family cannot make items, "),
        (
            {"families": {"spell_backward": {"min_word_len": 900, "max_word_len": 999}}},
            "the family cannot make items, ",
        ),
        ({"families": {"gcd": {"max_value": 3}}}, "dataset.families.gcd has no question for dataset.train_size=2000"),
        ({"families": ["gcd", "lcm", "spell_backward"], "train_size": 2}, "train_size=2 gives spell_backward no task"),
        ({"seed": -1}, "dataset.seed=-1: wanted 0 or more"),
        ({"train_size": 0}, "dataset.train_size=0"),
        ({"template": "x"}, "does not say where the {prompt} goes"),
    ],
)
def test_what_is_wrong_with_the_mixture_is_one_line(options: dict[str, Any], says: str) -> None:
    with pytest.raises(InputError) as caught:
        load(**options)
    assert says in str(caught.value) and "\n" not in str(caught.value)


def test_the_command_line_replaces_the_default_mixture() -> None:
    cfg = compose(
        ["engine=sim", "dataset=reasoning_gym", "dataset.families={gcd: {weight: 2}}", "dataset.train_size=5"]
    )
    check(cfg)
    assert build_dataset(cfg).train.categories == ("gcd",)
