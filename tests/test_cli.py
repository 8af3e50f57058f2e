"""The command line as its users meet it: exit codes, one-line errors, what is printed."""

import errno
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from rftlab import __version__, cli

Run = Callable[..., tuple[int, str, str]]
SIM = ("engine=sim", "tracking=none", "budget=smoke", "eval.limit=8")


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """``rftlab`` in this process: (exit status, stdout, stderr)."""

    def run(*args: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["rftlab", *args])
        monkeypatch.setenv("HYDRA_FULL_ERROR", "0")
        try:
            code = cli.main(args)
        except SystemExit as exc:
            code = exc.code if isinstance(exc.code, int) else 1
        out, err = capsys.readouterr()
        return code, out, err

    return run


def shell(*args: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """``python -m rftlab`` as a process of its own, from another directory."""
    command = [sys.executable, "-m", "rftlab", *args]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=240)


@pytest.mark.parametrize(
    ("args", "heavy", "seconds"),
    [
        (["--help"], {"torch", "hydra", "omegaconf", "numpy", "wandb"}, 0.3),
        (["train", "--help"], {"torch", "hydra", "omegaconf", "numpy", "wandb"}, 0.3),
        (["samplers"], {"torch", "transformers", "sklearn", "pandas", "wandb"}, 2.0),
    ],
    ids=["help", "train help", "samplers"],
)
def test_help_is_instant_and_imports_nothing_heavy(
    tmp_path: Path, args: list[str], heavy: set[str], seconds: float
) -> None:
    code = f"import sys; from rftlab.cli import main; main({args!r}); assert not {heavy} & set(sys.modules)"
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    # processor time, so that a busy machine cannot fail it
    assert after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime < seconds


def test_help_lists_groups_with_their_options_and_defaults(run: Run) -> None:
    code, out, _ = run("train", "--help")
    assert code == 0
    assert (
        re.search(r"  sampler +.*bots.*uniform\*", out, re.DOTALL) and "sampler/selector" in out and "init_from" in out
    )


def test_version_and_bare_command(run: Run) -> None:
    assert run("--version") == (0, f"rftlab {__version__}\n", "")
    code, out, _ = run()
    assert code == 0 and all(f"rftlab {verb}" in out for verb in cli.VERBS)


WRONG = [
    (["trian"], "did you mean train?"),
    (["train", "sampler=bost"], "did you mean sampler=bots?"),
    (["train", "sampler=bots", "sampler.lamda=2"], "did you mean sampler.selector.lam?"),
    (["train", "sead=1"], "did you mean seed?"),
    (["train", "references.weak=a.jsonl"], "+references.weak=a.jsonl"),
    (
        ["train", "--dry-run", "model.template_options.mood=calm"],
        "model.template_options has no mood yet: add it by +model.template_options.mood=calm",
    ),
    (
        ["validate", "dataset=reasoning_gym", "dataset.families.gcd.weight=2"],
        "dataset.families has no gcd.weight yet: add it by +dataset.families.gcd.weight=2",
    ),
    (["train", "dataset.filter.level=2"], "dataset.filter.level: no such key"),
    (["validate", "out=''"], "out is empty"),
    (["validate", "out=/"], "out=/ is a folder"),
    (["validate", "out=/proc/x"], "out=/proc/x cannot be written"),
    (["eval", "out=''"], "out is empty: wanted a folder, out=DIR"),
    (["eval", "out=/proc/x"], "cannot write to /proc/x"),
    (["eval", "out=/dev/null"], "cannot write to /dev/null (Not a directory)"),
    (["train", "seed=1,2"], "add -m"),
    (["train", "+typo=1"], "typo: no such key"),
    (["train", "budget.group_size=-8"], "budget.group_size=-8: wanted at least 2"),
    (["train", "engine.top_p=0.9"], "engine.top_p"),
    (["train", "--nonsense"], "--nonsense: no such option"),
    (["train", "--foo"], "--foo: no such option; see rftlab train --help"),
    (["train", "=3"], "=3: lacks its key, wanted KEY=3"),
    (["train", "-m", "seed=1,2", "outputs_dir=/sys"], "give a writable place by outputs_dir=DIR"),
    (["train", "--config-dir", "nowhere"], "nowhere"),
    (["train", "--config-dri", "nowhere"], "did you mean --config-dir?"),
    (["train", "--config-dir"], "lacks its value"),
    (["train", "--cfg", "jobs"], "--cfg jobs: wanted one of job"),
    (["train", "engine=sim", "sampler=bots", "sampler.selector.lam=7"], "sampler.selector.lam=7"),
    (["train", "--dry-run", "verifier=composite", "verifier.check.passed=tags"], "one of the parts answer, format"),
    (["train", "--dry-run", "verifier=python"], "verifier.check.function="),
    (["train", "hydra/launcher=nothing"], "There are: basic, local"),
    (["samplers", "--config-dir", "nowhere"], "no such folder"),
    (["validate", "dataset=file"], "dataset.path=FILE or FOLDER, or +dataset.hub.path=OWNER/NAME"),
    (["validate", "dataset=file", "dataset.path=nowhere.jsonl"], "nowhere.jsonl"),
    (["samplers", "bost"], "did you mean bots?"),
    (["export"], "required: run"),
]


