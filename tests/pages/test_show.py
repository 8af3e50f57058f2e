"""Completions of a run, as the verb ``show`` prints them."""

from __future__ import annotations

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from conftest import train
from rftlab import cli, show
from rftlab.show import Wanted


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that saved every completion."""
    return train(tmp_path_factory.mktemp("whole"), "uniform", 0, "tracking.save_completions=-1")


def printed(run: Path, **wanted: object) -> str:
    out = io.StringIO()
    show.show(run, Wanted(**wanted), out)  # type: ignore[arg-type]
    return out.getvalue()


def test_it_shows_the_last_step_and_says_what_was_saved(run: Path, whole: Path) -> None:
    text = printed(run)
    assert "step 6: 8 of 16 rollouts were saved (all of a next run: tracking.save_completions=-1)" in text
    assert text.count("\nstep 6  task ") == 8 and "prompt  " in text and "wrote   " in text
    assert "step 6: 16 of 16 rollouts were saved\n" in printed(whole) and "6 more" in printed(whole)
    assert "\x1b" not in text


def test_worst_best_and_failed_choose_by_score(whole: Path) -> None:
    rows = [json.loads(line) for line in (whole / "completions" / "step_000004.jsonl").read_text().splitlines()]
    scores = sorted(row["score"] for row in rows)
    assert [r["score"] for r in show.choose(rows, Wanted(worst=3))] == scores[:3]
    assert [r["score"] for r in show.choose(rows, Wanted(best=3))] == scores[::-1][:3]
    failed = show.choose(rows, Wanted(failed=True))
    assert failed and not any(row["passed"] for row in failed)


def test_a_task_is_found_by_the_beginning_of_its_id_over_all_steps(whole: Path) -> None:
    row = json.loads((whole / "completions" / "step_000002.jsonl").read_text().splitlines()[0])
    text = printed(whole, task=row["task"][:6])
    assert f"task {row['task']}" in text and row["prompt"] in text


def test_advantages_are_those_of_the_update(whole: Path, tmp_path: Path) -> None:
    # PODS trains on the two of four that differ most: their mean is not that of the group
    pods = train(tmp_path, "pods", 0, "tracking.save_completions=-1", "sampler.admission.m=2")
    for run, picked in ((whole, 4), (pods, 2)):
        seen = 0
        for file in (run / "completions").glob("*.jsonl"):
            rows = show.lines(file)
            for task in {row["task"] for row in rows}:
                mine = [row for row in rows if row["task"] == task and row["advantage"] is not None]
                if not mine:
                    continue
                scores = np.array([row["score"] for row in mine])
                assert len(mine) == picked
                np.testing.assert_allclose([row["advantage"] for row in mine], scores - scores.mean())
                assert [show.advantage(row) for row in mine] == [(row["advantage"], "") for row in mine]
                seen += len(set(scores)) > 1
        assert seen, "some group has right and wrong answers"
    assert "no advantage (not trained on in this step)" in printed(pods, worst=50)


def test_a_run_of_an_older_version_says_that_its_advantages_are_not_recorded(run: Path) -> None:
    row = show.lines(sorted((run / "completions").glob("*"))[-1])[0]
    row.pop("advantage")
    assert show.advantage(row) == (None, "not recorded: the run is of an older version")
    assert show.advantage(row | {"status": "fault"}) == (None, "a fault is no trial")


def test_what_was_written_in_evaluations_is_shown_too(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = printed(run, evaluation=True)
    assert f"{run}, evaluation at step 6: 32 rollouts were saved (of the next: eval.save_completions=N" in text
    assert text.count("\nstep 6  task ") == 10 and "advantage" not in text and "22 more" in text
    task = show.lines(run / "eval_completions" / "step_000000.jsonl")[0]["task"]
    assert "4 evaluations: 16 rollouts" in printed(run, evaluation=True, task=task)
    assert cli.main(["show", str(run), "--eval", "--step", "1"]) == 2
    assert "has no evaluation at step 1; it has 4 evaluations from step 0 to 6: --step 0" in capsys.readouterr().err


@pytest.mark.parametrize("args", [[], ["--eval"]])
def test_one_step_alone_is_not_told_as_a_range(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], args: list[str]
) -> None:
    copy = shutil.copytree(run, tmp_path / "copy")
    for file in [*copy.glob("completions/*"), *copy.glob("eval_completions/*")]:
        if file.stem != "step_000006":
            file.unlink()
    assert cli.main(["show", str(copy), *args, "--step", "1"]) == 2
    assert "step 1; it has those of step 6 alone: --step 6" in capsys.readouterr().err


def test_a_run_without_completions_of_evaluations_names_the_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    none = train(tmp_path, "uniform", 0, "eval.save_completions=0")
    assert not (none / "eval_completions").exists() and list((none / "evals").glob("step_*"))
    assert cli.main(["show", str(none), "--eval"]) == 2
    assert "train with eval.save_completions=32" in capsys.readouterr().err


def test_a_group_that_was_not_trained_on_has_no_advantage(outputs: Path) -> None:
    dapo = next(outputs.glob("*/dapo-*/seed1"))
    assert "no advantage (not trained on in this step)" in printed(dapo, step=1)


def test_a_completion_cannot_steer_the_terminal(run: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    file = sorted((copy / "completions").glob("*"))[-1]
    row = show.lines(file)[0] | {"text": "\x1b[2J[bold]a\x07\r\x9b31mb", "prompt": "\u202eab\u2066"}
    file.write_text(json.dumps(row | {"task": "\x1b]0;t\x07", "status": "\x1b[31m", "passed": False}) + "\n")
    text = printed(copy)
    assert "task \u241b]0;t\u2407  \u241b[31m  score" in text and "\ufffdab\ufffd" in text
    assert not set("\u202e\u2066") & set(text)
    assert "\u241b[2J[bold]a\u2407\u240d\ufffd31mb" in text and "\x1b" not in text and "\x07" not in text


@pytest.mark.parametrize("config", ["a: [", "algo: 3\n", "", None])
def test_without_a_configuration_the_completions_are_shown_still(run: Path, tmp_path: Path, config: str | None) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    (copy / "config.yaml").unlink() if config is None else (copy / "config.yaml").write_text(config)
    assert printed(copy) == printed(run).replace(str(run), str(copy))


@pytest.mark.parametrize("lost", ["tokens", "passed", "status", "finish", "parsed", "prompt", "answer"])
def test_rows_that_lack_a_key_are_left_out_and_counted(run: Path, tmp_path: Path, lost: str) -> None:
    copy = Path(shutil.copytree(run, tmp_path / "run"))
    file = sorted((copy / "completions").glob("*"))[-1]
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    del rows[0][lost]
    rows[1]["score"] = "high"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows) + '{"step":')
    text = printed(copy, worst=20)
    assert "\n3 damaged lines left out\n" in text and text.count("\nstep 6  task ") == 6


WRONG = [
    (["--step", "99"], "it has 6 steps from 1 to 6: --step 6"),
    (["--task", "zzz"], "no completion of task zzz was saved in any step"),
    (["--worst", "2", "--best", "2"], "not allowed with argument"),
    (["--worst=-3"], "'-3': wanted a whole number of at least 1"),
    (["--best", "0"], "'0': wanted a whole number of at least 1"),
    (["--task", ""], "--task: it is empty"),
]


@pytest.mark.parametrize(("args", "says"), WRONG)
def test_a_wrong_wish_is_one_line(run: Path, args: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["show", str(run), *args]) == 2
    assert says in capsys.readouterr().err


def test_no_run_and_no_completions_are_told_apart(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["show", str(tmp_path)]) == 2
    assert "is no run" in capsys.readouterr().err
    shutil.copy(run / "run.json", tmp_path)
    assert cli.main(["show", str(tmp_path)]) == 2
    assert "tracking.save_completions=8" in capsys.readouterr().err
