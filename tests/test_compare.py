"""Arms of runs on disk held against a baseline: who is compared, with whom, and what is said."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from made_runs import TASKS, grid, make
from rftlab import cli, compare, curves
from rftlab.comparison import Comparison
from rftlab.config import compose
from rftlab.core import InputError
from rftlab.loop import train


def codes(found: Comparison) -> set[str]:
    return {caveat.code for caveat in found.caveats}


def test_a_better_a_worse_and_an_equal_arm_are_told(tmp_path: Path) -> None:
    found = compare.compare([grid(tmp_path, {"uniform": 0.1, "bots": 0.3, "dart": 0.102, "kimi": -0.1})])
    assert [arm.label for arm in found.arms] == ["uniform", "bots", "dart", "kimi"]
    said = {arm.label: arm.against and arm.against.verdict for arm in found.arms}
    assert said == {"uniform": None, "bots": "better", "dart": "not distinguishable", "kimi": "worse"}
    assert found.common == [0, 640]
    bots = found.arm("bots")
    assert bots.against is not None
    assert bots.against.difference.mean == pytest.approx(0.1, abs=0.015), "half of the final difference, by area"
    assert bots.against.other.mean == pytest.approx(0.2, abs=0.02)
    assert bots.against.seeds == [0, 1, 2, 3, 4]
    assert bots.against.improvement == 1.0
    assert bots.against.difference.low < bots.against.difference.mean < bots.against.difference.high
    assert found.answer[0].startswith("bots is better than uniform: mean accuracy over the run +")
    assert any("kimi is worse than uniform" in text for text in found.answer)


def test_endpoints_follow_from_the_evaluations(tmp_path: Path) -> None:
    path = grid(tmp_path, {"uniform": 0.1, "bots": 0.3})
    found = compare.compare([path], endpoint="final")
    run = found.arm("bots").runs[2]
    y = run.evals["accuracy"]
    assert run.final == y[-1]
    assert run.auc == pytest.approx(np.trapezoid(y, run.evals["rollouts"]) / 640)
    assert run.auc == pytest.approx(compare.objective(Path(run.path)))
    assert (run.steps, run.rollouts, run.tokens, run.seconds) == (40, 640, 4480, 80.0)
    pair = found.arm("uniform").runs[2]
    against = found.arm("bots").against
    assert against is not None
    assert against.by_seed[2] == pytest.approx(run.final - pair.final)


@pytest.mark.parametrize("endpoint", ["auc", "final"])
def test_items_and_their_mean_say_the_same(tmp_path: Path, endpoint: Any) -> None:
    found = compare.compare([grid(tmp_path, {"uniform": 0.1, "bots": 0.3})], endpoint=endpoint)
    against = found.arm("bots").against
    assert against is not None
    assert against.bootstrap_items.n == TASKS
    assert against.bootstrap_items.mean == pytest.approx(against.difference.mean)
    assert against.bootstrap_seeds.mean == pytest.approx(against.difference.mean)


def test_time_to_baseline_on_every_axis_and_with_the_references(tmp_path: Path) -> None:
    found = compare.compare([grid(tmp_path, {"uniform": 0.1, "bots": 0.3, "kimi": -0.1})])
    assert found.axes == ["rollouts", "tokens", "seconds", "steps", "rollouts_with_references"]
    ttb = {(t.axis, t.share): t for t in found.arm("bots").ttb}
    assert ttb["rollouts", 1.0].ratio == pytest.approx(1 / 3, abs=0.07)
    assert ttb["rollouts", 1.0].ratio == pytest.approx(ttb["seconds", 1.0].ratio)
    with_references = ttb["rollouts_with_references", 1.0]
    assert with_references.arm == pytest.approx(ttb["rollouts", 1.0].arm + 160)
    assert ttb["rollouts", 0.5].by_seed.high < 1
    late = {(t.axis, t.share): t for t in found.arm("kimi").ttb}["rollouts", 0.5]
    assert (late.ratio, late.reached, late.runs) == (np.inf, 0, 5)
    assert np.isnan(late.by_seed.mean)
    assert late.restricted > 1
    assert all(t.ratio == 1 for t in found.arm("uniform").ttb)
    assert found.arm("bots").bsf["100"] == pytest.approx(0.5 / 0.3, abs=0.1)


def test_runs_that_differ_in_more_are_refused_and_their_keys_named(tmp_path: Path) -> None:
    grid(tmp_path, {"uniform": 0.1, "bots": 0.3})
    make(tmp_path, "bots", 7, algo__lr=0.01)
    make(tmp_path, "dart", 0, facts={"eval_pool": "other"})
    found = compare.compare([tmp_path])
    refused = {(run.arm, run.seed): run.differences for run in found.refused}
    assert refused == {("bots", 7): {"algo.lr": [0.001, 0.01]}, ("dart", 0): {"run.json: eval_pool": ["e", "other"]}}
    assert [arm.label for arm in found.arms] == ["uniform", "bots"]
    assert [run.seed for run in found.arm("bots").runs] == [0, 1, 2, 3, 4]
    assert (found.caveats[0].severity, found.caveats[0].code) == ("warning", "refused"), "no part of any number"


def test_a_group_that_was_chosen_differently_is_named_as_it_is_chosen(tmp_path: Path) -> None:
    grid(tmp_path, {"uniform": 0.1, "bots": 0.3})
    make(tmp_path, "bots", 7, engine___target_="rftlab.engines.hf.HFEngine", engine__max_rows=8, algo__lr=0.01)
    found = compare.compare([tmp_path])
    assert "from the baseline's in algo.lr, engine." in found.caveats[0].text
    mixed = compare.compare([tmp_path], allow_mixed=True)
    assert mixed.caveats[0].text.endswith(", in algo.lr, engine.")


def test_mixed_runs_are_arms_of_their_own_when_allowed_and_it_is_said_in_red(tmp_path: Path) -> None:
    grid(tmp_path, {"uniform": 0.1, "bots": 0.3})
    grid(tmp_path, {"bots": 0.2}, algo__lr=0.01)
    found = compare.compare([tmp_path], allow_mixed=True)
    assert {arm.label: len(arm.runs) for arm in found.arms} == {"uniform": 5, "bots": 5, "bots (algo.lr=0.01)": 5}
    assert found.mixed
    assert (found.caveats[0].severity, found.caveats[0].code) == ("error", "mixed")
    assert found.arm("bots (algo.lr=0.01)").differences["algo.lr"] == [0.001, 0.01]


def test_another_axis_can_be_compared(tmp_path: Path) -> None:
    grid(tmp_path, {"uniform": 0.1})
    grid(tmp_path, {"uniform": 0.3}, algo__advantage="group_mean")
    with pytest.raises(InputError, match=r"no arm is called uniform; give --baseline with one of: group_\w+; group_"):
        compare.compare([tmp_path], ["algo.advantage"])
    found = compare.compare([tmp_path], ["algo.advantage"], "group_std")
    assert [arm.label for arm in found.arms] == ["group_std", "group_mean"]
    assert found.arms[1].differences == {"algo.advantage": ["group_std", "group_mean"]}
    with pytest.raises(InputError, match=r"--by algo\.nothing: no run has such a key"):
        compare.compare([tmp_path], ["algo.nothing"], "x")


def test_a_group_without_a_name_is_told_by_what_differs_in_it(tmp_path: Path) -> None:
    grid(tmp_path, {"uniform": 0.1})
    grid(tmp_path, {"uniform": 0.3}, algo__advantage="group_mean")
    found = compare.compare([tmp_path], ["algo"], "algo (algo.advantage=group_std)")
    assert [arm.label for arm in found.arms] == ["algo (algo.advantage=group_std)", "algo (algo.advantage=group_mean)"]
    alone = compare.compare([grid(tmp_path / "one", {"uniform": 0.1})], ["algo"])
    assert [arm.label for arm in alone.arms] == ["algo"]


@pytest.mark.parametrize("by", ["", ",", "sampler,,algo"])
def test_no_key_to_compare_by_is_one_line(tmp_path: Path, by: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["compare", str(grid(tmp_path, {"uniform": 0.1}, range(1))), "--by", by]) == 2
    err = capsys.readouterr().err
    assert f"argument --by: {by!r}: wanted keys" in err and err.count("\n") == 1


@pytest.mark.parametrize("verb", ["compare", "report"])
@pytest.mark.parametrize("place", ["file", "link", "/proc/x"])
def test_a_place_that_takes_no_page_is_one_line_before_anything_is_measured(
    tmp_path: Path, verb: str, place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    out = tmp_path / place
    assert cli.main([verb, str(tmp_path / "no such runs"), f"out={out}"]) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"rftlab: cannot write to {out} (") and err.count("\n") == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["file", "link"]


def test_two_arms_of_one_name_are_told_apart_by_what_differs(tmp_path: Path) -> None:
    grid(tmp_path, {"uniform": 0.1, "mine": 0.2})
    grid(tmp_path, {"mine": 0.3}, sampler__selector__lam=0.9)
    labels = {arm.label for arm in compare.compare([tmp_path]).arms}
    assert labels == {"uniform", "mine (selector.lam=0.5)", "mine (selector.lam=0.9)"}


def test_where_and_how_fast_a_run_was_made_is_no_difference(tmp_path: Path) -> None:
    grid(tmp_path, {"uniform": 0.1})
    grid(tmp_path, {"bots": 0.3}, name="another", outputs_dir="elsewhere", threads=7, tracking__wandb="online")
    assert not compare.compare([tmp_path]).refused


def test_seeds_without_a_pair_are_left_out_of_the_verdict(tmp_path: Path) -> None:
    grid(tmp_path, {"uniform": 0.1}, range(4))
    grid(tmp_path, {"bots": 0.3}, range(2, 8))
    found = compare.compare([tmp_path])
    bots = found.arm("bots")
    assert bots.against is not None
    assert bots.against.seeds == [2, 3]
    assert [run.seed for run in bots.runs if not run.paired] == [4, 5, 6, 7]
    assert {"unpaired", "few_seeds"} <= codes(found)


def test_unfinished_runs_are_shown_and_in_no_number(tmp_path: Path) -> None:
    grid(tmp_path, {"uniform": 0.1, "bots": 0.3})
    for seed, state in ((5, "failed"), (6, "running"), (7, "stopped")):
        make(tmp_path, "bots", seed, 0.9, state)
    found = compare.compare([tmp_path])
    assert {(run.seed, run.state) for run in found.unfinished} == {(5, "failed"), (6, "stale"), (7, "stopped")}
    assert len(found.arm("bots").runs) == 5
    assert "unfinished" in codes(found)


def test_one_run_alone_says_what_is_missing(tmp_path: Path) -> None:
    make(tmp_path, "bots", 0, 0.3)
    found = compare.compare([tmp_path])
    assert found.baseline == "bots"
    assert {"one_arm", "one_seed"} <= codes(found)
    assert np.isnan(found.arms[0].auc.low)
    assert found.answer == ["bots stands alone: there is nothing to hold it against."]


def test_one_seed_each_gives_a_difference_and_no_verdict(tmp_path: Path) -> None:
    found = compare.compare([grid(tmp_path, {"uniform": 0.1, "bots": 0.3}, [0])])
    against = found.arm("bots").against
    assert against is not None
    assert against.verdict == "no verdict"
    assert against.difference.mean > 0.05
    assert np.isnan([against.p, against.difference.low, against.detectable]).all()
    assert "one_seed" in codes(found)


def test_what_cannot_be_compared_is_said_in_one_line(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no run in"):
        compare.compare([tmp_path])
    make(tmp_path, "uniform", 0, state="failed")
    with pytest.raises(InputError, match=r"no run has finished \(1 failed\)"):
        compare.compare([tmp_path])
    make(tmp_path, "uniform", 1)
    make(tmp_path, "dart", 1)
    with pytest.raises(InputError, match=r"--baseline nobody: no finished arm .* one of: dart; uniform"):
        compare.compare([tmp_path], baseline="nobody")


def test_damaged_records_are_counted_and_damaged_runs_are_shown(tmp_path: Path) -> None:
    grid(tmp_path, {"uniform": 0.1, "bots": 0.3})
    with (tmp_path / "tiny_ladder" / "bots-plain" / "seed1" / "metrics.jsonl").open("a") as file:
        file.write('{"broken\n{"half')
    (tmp_path / "tiny_ladder" / "bots-plain" / "seed2" / "config.yaml").write_text("a: [")
    (tmp_path / "tiny_ladder" / "bots-plain" / "seed3" / "metrics.jsonl").write_text("")
    found = compare.compare([tmp_path])
    assert [run.seed for run in found.arm("bots").runs] == [0, 1, 4]
    assert [(run.seed, run.state) for run in found.unfinished] == [(2, "unreadable")]
    assert [(run.seed, run.why) for run in found.refused] == [(3, "no evaluation in metrics.jsonl")]
    skipped = next(caveat for caveat in found.caveats if caveat.code == "skipped")
    assert skipped.text.endswith(": 2.")


def test_one_folder_given_twice_counts_once(tmp_path: Path) -> None:
    found = compare.compare([grid(tmp_path, {"uniform": 0.1}, range(2)), tmp_path / "tiny_ladder"])
    assert (sum(len(arm.runs) for arm in found.arms), found.refused) == (2, [])


def test_curves_are_means_over_seeds_on_a_common_grid(tmp_path: Path) -> None:
    found = compare.compare([grid(tmp_path, {"uniform": 0.1, "bots": 0.3})])
    accuracy = found.arm("bots").curves["rollouts"]["eval/accuracy"]
    ends = [run.evals["accuracy"][-1] for run in found.arm("bots").runs]
    assert found.grid["rollouts"][-1] == 640
    assert len(accuracy.mean) == len(found.grid["rollouts"])
    assert accuracy.mean[-1] == pytest.approx(np.mean(ends))
    assert accuracy.low[-1] < accuracy.mean[-1] < accuracy.high[-1]
    assert set(np.round(found.arm("bots").curves["steps"]["group/etr"].mean[2:], 6)) == {0.5}


def test_the_file_holds_no_nan_and_the_verb_writes_all_three(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    grid(tmp_path, {"uniform": 0.1, "bots": 0.3}, range(3))
    assert cli.main(["compare", str(tmp_path), f"out={tmp_path / 'out'}"]) == 0
    said = json.loads((tmp_path / "out" / "compare.json").read_text(), parse_constant=pytest.fail)
    assert [arm["label"] for arm in said["arms"]] == ["uniform", "bots"]
    assert said["arms"][1]["against"]["verdict"] in (tmp_path / "out" / "compare.md").read_text()
    assert str(tmp_path / "out" / "compare.html") in capsys.readouterr().out


def test_real_runs_are_compared_as_the_loop_leaves_them(tmp_path: Path) -> None:
    common = ["engine=sim", "budget=smoke", "tracking=none", f"outputs_dir={tmp_path}", "name=grid"]
    for sampler in ("uniform", "bots"):
        for seed in (0, 1):
            train(compose([*common, f"sampler={sampler}", f"seed={seed}"]))
    found = compare.compare([tmp_path])
    assert {arm.label: len(arm.runs) for arm in found.arms} == {"uniform": 2, "bots": 2}
    assert not found.refused
    run = found.arm("bots").runs[0]
    frame = curves.read(Path(run.path))
    assert run.rollouts == frame["ledger/rollouts"].iloc[-1]
    assert found.arm("bots").cost["reference_rollouts"] > 0
    assert found.arm("bots").belief["spearman"].n == 2
    assert "uncharged" not in codes(found)
    against = found.arm("bots").against
    assert against is not None
    assert against.bootstrap_items.mean == pytest.approx(against.difference.mean)
