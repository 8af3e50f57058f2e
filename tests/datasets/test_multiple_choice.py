"""Five benchmarks with options become lettered questions; rows without one right answer are left out."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from rftlab.config import build_dataset, check, compose
from rftlab.core import InputError
from rftlab.datasets.base import Dataset
from rftlab.verifiers.choice import Choice


def load(name: str, path: Path, *overrides: str) -> Dataset:
    cfg = compose([f"dataset={name}", f"dataset.path={path}", *overrides], verb="validate")
    check(cfg, "validate")
    return build_dataset(cfg)


def written(file: Path, rows: list[dict[str, Any]]) -> Path:
    file.write_text("\n".join(map(json.dumps, rows)))
    return file.parent


def examples(file: Path, *rows: tuple[str, str]) -> Path:
    content = json.dumps({"examples": [{"input": text, "target": target} for text, target in rows]})
    file.write_bytes(gzip.compress(content.encode()) if file.suffix == ".gz" else content.encode())
    return file.parent


MMLU = {"question": "How many legs has a spider?", "type": "zoology", "choices": ["6", "8", "10"], "answer": 1}


def test_a_position_becomes_a_letter_and_the_prompt_shows_the_options(tmp_path: Path) -> None:
    found = load("mmlu_stem", written(tmp_path / "mmlu_stem.jsonl", [MMLU]))
    task = found.eval.tasks[0]
    assert task.answer == "B" and task.meta["options"] == ["6", "8", "10"] and found.eval.categories == ("zoology",)
    assert "How many legs has a spider?\n(A) 6\n(B) 8\n(C) 10\n" in task.prompt[0]["content"]
    assert found.training is None
    assert Choice().grade("The answer is (B).", task).passed


@pytest.mark.parametrize("change", [{"answer": 3}, {"answer": "B"}, {"choices": None}, {"choices": [], "answer": 0}])
def test_a_position_beyond_the_choices_is_a_defect(tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(InputError, match=r"mmlu_stem\.jsonl:2"):
        load("mmlu_stem", written(tmp_path / "mmlu_stem.jsonl", [MMLU, MMLU | change]))


def test_labels_are_taken_off_the_options_and_must_be_in_order(tmp_path: Path) -> None:
    good = {"question": "1 + 1?", "options": ["A)1", "B)2", "C)a) or b)"], "rationale": "…", "correct": "B"}
    bad = good | {"question": "2 + 2?", "options": ["A)1", "C)4"]}
    beyond = good | {"question": "3 + 3?", "correct": "D"}
    found = load("aqua", written(tmp_path / "aqua.jsonl", [good, bad, beyond]))
    assert [task.meta["options"] for task in found.eval.tasks] == [["1", "2", "a) or b)"]]
    assert [where for where, _ in found.left_out] == ["aqua.jsonl:2", "aqua.jsonl:3"]


def test_the_passage_comes_first_and_the_file_is_the_category(tmp_path: Path) -> None:
    row = {"passage": "Ann is tall.", "question": "Who?", "options": ["(A)Ann", "(B)Bo"], "label": "A", "answer": None}
    written(tmp_path / "lsat-ar.jsonl", [row])
    found = load("agieval", written(tmp_path / "sat-math.jsonl", [row | {"passage": "", "label": "B"}]))
    texts = {task.meta["category"]: task.prompt[0]["content"] for task in found.eval.tasks}
    assert texts["lsat-ar"].startswith("Ann is tall.\n\nWho?\n(A) Ann\n(B) Bo\n")
    assert texts["sat-math"].startswith("Who?\n")
    assert [task.answer for task in found.eval.tasks] == ["A", "B"]


def test_options_are_found_where_a_task_has_some(tmp_path: Path) -> None:
    examples(tmp_path / "truth.json", ("not True is", "False"))
    examples(tmp_path / "lies.json", ("Ann lies. Does Ann tell the truth?", "No"))
    examples(tmp_path / "logic.json", ("Ducks swim.\nOptions:\n- valid \n- invalid", "invalid"))
    examples(tmp_path / "counting.json", ("I have two figs:\n- dried\n- fresh\nHow many figs?", "2"))
    folder = examples(
        tmp_path / "logical_deduction_five_objects.json",
        ("Which?\nOptions:\n(A) The owl is first\n(B) The jay is first", "(B)"),
    )
    tasks = {task.meta["category"]: task for task in load("bbh", folder).eval.tasks}
    options = {category: task.meta.get("options") for category, task in tasks.items()}
    assert options == {
        "truth": ["True", "False"],
        "lies": ["Yes", "No"],
        "logic": ["valid", "invalid"],
        "counting": None,
        "logical_deduction_five_objects": ["The owl is first", "The jay is first"],
    }
    for said, category in [
        ("true", "truth"),
        ("yes", "lies"),
        ("valid", "logic"),
        ("3", "counting"),
        ("The owl is first", "logical_deduction_five_objects"),
    ]:
        assert not Choice().grade(f"The answer is {said}.", tasks[category]).passed
        assert Choice().grade(Choice().gold(tasks[category]), tasks[category]).passed


def test_a_target_beyond_the_options_and_a_contradicted_one_are_left_out(tmp_path: Path) -> None:
    which = "Which?\nOptions:\n(A) One\n(B) Two"
    folder = examples(
        tmp_path / "films.json", (which, "One, Two"), ("Is it?", "Yes"), ("Is it?", "No"), ("Was it?", "No")
    )
    found = load("bbh", folder)
    assert [task.meta["row"] for task in found.eval.tasks] == ["films.json:4"]
    assert [why.split()[0] for _, why in found.left_out] == ["has", "asks", "asks"]


def test_deductions_of_one_to_seven_objects_are_a_ladder(tmp_path: Path) -> None:
    for size in ("three", "five", "seven"):
        rows = [(f"{size} {i}?\nOptions:\n(A) One\n(B) Two", "(A)") for i in range(20)]
        examples(tmp_path / f"logical_deduction_{size}_objects.json", *rows)
    more = ("+dataset.filter.objects=[3,5]", "dataset.level_key=objects", "dataset.eval_fraction=0.5")
    train = load("bbh", tmp_path, *more).train
    assert train.level is not None and set(train.level) == {3, 5}


def test_free_answers_and_packed_files_of_the_extra_hard_tasks(tmp_path: Path) -> None:
    examples(tmp_path / "bbeh_web_of_lies.json", ("Do they tell the truth?", "yes, unknown, no"))
    found = load("bbeh", examples(tmp_path / "bbeh_zebra_puzzles.json.gz", ("At what position is the cat?", "4")))
    assert found.eval.categories == ("bbeh_web_of_lies", "bbeh_zebra_puzzles")
    assert not any("options" in task.meta for task in found.eval.tasks)


@pytest.mark.parametrize(
    ("name", "folder", "tasks", "categories", "left_out"),
    [
        ("mmlu_stem", "math-eval", 3006, 18, 0),
        ("aqua", "math-eval", 254, 0, 0),
        ("agieval", "agieval", 960, 3, 0),
        ("bbh", "bbh", 3328, 14, 5),
        ("bbeh", "bbeh", 800, 4, 0),
    ],
)
def test_the_published_files(data: Path, name: str, folder: str, tasks: int, categories: int, left_out: int) -> None:
    found, verifier = load(name, data / folder), Choice()
    assert (len(found.eval), len(found.eval.categories), len(found.left_out)) == (tasks, categories, left_out)
    for task in found.eval.tasks:
        for text in (verifier.gold(task), *verifier.alike(task)):
            assert verifier.grade(text, task).passed, text
        for text in verifier.wrong(task):
            assert not verifier.grade(text, task).passed, text