@pytest.mark.parametrize(("args", "says"), WRONG, ids=[" ".join(a) for a, _ in WRONG])
def test_wrong_input_is_one_line_on_stderr_and_status_2(run: Run, args: list[str], says: str) -> None:
    code, _, err = run(*args)
    assert code == 2
    assert err.count("\n") == 1 and says in err and "Traceback" not in err


def test_a_dry_run_checks_prints_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    code, out, err = run("train", "--dry-run", "sampler=bots", "engine=sim", f"outputs_dir={tmp_path / 'o'}", "seed=3")
    assert (code, err) == (0, "")
    assert yaml.safe_load(out)["sampler"]["name"] == "bots"
    assert re.search(rf"# run directory: {tmp_path}/o/lab/tiny_ladder/bots-[0-9a-f]{{8}}/seed3\n", out)
    assert not (tmp_path / "o").exists()


def test_a_sampler_that_needs_what_the_dataset_lacks_is_refused_before_a_model_loads(run: Run) -> None:
    code, _, err = run("train", "--dry-run", "engine=sim", "sampler=accuracy_filter", "dataset.references=null")
    assert code == 2 and err.count("\n") == 1 and "references" in err


def test_a_refused_command_leaves_no_run_behind(run: Run, tmp_path: Path) -> None:
    status, _, err = run("train", "model.path=random:nowhere", f"outputs_dir={tmp_path / 'outputs'}")
    assert status == 2 and "no such shape" in err
    assert not (tmp_path / "outputs").exists()


def test_a_simulated_run_goes_through_and_the_same_command_finds_it_done(run: Run, tmp_path: Path) -> None:
    command = ("train", *SIM, f"outputs_dir={tmp_path}", "name=cli")
    code, out, _ = run(*command)
    assert code == 0
    folder = Path(out.strip().splitlines()[-1])
    assert (folder / "metrics.jsonl").exists() and folder.parent.parent.parent == tmp_path / "cli"
    assert "eval accuracy, end" in out and "ETR" in out
    code, out, _ = run(*command)
    assert code == 0 and "done already" in out


def test_options_may_stand_between_overrides(run: Run) -> None:
    code, out, _ = run("train", "seed=5", "--cfg", "job", "sampler=bots")
    assert code == 0 and yaml.safe_load(out)["seed"] == 5 and yaml.safe_load(out)["sampler"]["name"] == "bots"


def test_a_failing_job_of_a_sweep_costs_only_itself(run: Run, tmp_path: Path) -> None:
    code, _, err = run("train", *SIM, f"outputs_dir={tmp_path}", "name=sweep", "-m", "budget.group_size=1,4")
    assert code == 1 and "budget.group_size=1" in err
    assert len(list((tmp_path / "sweep").rglob("status.json"))) == 1, "the good job ran after the bad one"


def test_listings_have_a_line_each_and_everything_about_one(run: Run, tmp_path: Path) -> None:
    (tmp_path / "sampler").mkdir()
    (tmp_path / "sampler" / "mine.yaml").write_text("# My own idea. And more of it.\nname: mine\n")
    code, out, _ = run("samplers", "--config-dir", str(tmp_path))
    assert code == 0 and re.search(
        r"^mine\b.*\n    My own idea\.\n    Broken: sampler.selector has no _target_", out, re.M
    )
    assert all(re.search(rf"^{name} ", out, re.M) for name in ("uniform", "bots", "mopps", "dapo"))
    _, out, _ = run("samplers", "bots")
    assert "lam: 0.1" in out and "arXiv:2510.26374" in out and "allocator: fixed" in out
    assert run("models")[0] == run("datasets", "ladder")[0] == run("verifiers", "number")[0] == 0
    code, _, err = run("verifiers", "nubmer")
    assert code == 2 and "did you mean number?" in err


def test_the_table_of_samplers_fits_80_columns_and_says_what_building_them_shows(run: Run) -> None:
    code, out, _ = run("samplers")
    rows = {line.split()[0]: line for line in out.splitlines() if line and not line.startswith((" ", "-"))}
    assert code == 0 and "\033" not in out and max(map(len, out.splitlines())) <= 80
    assert re.fullmatch(r"bots +tasks +1 +\[references\]", rows["bots"])
    assert re.fullmatch(r"accuracy_filter +tasks +1 +references", rows["accuracy_filter"])
    assert re.fullmatch(r"dapo +groups +1 \+ refills +-", rows["dapo"])
    assert re.fullmatch(r"uniform +- +1 +-", rows["uniform"])
    assert "Broken" not in out


