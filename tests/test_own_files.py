"""What a file of one's own says is part of what a run is."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from rftlab import compare, config, loop, profile
from rftlab.config import check, compose
from rftlab.core import InputError

EXAMPLE = Path(__file__).parents[1] / "examples" / "my_sampler"
SMALL = ["engine=sim", "tracking=none", "budget=smoke", "budget.steps=2", "eval.limit=8", "panel.tasks=0"]
GRADE = "def grade(text, task):\n    return {}\n"


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "learnable", raising=False)  # the example's, of another test
    return tmp_path


def run_dir(*overrides: str, own: Path | None = None) -> Path:
    return config.run_dir(compose([*SMALL, *overrides], config_dir=own), False)


def changed(file: Path, *overrides: str, own: Path | None = None) -> list[Path]:
    """The run's directory before and after a line more in ``file``, and with that line gone again."""
    text = file.read_text()
    found = [run_dir(*overrides, own=own)]
    file.write_text(text + "\n# another line\n")
    found.append(run_dir(*overrides, own=own))
    file.write_text(text)
    return [*found, run_dir(*overrides, own=own)]


def test_a_changed_sampler_is_another_run(here):
    shutil.copytree(EXAMPLE, here, dirs_exist_ok=True)
    before, after, again = changed(here / "learnable.py", "sampler=learnable", own=here / "conf")
    assert before == again != after and before.parents[1] == after.parents[1]
    cfg = check(compose([*SMALL, "sampler=learnable"], config_dir=here / "conf"))
    assert list(cfg.sampler.own_files) == ["learnable.Learnable"] and cfg.verifier.own_files is None


def test_a_class_of_a_package_is_found_without_importing_its_module(here):
    (here / "ownpackage").mkdir()
    (here / "ownpackage" / "__init__.py").write_text("")
    (here / "ownpackage" / "part.py").write_text("raise SystemExit('imported')")
    before, after, again = changed(here / "ownpackage" / "part.py", "sampler.selector._target_=ownpackage.part.Part")
    assert before == again != after


def test_a_changed_reward_function_is_another_run_also_in_a_part_of_a_composite(here):
    (here / "gr.py").write_text(GRADE.format(1.0))
    one = ["verifier=python", "verifier.check.function=gr.py:grade"]
    before, after, again = changed(here / "gr.py", *one)
    assert before == again != after
    part = ["verifier@verifier.check.parts.answer=python", "verifier.check.parts.answer.check.function=gr.py:grade"]
    before, after, again = changed(here / "gr.py", "verifier=composite", *part)
    assert before == again != after


def test_a_changed_template_is_another_run_and_style_names_are_no_files(here):
    (here / "t.jinja").write_text("{{ messages[0].content }}")
    before, after, again = changed(here / "t.jinja", "model.prompt=t.jinja")
    assert before == again != after
    chat = run_dir()
    (here / "chat").write_text("a file of that name")
    assert run_dir() == chat


def test_another_adapter_to_start_from_is_another_run(here):
    adapter = here / "other" / "adapters" / "last"
    adapter.mkdir(parents=True)
    (adapter / "adapter_config.json").write_text("{}")
    (adapter / "adapter_model.safetensors").write_text("weights")
    before, after, again = changed(adapter / "adapter_model.safetensors", "init_from=other")
    assert before == again != after


def test_a_run_without_files_of_ones_own_has_the_fingerprint_that_it_had():
    assert config.fingerprint(compose(["sampler=bots"]), False) == "9622f839"


def test_what_cannot_be_found_is_left_to_the_one_who_says_which_key_it_is(here):
    assert run_dir("verifier=python", "verifier.check.function=gone.py:grade")
    with pytest.raises(InputError, match=r"sampler\.selector\._target_=nowhere\.At cannot be imported"):
        check(compose([*SMALL, "sampler.selector._target_=nowhere.At"]))


def test_a_changed_function_trains_anew_and_is_not_compared_with_the_old_one(here):
    command = ["verifier=python", "verifier.check.function=gr.py:grade", "dataset.eval_size=8"]
    paths = []
    for score, sampler in ((1.0, "uniform"), (0.0, "bots")):
        (here / "gr.py").write_text(GRADE.format(score))
        cfg = check(compose([*SMALL, *command[:2], f"sampler={sampler}", "name=own"]))
        paths.append(loop.train(cfg))
    found = compare.compare([paths[0].parents[2]])
    assert [run.seed for run in found.refused] == [0]
    assert list(found.refused[0].differences) == ["verifier.own_files.gr.py:grade"]


def test_a_profile_is_not_gone_on_with_after_its_function_or_template_changed(here):
    (here / "gr.py").write_text(GRADE.format(1.0))
    (here / "t.jinja").write_text("{{ messages[0].content }}")
    own = ["verifier=python", "verifier.check.function=gr.py:grade", "model.prompt=t.jinja"]
    few = ["engine=sim", "rollouts=2", "dataset.train_size=8", "out=p.jsonl"]

    def measure(*overrides: str) -> None:
        profile.main(check(compose([*few, *overrides], verb="profile"), "profile"))

    measure(*own)
    for file in ("gr.py", "t.jinja"):
        text = (here / file).read_text()
        (here / file).write_text(text + "\n")
        with pytest.raises(InputError, match=r"holds another profile: own_files="):
            measure(*own)
        (here / file).write_text(text)
    measure(*own)
    with pytest.raises(InputError, match=r"holds another profile: .*prompt=t\.jinja"):
        measure(*own[:2])


def test_an_older_profile_that_says_nothing_of_prompts_is_gone_on_with(here):
    few = ["engine=sim", "rollouts=2", "dataset.train_size=8", "out=p.jsonl"]
    cfg = check(compose(few, verb="profile"), "profile")
    profile.main(cfg)
    head, *rows = (here / "p.jsonl").read_text().splitlines()
    old = {k: v for k, v in json.loads(head).items() if k not in ("prompt", "template_options", "own_files")}
    (here / "p.jsonl").write_text("\n".join([json.dumps(old), *rows[:4], ""]))
    profile.main(cfg)
    assert len((here / "p.jsonl").read_text().splitlines()) == 9
