"""A real run of the simulated engine, graded again."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rftlab import cli, loop
from rftlab.config import compose

SIM = ["engine=sim", "tracking=none", "budget=smoke", "eval.limit=8", "panel.tasks=0", "dataset.train_size=60"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    outputs = tmp_path_factory.mktemp("outputs")
    loop.train(compose([*SIM, f"outputs_dir={outputs}", "tracking.save_completions=8"]))
    return next(outputs.rglob("config.yaml")).parent


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    outputs = tmp_path_factory.mktemp("mixed")
    mix = ["dataset=mix", "dataset.parts={letters: {dataset: ladder, train_size: 60}}"]
    return loop.train(compose([*SIM[:-1], *mix, f"outputs_dir={outputs}"]))


@pytest.fixture
def run(trained: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "it's = 1"))


def saved(run: Path) -> list[dict]:
    files = sorted((run / "completions").glob("*.jsonl"))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]


def contents(run: Path) -> dict[str, bytes]:
    return {str(f.relative_to(run)): f.read_bytes() for f in run.rglob("*") if f.is_file() and "rescore" not in f.parts}


def of(run: Path, name: str) -> Path:
    """Where the one result of a verifier of this name lies, without the ending."""
    (file,) = (run / "rescore").glob(f"{name}-*.json")
    return file.with_suffix("")


def result(file: Path) -> tuple[dict, list[dict]]:
    rows = [json.loads(line) for line in file.with_suffix(".jsonl").read_text().splitlines()]
    return json.loads(file.with_suffix(".json").read_text()), rows


def test_the_same_verifier_agrees_with_itself_and_the_run_is_not_touched(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, rollouts = contents(run), saved(run)
    assert cli.main(["rescore", str(run), "verifier=exact"]) == 0
    found, rows = result(of(run, "exact"))
    wins = sum(row["passed"] for row in rollouts)
    assert 0 < wins < len(rollouts) and contents(run) == before
    assert found["agreement"] == {
        "passed": {"passed": wins, "failed": 0, "fault": 0},
        "failed": {"passed": 0, "failed": len(rollouts) - wins, "fault": 0},
        "fault": {"passed": 0, "failed": 0, "fault": 0},
    }
    assert not found["changes"] and not found["faults"] and len(rows) == found["saved"] == len(rollouts)
    out = capsys.readouterr().out
    assert f"{len(rollouts)} of {found['generated']} training rollouts are saved" in out
    assert found["generated"] > found["saved"] and "save_completions=-1" in out and "0 tasks change" in out


def test_another_verifier_disagrees_where_it_should(run: Path, tmp_path: Path) -> None:
    (tmp_path / "judges.py").write_text(
        "def only_digits(text, task):\n    if task.answer.isalpha():\n        raise ValueError('letters')\n"
        "    return text != task.answer\n"
    )
    function = f"verifier.check.function='{tmp_path}/judges.py:only_digits'"
    assert (
        cli.main(["rescore", f"run='{str(run).replace(chr(39), chr(92) + chr(39))}'", "verifier=python", function]) == 0
    )
    found, rows = result(of(run, "python"))
    assert found["check"]["function"].endswith("only_digits")
    for row, rollout in zip(rows, saved(run), strict=True):
        assert row["task"] == rollout["task"] and row["old_passed"] == rollout["passed"]
        if rollout["answer"].isalpha():
            assert row["status"] == "fault" and "letters" in row["reason"]
        else:
            assert row["passed"] is not rollout["passed"]
    graded = [row for row in rows if row["status"] != "fault"]
    assert found["new_graded"] == len(graded) > 0 and found["old_graded"] == len(rows)
    assert {c["task"] for c in found["changes"]} == {row["task"] for row in graded}
    assert len(found["faults"]) == len(rows) - len(graded) and found["faults"][0].startswith("completions/step_0000")


def test_the_place_can_be_chosen(run: Path, tmp_path: Path) -> None:
    assert cli.main(["rescore", str(run), "verifier=exact", f"out={tmp_path}/new/strict.v2"]) == 0
    assert result(tmp_path / "new" / "strict.v2.json")[0]["new"] == "exact" and not (run / "rescore").exists()


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["RUN", "verifier=by_source"], "verifier=by_source grades the parts of a mixture, and there are none"),
        (["RUN", "verifier=by_source", "--dry-run"], "grades the parts of a mixture, and there are none"),
        (["verifier=exact"], "run has no value"),
        (["nowhere", "verifier=exact"], "no config.yaml there"),
        (["RUN", "verifier=exact", "+replace.train_size=50"], "has changed: its 50 tasks"),
        (["RUN", "verifier=exact", "+replace.train_size=50", "--dry-run"], "has changed: its 50 tasks"),
        (["RUN", "verifier=exact", "+replace.trian_size=50"], "did you mean dataset.train_size?"),
        (["RUN", "verifier=exact", "verifier.check.stripe=true"], "did you mean verifier.check.strip?"),
        (["RUN", "verifier=exact", "verifier.name=../../zz"], "verifier.name=../../zz: wanted letters"),
        (["RUN", "verifier=exact", "verifier.name='..'"], "verifier.name=..: wanted letters"),
        (["RUN", "verifier=exact", "replace={limit: 5}"], "+replace.limit=5"),
        (["RUN", "verifier=exact", "replace.limit=5"], "+replace.limit=5"),
    ],
)
def test_what_cannot_be_rescored_is_one_line(
    run: Path, capsys: pytest.CaptureFixture[str], args: list[str], says: str
) -> None:
    assert cli.main(["rescore", *(str(run) if arg == "RUN" else arg for arg in args)]) == 2
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1 and not (run / "rescore").exists()


@pytest.mark.parametrize(("line", "says"), [("", "has no pool.workers"), ("workers: many", "'many' of type 'str'")])
def test_a_damaged_verifier_of_the_run_is_one_line(
    run: Path, capsys: pytest.CaptureFixture[str], line: str, says: str
) -> None:
    file = run / "config.yaml"
    file.write_text(file.read_text().replace("workers: 2", line))
    assert cli.main(["rescore", str(run)]) == 2
    err = capsys.readouterr().err
    assert says in err and "give verifier=NAME" in err and err.count("\n") == 1 and not (run / "rescore").exists()


def test_a_run_without_completions_says_how_to_save_some(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(run / "completions")
    assert cli.main(["rescore", str(run), "verifier=exact"]) == 2
    assert "tracking.save_completions=8" in capsys.readouterr().err


def test_a_second_verifier_of_the_same_name_does_not_overwrite_the_first(run: Path) -> None:
    ways = ["verifier.check.casefold=false", "verifier.check.casefold=true", "verifier.pool.deadline=3"]
    for way in [*ways, "verifier.check.casefold=true", "verifier.pool.workers=1"]:  # those two have a place already
        assert cli.main(["rescore", str(run), "verifier=exact", way]) == 0
    kept = [json.loads(file.read_text())["check"]["casefold"] for file in (run / "rescore").glob("exact-*.json")]
    assert sorted(kept) == [False, False, True]


def test_jobs_of_a_sweep_that_run_at_once_keep_every_result(run: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rftlab", "rescore", str(run), "-m", "verifier=exact"]
    command += ["verifier.check.casefold=true,false", "hydra.launcher.n_jobs=2", f"outputs_dir={tmp_path}/o"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    results = [result(file) for file in (run / "rescore").glob("*.json")]
    assert sorted(found["check"]["casefold"] for found, _ in results) == [False, True]
    assert all(len(rows) == found["saved"] for found, rows in results)


def test_without_a_verifier_the_runs_own_grades_again(run: Path) -> None:
    assert cli.main(["rescore", str(run)]) == 0
    found, rows = result(of(run, "exact"))
    assert found["old"] == found["new"] == "exact" and not found["changes"] and len(rows) == found["saved"] > 0


@pytest.mark.parametrize("chosen", [[], ["verifier=by_source"], ["verifier=by_source", "--dry-run"]])
def test_a_mixture_is_graded_by_the_verifiers_of_its_parts(mixed: Path, tmp_path: Path, chosen: list[str]) -> None:
    run = shutil.copytree(mixed, tmp_path / "run")
    assert cli.main(["rescore", str(run), *chosen]) == 0
    if "--dry-run" in chosen:
        return
    found, rows = result(of(run, "by_source"))
    assert found["new_graded"] == found["saved"] == len(rows) > 0 and not found["faults"] and not found["changes"]
    assert 0 < found["new_passed"] == found["old_passed"] and set(found["check"]["verifiers"]) == {"letters"}


@pytest.mark.parametrize(
    ("file", "content"),
    [
        *[("run.json", content) for content in (None, "{", "{}", "[]")],
        *[("config.yaml", content) for content in (None, "a: [", "- a", "{}", "dataset: 5")],
        *[("completions/step_000001.jsonl", content) for content in ("{}\n", "5\n", '{"text": 5}\n', "{\n")],
        ("groups.jsonl", "{}\n"),
    ],
)
def test_a_damaged_run_is_one_line_that_names_the_file(
    run: Path, capsys: pytest.CaptureFixture[str], file: str, content: str | None
) -> None:
    (run / file).unlink() if content is None else (run / file).write_text(content)
    assert cli.main(["rescore", str(run), "verifier=exact"]) == 2
    err = capsys.readouterr().err
    assert Path(file).name in err and err.count("\n") == 1 and not (run / "rescore").exists()


@pytest.mark.parametrize("out", ["out=''", "out=/proc/x"])
def test_a_place_that_takes_no_file_is_refused_before_the_work(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, out: str
) -> None:
    monkeypatch.setattr("rftlab.verifiers.pool.VerifierPool.grade", lambda *_: pytest.fail("graded"))
    assert cli.main(["rescore", str(run), "verifier=exact", out]) == 2
    err = capsys.readouterr().err
    assert "out=FILE" in err and err.count("\n") == 1


def test_a_number_names_a_file_as_well(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["rescore", str(run), "verifier=exact", "out=5"]) == 0
    assert (tmp_path / "5.json").is_file() and (tmp_path / "5.jsonl").is_file()


def test_tasks_whose_other_columns_have_changed_are_counted_and_graded_by_the_present_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def write(words: tuple[str, ...]) -> None:
        rows = ({"prompt": f"q{i}", "answer": "1", "words": word} for i, word in enumerate(words))
        (tmp_path / "mine.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    (tmp_path / "judge.py").write_text("def says(text, task):\n    return task.meta['words'] == 'good'\n")
    judge = ["verifier=python", f"verifier.check.function='{tmp_path}/judge.py:says'"]
    mine = ["dataset=file", f"dataset.path={tmp_path}/mine.jsonl", *judge]
    write(("good",) * 20)
    run = loop.train(compose([*SIM[:-1], *mine, f"outputs_dir={tmp_path}/outputs", "tracking.save_completions=-1"]))
    assert cli.main(["rescore", str(run), *judge]) == 0
    found, rows = result(of(run, "python"))
    assert found["other_meta"] == [] and found["unknown_meta"] == 0
    assert "other columns" not in capsys.readouterr().out

    write(("bad",) * 20)
    assert cli.main(["rescore", str(run), *judge]) == 0
    found, rows = result(of(run, "python"))
    seen = {row["task"] for row in rows}
    assert set(found["other_meta"]) == seen and not any(row["passed"] for row in rows)
    assert f"{len(seen)} tasks have other columns beside the answer than in the run" in capsys.readouterr().out

    for file in (run / "completions").glob("*.jsonl"):  # as an older version has left them
        old = [json.loads(line) for line in file.read_text().splitlines()]
        file.write_text("".join(json.dumps({k: v for k, v in row.items() if k != "meta"}) + "\n" for row in old))
    assert cli.main(["rescore", str(run), *judge]) == 0
    assert f"of {len(seen)} tasks the run does not say" in capsys.readouterr().out
