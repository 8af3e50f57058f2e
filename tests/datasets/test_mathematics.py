"""Mathematics and word problems, as their authors' files are: defects are left out, the rest becomes tasks."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from rftlab import targets
from rftlab.config import build_dataset, check, compose
from rftlab.core import InputError
from rftlab.datasets.base import Dataset
from rftlab.verifiers.base import Verifier

LEVELLED = {"problem": "1 + 1?", "answer": "2", "difficulty": 3.0, "type": "Algebra"}
EVALUATED = {"problem": "2 + 2?", "solution": r"It is $\boxed{4}$.", "answer": "4", "subject": "Algebra", "level": 1}
OLYMPIC = {
    "subfield": "Algebra",
    "context": None,
    "question": "Which?",
    "solution": ["None of them."],
    "final_answer": ["$1,3$"],
    "unit": None,
    "error": None,
}


def load(name: str, path: Path, *overrides: str) -> Dataset:
    cfg = compose([f"dataset={name}", f"dataset.path={path}", *overrides], verb="validate")
    check(cfg, "validate")
    return build_dataset(cfg)


def lines(file: Path, *rows: dict[str, Any]) -> Path:
    file.write_text("\n".join(map(json.dumps, rows)))
    return file.parent


def parquet(file: Path, *rows: dict[str, Any]) -> Path:
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), file)
    return file.parent


def test_math_has_levels_and_subjects_under_one_name_on_both_sides(tmp_path: Path) -> None:
    (tmp_path / "math_train.json").write_text(json.dumps([LEVELLED]))
    found = load("math", lines(tmp_path / "math500.jsonl", EVALUATED))
    assert found.train.level is not None and found.train.level.tolist() == [3.0]
    assert found.eval.level is not None and found.eval.level.tolist() == [1.0]
    assert found.train.categories == found.eval.categories == ("Algebra",)
    assert (
        r"1 + 1?" in found.train.tasks[0].prompt[0]["content"] and "boxed" in found.train.tasks[0].prompt[0]["content"]
    )
    assert found.eval.tasks[0].meta["solution"] == EVALUATED["solution"]


def test_the_hubs_rows_of_math_have_their_answer_in_the_solution_and_their_level_in_words(tmp_path: Path) -> None:
    row = {"problem": "1 + 1?", "level": "Level 5", "type": "Algebra", "solution": r"$\boxed{2}$"}
    found = load("math", lines(tmp_path / "train.jsonl", row), "dataset.eval_files=null", "dataset.eval_fraction=1")
    assert found.eval.tasks[0].answer == "2" and found.eval.level is not None and found.eval.level.tolist() == [5.0]


@pytest.mark.parametrize("defect", [{"answer": None}, {"answer": ""}, {"difficulty": 0.0}, {"difficulty": None}])
def test_math_leaves_out_and_lists_what_has_no_answer_or_no_level(tmp_path: Path, defect: dict[str, Any]) -> None:
    lines(tmp_path / "train.jsonl", LEVELLED, LEVELLED | {"problem": "3?"} | defect)
    found = load("math", lines(tmp_path / "math500.jsonl", EVALUATED))
    assert len(found.train) == 1 and [where for where, _ in found.left_out] == ["train.jsonl:2"]


def test_aime_keeps_leading_zeros_and_takes_no_worked_solution_for_a_completion(tmp_path: Path) -> None:
    row = {"problem": "1 + 1?", "answer": "002", "solution": r"One says 3. $\boxed{002}$ Another says nothing."}
    task = load("aime24", lines(tmp_path / "aime24.jsonl", row)).eval.tasks[0]
    assert task.answer == "002" and "solution" not in task.meta


def test_floats_that_are_whole_become_whole(tmp_path: Path) -> None:
    amc = load("amc23", lines(tmp_path / "amc23.jsonl", {"problem": "?", "answer": 27.0}))
    assert [task.answer for task in amc.eval.tasks] == ["27"] and amc.training is None


def test_olympiads_have_several_answers_a_tolerance_and_a_unit(tmp_path: Path) -> None:
    rows = (
        OLYMPIC,
        OLYMPIC
        | {"question": "How far?", "final_answer": ["4.2"], "error": "1e-1", "unit": "km", "context": "A road."},
        OLYMPIC | {"question": "What?", "final_answer": ["$221,$8$"]},
    )
    tasks = load("olympiadbench", lines(tmp_path / "olympiadbench.jsonl", *rows)).eval.tasks
    maths = verifier("olympiadbench")
    assert maths.grade(r"\boxed{3 \text{ and } 1}", tasks[0]).passed and not maths.grade(r"\boxed{3}", tasks[0]).passed
    assert maths.grade(r"\boxed{4.25}", tasks[1]).passed and not maths.grade(r"\boxed{4.4}", tasks[1]).passed
    assert tasks[1].prompt[0]["content"].startswith("A road.\nHow far?\nGive the answer in this unit: km\n")
    assert maths.grade(r"\boxed{8, 221}", tasks[2]).passed
    with pytest.raises(InputError, match="final_answer"):
        load("olympiadbench", lines(tmp_path / "olympiadbench.jsonl", OLYMPIC | {"final_answer": "1"}))


def test_minervas_answer_is_in_the_box_and_only_rounded_ones_have_a_tolerance(tmp_path: Path) -> None:
    rows = [
        {"problem": f"{i}?", "type": "Physics", "solution": rf"so $\boxed{{{answer}}} \mathrm{{~cm}}$"}
        for i, answer in enumerate(["4.5e33", "24", "-10", r"\sqrt{2}"])
    ]
    tasks = {task.answer: task for task in load("minerva", lines(tmp_path / "minerva_math.jsonl", *rows)).eval.tasks}
    maths = verifier("minerva")
    assert maths.grade(r"\boxed{4.53 \times 10^{33} \text{ cm}}", tasks["4.5e33"]).passed
    assert not maths.grade(r"\boxed{4.6 \times 10^{33}}", tasks["4.5e33"]).passed
    assert not maths.grade(r"\boxed{24.1}", tasks["24"]).passed and "tolerance" not in tasks[r"\sqrt{2}"].meta
    assert "tolerance" not in tasks["24"].meta and "tolerance" not in tasks["-10"].meta
    with pytest.raises(InputError, match="boxed"):
        load("minerva", lines(tmp_path / "minerva_math.jsonl", {"problem": "?", "type": "A", "solution": "none"}))


def test_svamp_is_one_text_and_its_misspelt_operation_is_repaired(tmp_path: Path) -> None:
    rows = [
        {"Body": "Ann has 6 jars", "Question": "How many?", "Answer": 6.0, "Type": "Common-Divison"},
        {"Body": "Bob has 7 jars.", "Question": "How many?", "Answer": 7.0, "Type": "Common-Division"},
    ]
    (tmp_path / "SVAMP.json").write_text(json.dumps(rows))
    found = load("svamp", tmp_path, "dataset.eval_fraction=1")
    assert found.eval.categories == ("Common-Division",) and {task.answer for task in found.eval.tasks} == {"6", "7"}
    prompts = sorted(task.prompt[0]["content"].partition("\n")[0] for task in found.eval.tasks)
    assert prompts == ["Ann has 6 jars, How many?", "Bob has 7 jars. How many?"]


def test_mawps_has_its_files_as_categories_and_repeating_decimals_may_be_rounded(tmp_path: Path) -> None:
    lines(tmp_path / "addsub.jsonl", {"input": "a?", "target": 43.0}, {"input": "b?", "target": 0.6666666667})
    found = load("mawps", lines(tmp_path / "singleop.jsonl", {"input": "a?", "target": 43}), "dataset.eval_fraction=1")
    assert found.eval.categories == ("addsub",) and found.counts["identical training rows dropped"] == 1
    third = next(task for task in found.eval.tasks if task.answer.startswith("0"))
    number = verifier("mawps")
    assert number.grade("#### 2/3", third).passed and number.grade("#### 0.67", third).passed
    assert not number.grade("#### 0.7", third).passed


def difficult(prompt: str, answer: str, difficulty: float, index: int) -> dict[str, Any]:
    return {
        "data_source": "deepscaler",
        "prompt": [{"role": "user", "content": prompt}],
        "reward_model": {"ground_truth": answer, "style": "rule"},
        "extra_info": {"difficulty": difficulty, "index": index},
    }


def test_a_question_of_deepscaler_that_holds_its_own_answer_is_no_task(tmp_path: Path) -> None:
    rows = [difficult(f"{i} + 1?", str(i + 1), 50.0, i) for i in range(20)]
    rows += [
        difficult(r"He runs $\boxed{ 106 }$ miles.", "106", 50.0, 20),
        difficult(r"There are $\boxed{\text{336}}$.", "336", 50.0, 21),
        difficult(r"Put $\boxed{3}$ between the digits.", "4", 50.0, 22),
    ]
    found = load("deepscaler", parquet(tmp_path / "deepscaler_uniform_train.parquet", *rows))
    assert [why for _, why in found.left_out] == [r"holds its own answer in a \boxed{}"] * 2
    assert sum(len(pool) for pool in found.pools().values()) == 21


def test_deepscaler_turns_difficulty_into_pass_rates_and_settles_prompts_that_repeat(tmp_path: Path) -> None:
    rows = [
        difficult("once?", "1", 25.0, 0),
        difficult("twice?", r"65\frac{4}{5}", 100.0, 1),
        difficult("twice?", r"65\frac{4}{5}", 100.0, 1),
        difficult("twice?", r"65 \frac{4}{5}", 50.0, 2),
        difficult("disputed?", "47", 0.0, 3),
        difficult("disputed?", "24", 0.0, 4),
        difficult("wrong?", "1", 101.0, 5),
        difficult("held out?", "1", 0.0, 6),
    ]
    path = parquet(tmp_path / "deepscaler_uniform_train.parquet", *rows)
    found = load("deepscaler", path, "dataset.eval_fraction=0.01")
    pool = found.train
    rates = {
        task.prompt[0]["content"]: rate
        for task, rate in zip(pool.tasks, pool.references["qwen2.5-math-7b"], strict=True)
    }
    asked = [task.prompt[0]["content"] for task in [*pool.tasks, *found.eval.tasks]]
    assert sorted(asked) == ["held out?", "once?", "twice?"]
    assert {k: v for k, v in rates.items() if k in ("once?", "twice?")}.items() <= {
        "once?": 0.75,
        "twice?": 0.25,
    }.items()
    assert pool.level is not None and np.allclose(pool.level, 100 * (1 - pool.references["qwen2.5-math-7b"]))
    assert len(found.left_out) == 3


def test_any_file_in_verls_layout_is_read_by_nested_keys(tmp_path: Path) -> None:
    rows = [difficult(f"{i}?", str(i), 10.0 * i, i) for i in range(1, 9)]
    for i, row in enumerate(rows):
        row["extra_info"] |= {"rate": i / 8}
    path = parquet(tmp_path / "train.parquet", *rows, difficult("nothing?", "", 0.0, 9))
    found = load("verl", path, "dataset.level_key=extra_info.difficulty", "dataset.references={m: extra_info.rate}")
    assert found.train.categories == ("deepscaler",) and found.train.level is not None and len(found.left_out) == 1
    rates = found.train.references["m"]
    assert all(rate == (int(task.answer) - 1) / 8 for task, rate in zip(found.train.tasks, rates, strict=True))
    assert all(
        float(task.answer) * 10 == level for task, level in zip(found.train.tasks, found.train.level, strict=True)
    )


def test_gurus_rates_are_found_beside_the_answer_or_under_extra_info(tmp_path: Path) -> None:
    rates = {"qwen2.5_7b_pass_rate": 0.25, "qwen3_30b_pass_rate": 0.75}
    base = {"data_source": "math__x", "reward_model": {"ground_truth": "1", "style": "rule"}}
    message = {"role": "user", "content": "?"}
    parquet(
        tmp_path / "math__a.parquet",
        *(base | {"prompt": [message | {"content": f"a{i}"}], "extra_info": rates} for i in range(4)),
    )
    parquet(
        tmp_path / "math__b.parquet",
        *(base | rates | {"prompt": [message | {"content": f"b{i}"}], "extra_info": {"index": i}} for i in range(4)),
    )
    parquet(tmp_path / "codegen__c.parquet", base | {"prompt": [message], "extra_info": {"index": 0}})
    found = load("guru", tmp_path)
    assert len(found.train) + len(found.eval) == 8
    assert set(found.train.references["qwen2.5-7b"]) == {0.25} and set(found.train.references["qwen3-30b"]) == {0.75}


@pytest.mark.parametrize(
    ("name", "folder", "tasks", "left_out"),
    [
        ("math", "math-train", 7468, 6),
        ("math500", "math-eval", 500, 0),
        ("aime24", "math-eval", 30, 0),
        ("amc23", "math-eval", 40, 0),
        ("olympiadbench", "math-eval", 675, 0),
        ("minerva", "math-eval", 272, 0),
        ("svamp", "svamp", 1000, 0),
        ("mawps", "mawps", 1934, 0),
        ("verl", "one-shot-rlvr", 1206, 1),
    ],
)
def test_the_authors_files_are_read(data: Path, name: str, folder: str, tasks: int, left_out: int) -> None:
    extra = ["dataset.eval_files=null"] if name == "math" else []
    found = load(name, data / folder, *extra)
    counted = found.counts.get("training rows dropped for standing in the evaluation set", 0) if name != "mawps" else 0
    assert len(found.training or ()) + len(found.eval) + counted == tasks and len(found.left_out) == left_out


def verifier(dataset: str) -> Verifier:
    cfg = compose([f"dataset={dataset}"], verb="validate")
    return targets.build("verifier.check", cfg.verifier.check, Verifier)
