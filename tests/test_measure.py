"""What a step has shown, on groups made by hand."""

import dataclasses
import datetime
import os
import subprocess
import sys

import numpy as np
import pytest

from rftlab import measure
from rftlab.core import Completion, Finish, Group, Pick, Purpose, Status, Task, Verdict
from rftlab.measure import completion_rows, group_rows, meta_hash, step_metrics


def group(index: int, passes: str, purpose=Purpose.TRAIN) -> Group:
    """``1`` passed, ``0`` failed, ``f`` a fault, ``t`` a timeout, ``c`` failed because cut off."""
    task = Task(f"id{index}", index, ({"role": "user", "content": f"q{index}"},), "a")
    completions = tuple(
        Completion(
            f"{p}{i}",
            np.zeros(i + 1, np.int32),
            np.zeros(i + 1, np.float32),
            Finish.LENGTH if p == "c" else Finish.STOP,
            0,
        )
        for i, p in enumerate(passes)
    )
    status = {"f": Status.FAULT, "t": Status.TIMEOUT}
    verdicts = tuple(Verdict(float(p == "1"), p == "1", status.get(p, Status.OK)) for p in passes)
    return Group(task, completions, verdicts, 5, purpose)


GENERATED = [
    group(0, "1100"),
    group(1, "0000"),
    group(2, "1111"),
    group(3, "ff11"),
    group(4, "tc10"),
    group(5, "0001", Purpose.PROBE),
]
BATCH = [(GENERATED[i], Pick(i, np.arange(4))) for i in (0, 1)]


def test_group_shares_count_valid_rollouts_of_training_groups_only():
    m = step_metrics(GENERATED, BATCH, 6)
    assert m["group/etr"] == 0.5  # of the two trained groups one is mixed
    assert m["group/yield"] == pytest.approx(2 / 5)
    assert m["group/all_pass"] == pytest.approx(2 / 5)  # ff11 passed whenever it was graded
    assert m["group/all_fail"] == pytest.approx(1 / 5)
    assert (m["group/generated"], m["group/trained"], m["group/size_mean"]) == (5, 2, 4)
    assert m["group/trained_carried"] == 2  # made in step 5


def test_rollout_shares_count_everything_generated():
    m = step_metrics(GENERATED, BATCH, 6)
    assert m["reward/mean"] == pytest.approx((2 + 0 + 4 + 2 + 1 + 1) / 22)  # two faults are no trials
    assert m["verdict/fault"] == pytest.approx(2 / 24)
    assert m["verdict/timeout"] == pytest.approx(1 / 24)
    assert m["completion/truncated"] == pytest.approx(1 / 24)
    assert (m["completion/tokens_mean"], m["completion/tokens_max"]) == (2.5, 4)


def test_a_step_in_which_nothing_was_graded_has_no_reward_and_no_shares_rather_than_zeros():
    for generated in ([], [group(0, "ffff")]):
        m = step_metrics(generated, [], 1)
        shares = [m.pop(f"group/{name}") for name in ("etr", "yield", "all_pass", "all_fail")]
        assert np.isnan([m.pop("reward/mean"), *shares]).all() and np.isfinite(list(m.values())).all()


def test_a_step_that_trained_nothing_has_no_etr_and_a_yield():
    m = step_metrics(GENERATED, [], 6)
    assert np.isnan(m["group/etr"]) and m["group/yield"] == pytest.approx(2 / 5)


def test_rows_say_what_was_believed_and_what_came():
    rows = group_rows(
        GENERATED, [0, 0, 0, 0, 1, 0], {0: True, 1: True, 2: True, 3: False}, {0, 1}, np.linspace(0, 1, 6)
    )
    assert rows[3] == {
        "step": 5,
        "round": 0,
        "task": "id3",
        "index": 3,
        "purpose": "train",
        "wins": 2,
        "trials": 2,
        "rollouts": 4,
        "tokens": 10,
        "predicted": 0.6,
        "admitted": False,
        "trained": False,
    }
    assert (
        rows[0]["trained"]
        and rows[2]["admitted"]
        and not rows[2]["trained"]
        and not rows[5]["admitted"]
        and rows[5]["purpose"] == "probe"
    )


def test_kept_completions_go_round_the_groups_first():
    texts = [row["text"] for row in completion_rows(GENERATED, 7)]
    assert texts == ["10", "00", "10", "f0", "t0", "00", "11"]
    assert len(completion_rows(GENERATED, -1)) == 24


def test_kept_completions_hold_the_advantages_that_they_were_trained_with():
    again = GENERATED[4].extended(GENERATED[4])  # the records' own copy of a group that grew
    carried = dataclasses.replace(GENERATED[0], step=4)  # of the task of a group of this step, and not that group
    probe = GENERATED[5]
    batch = [(again, Pick(4, np.array([2, 6]))), (carried, Pick(0, np.arange(4)))]
    batch += [(dataclasses.replace(probe, purpose=Purpose.TRAIN), Pick(5, np.array([0])))]
    advantages = {4: np.array([0.5, -0.5]), 0: np.arange(4.0), 5: np.array([9.0])}
    generated = [*GENERATED[:4], GENERATED[4].extended(GENERATED[4]), probe]
    rows = completion_rows(generated, -1, batch, advantages)
    told = [row["advantage"] for row in rows if row["task"] == "id4"]
    assert told == [None, None, 0.5, None, None, None, -0.5, None]
    assert all(row["advantage"] is None for row in rows if row["task"] != "id4")


def of(**meta) -> str:
    return meta_hash(Task("x", 0, (), "a", meta))


def test_the_hash_of_a_tasks_other_columns_is_that_of_what_a_verifier_reads():
    assert of(tests=["1"], row="a.jsonl:1") == of(row="a.jsonl:9", tests=["1"]) != of(tests=["2"])
    assert of(tolerance=0.1) != of() == of(row="b")


def test_the_hash_of_columns_as_json_has_them_is_the_one_that_earlier_runs_have_written():
    assert of() == "d905e156"
    assert of(tests=["1", {"b": None, "a": [True, 1.5]}], source="ü") == "e064c1db"


def test_columns_that_json_does_not_know_have_a_hash_too():
    assert of(m={1: 2, "a": 3}) == of(m={"a": 3, 1: 2}) != of(m={1: 3, "a": 3})
    assert of(odd={1, "a"}) == of(odd={"a", 1}) != of(odd={1, "b"})
    long = np.arange(5000)
    assert of(a=long) == of(a=long.copy()) != of(a=np.where(long == 2500, 0, long))
    assert of(a=object()) == of(a=object())  # no address in memory
    assert of(d=datetime.date(2024, 1, 2)) != of(d=datetime.date(2024, 1, 3))


def test_the_hash_is_the_same_in_every_process():
    code = "from rftlab.core import Task; from rftlab.measure import meta_hash; from pathlib import Path;"
    code += "print(meta_hash(Task('x', 0, (), 'a', {'s': {'ab', 'cd', 'ef', 'gh'}, 'd': {'k': frozenset('xyz')}})))"
    said = {
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | {"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(said) == 1


def test_a_tasks_columns_are_hashed_once_a_step_and_only_where_a_completion_is_kept(monkeypatch):
    asked = []
    monkeypatch.setattr(measure, "meta_hash", lambda task: asked.append(task.id) or "hash")
    assert all(row["meta"] == "hash" for row in completion_rows(GENERATED, -1))
    assert sorted(asked) == sorted({g.task.id for g in GENERATED})
    asked.clear()
    completion_rows(GENERATED, 2)
    assert len(asked) == 2
