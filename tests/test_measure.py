"""What a step has shown, on groups made by hand."""

import numpy as np
import pytest

from rftlab.core import Completion, Finish, Group, Pick, Purpose, Status, Task, Verdict
from rftlab.measure import completion_rows, group_rows, step_metrics


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
