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


def test_advantages_are_those_of_the_update(whole: Path, run: Path) -> None:
    from rftlab import curves
    from rftlab.grpo import advantages

    groups = curves.groups(whole)
    for file in (whole / "completions").glob("*.jsonl"):
        rows = show.lines(file)
        for task in {row["task"] for row in rows}:
            mine = [row for row in rows if row["task"] == task]
            said = [show.advantage(whole, row, rows, groups)[0] for row in mine]
            np.testing.assert_allclose(said, advantages(np.array([r["score"] for r in mine]), scale="group_std"))
    few, part = show.lines(sorted((run / "completions").glob("*"))[0]), curves.groups(run)
    for row in few:  # two of four are saved: the rest follows from wins and trials
        of = part[(part.step == row["step"]) & (part.task == row["task"])].iloc[0]
        scores = np.array([1.0] * of.wins + [0.0] * (of.trials - of.wins))
        value = advantages(scores, scale="group_std")[list(scores).index(row["score"])]
        assert show.advantage(run, row, few, part)[0] == pytest.approx(value)


def test_a_group_that_was_not_trained_on_has_no_advantage(outputs: Path) -> None:
    dapo = next(outputs.glob("*/dapo-*/seed1"))
    assert "no advantage (group not trained on)" in printed(dapo, step=1)


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
    why = "no config.yaml" if config is None else "config.yaml is damaged"
    assert printed(copy).count(f"no advantage ({why})") == 8


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