def test_the_parts_can_be_found_and_shown(run: Run) -> None:
    code, out, _ = run("samplers", "selectors")
    assert code == 0 and re.search(r"^mopps +A Beta belief", out, re.M)
    code, out, _ = run("samplers", "admission/window")
    assert code == 0 and "  lo: 0.2\n" in out and "arXiv:2502.01456" in out
    code, _, err = run("samplers", "selector/mops")
    assert code == 2 and "did you mean mopps?" in err


def test_a_preset_is_shown_with_the_values_that_it_sets_itself(run: Run, tmp_path: Path) -> None:
    (tmp_path / "sampler").mkdir()
    (tmp_path / "sampler" / "mine.yaml").write_text(
        "# Mine.\ndefaults: [{selector: mopps}, {allocator: fixed}, {admission: all}, _self_]\nname: mine\n"
        "filter: null\nselector:\n  lam: 0.25\n"
    )
    code, out, _ = run("samplers", "mine", "--config-dir", str(tmp_path))
    assert code == 0 and re.search(r"  lam: 0.25 +# .*\(set by the preset\)", out) and "  target: 0.5 " in out


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("rftlab tr", {"train"}),
        ("rftlab train sampler=b", {"sampler=bots"}),
        ("rftlab train algo.l", {"algo.lr=", "algo.loss="}),
        ("rftlab samplers ", {"bots", "uniform"}),
        ("rftlab verifiers ", {"exact", "number"}),
        ("rftlab rescore RUN verifier=nu", {"verifier=number"}),
        ("rftlab export ", set()),
    ],
)
def test_completion_knows_verbs_groups_and_keys(
    run: Run, monkeypatch: pytest.MonkeyPatch, line: str, wanted: set[str]
) -> None:
    monkeypatch.setenv("COMP_LINE", line)
    monkeypatch.setenv("COMP_POINT", str(len(line)))
    code, out, _ = run("-sc", "query=bash")
    assert code == 0 and wanted <= set(out.split())


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (OSError(errno.ENOSPC, "No space left on device", "metrics.jsonl"), 1),
        (PermissionError(errno.EACCES, "Permission denied", "outputs"), 2),
        (OSError(errno.EROFS, "Read-only file system", "outputs"), 2),
    ],
)
def test_a_place_that_cannot_be_written_is_one_line(
    capsys: pytest.CaptureFixture[str], error: OSError, code: int
) -> None:
    assert cli.report(error) == code
    err = capsys.readouterr().err
    assert err.count("\n") == 1 and str(error.filename) in err


def test_anything_else_is_status_1_with_its_traceback(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.report(ZeroDivisionError("so it goes")) == 1
    assert "so it goes" in capsys.readouterr().err


def test_an_outputs_folder_that_is_a_file_is_one_line(run: Run, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    code, _, err = run("train", *SIM, f"outputs_dir={tmp_path / 'taken'}")
    assert code == 2 and err.count("\n") == 1 and "taken" in err


def test_it_works_as_a_module_from_anywhere(tmp_path: Path) -> None:
    done = shell("train", "--cfg", "job", "sampler=bots", cwd=tmp_path)
    assert done.returncode == 0 and yaml.safe_load(done.stdout)["sampler"]["name"] == "bots"
    assert list(tmp_path.iterdir()) == [], "no dated folders, no logs"


def test_a_signal_stops_a_run_after_saving_and_the_same_command_goes_on(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rftlab", "train", "engine=sim", "tracking=none", "eval.limit=8", "name=stop"]
    command += ["budget.steps=100000", f"outputs_dir={tmp_path}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 240
        while not list(tmp_path.rglob("step_*/COMPLETE")) and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=240)
    assert process.returncode == 143
    assert err.count("\n") == 1 and "the same command goes on" in err
    assert '"stopped"' in next(tmp_path.rglob("status.json")).read_text()


def test_validate_makes_the_folders_of_its_file(run: Run, tmp_path: Path) -> None:
    code, _, err = run("validate", "dataset.train_size=20", f"out={tmp_path}/no/folder/x.json")
    assert (code, err) == (0, "") and (tmp_path / "no" / "folder" / "x.json").is_file()


def test_names_and_folders_may_look_like_numbers(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert run("train", "engine=sim", "budget=smoke", "tracking=none", "name=5", "outputs_dir=6")[0] == 0
    assert run("eval", "engine=sim", "eval.limit=8", "out=7")[0] == 0
    assert list(tmp_path.glob("6/5/*/*/seed0/metrics.jsonl")) and (tmp_path / "7" / "metrics.json").is_file()
