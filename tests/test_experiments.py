"""The published settings as commands: what they say is what is composed, and their data become tasks."""

import pandas as pd
import pytest

from rftlab.config import build_dataset, check, compose
from rftlab.dry_run import dry_run

COST = {"gsm8k_small": 51_200, "bots_paper": 870_400, "mopps_countdown": 245_760}


@pytest.mark.parametrize(("name", "rollouts"), COST.items())
def test_the_header_counts_the_rollouts_of_the_budget(name, rollouts):
    budget = compose([f"experiment={name}"]).budget
    assert budget.steps * budget.prompts * budget.group_size == rollouts
    from rftlab import listing

    assert f"{rollouts:,} rollouts" in listing.options("experiment")[name].read_text()


def test_countdown_is_made_and_its_prompts_fit(tmp_path, monkeypatch, capsys):
    pytest.importorskip("reasoning_gym")
    monkeypatch.setenv("RFTLAB_CACHE", str(tmp_path))
    few = ["dataset.train_size=300", "dataset.eval_size=20", "model.path=random:qwen2.5-3b"]
    few += ["model.max_prompt_tokens=900"]  # the bundled tokenizer has a token a character
    cfg = compose(["experiment=mopps_countdown", "engine=hf", *few])
    check(cfg)
    assert dry_run("train", cfg) == 0
    assert "300 tasks, 20 for evaluation" in capsys.readouterr().out


def test_bots_reads_gurus_rates_and_its_own_evaluation_file(tmp_path):
    rates = {"qwen2.5_7b_pass_rate": 0.25, "qwen3_30b_pass_rate": 0.75}
    row = {"data_source": "math__x", "reward_model": {"ground_truth": "1", "style": "rule"}, "extra_info": rates}
    for file, letter in (("math__combined.parquet", "a"), ("math__math_500.parquet", "e")):
        rows = [row | {"prompt": [{"role": "user", "content": f"{letter}{i}?"}]} for i in range(5)]
        pd.DataFrame(rows).to_parquet(tmp_path / file)
    found = build_dataset(compose(["experiment=bots_paper", f"dataset.path={tmp_path}"]))
    assert len(found.eval) == 5 and all("e" in task.prompt[-1]["content"] for task in found.eval.tasks)
    assert len(found.train) == 5 and set(found.train.references["qwen3-30b"]) == {0.75}
