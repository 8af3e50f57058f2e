"""The catalogue of metrics."""

import pytest

from rftlab import metrics

SCRIPTED = [
    *("step", "reward/mean", "sync/logp_gap", "completion/tokens_mean", "completion/truncated"),
    *(
        f"ledger/{x}"
        for x in ("rollouts", "tokens", "seconds", "eval_rollouts", "panel_rollouts", "reference_rollouts")
    ),
    *(f"group/{x}" for x in ("etr", "yield", "all_pass", "all_fail")),
    *("eval/accuracy", "eval/pass@1", "eval/pass@16"),
    *(f"time/{x}" for x in ("ask", "generate", "verify", "tell", "update", "sync", "eval")),
]


@pytest.mark.parametrize("key", SCRIPTED)
def test_names_that_users_script_against_are_in_the_catalogue(key: str) -> None:
    assert metrics.describe(key) is not None


def test_every_entry_is_one_sentence_with_a_unit() -> None:
    for key, metric in metrics.CATALOGUE.items():
        assert metric.unit and metric.says.endswith("."), key
        assert metric.better in ("up", "down", "none"), key


@pytest.mark.parametrize("key", ["reward/maen", "eval/pass@0", "eval/pass@", "eval/by_level/", "sampler/", "loss"])
def test_a_key_outside_the_catalogue_is_refused_by_name(key: str) -> None:
    with pytest.raises(KeyError, match=key):
        metrics.check({"step": 1.0, key: 0.0})


def test_families_take_any_member() -> None:
    metrics.check(["sampler/posterior_mean", "eval/by_category/sort", "eval/by_level/3.5", "eval/pass@16"])
