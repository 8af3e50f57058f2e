"""Options against their annotations, from the command line's view: one line that names key, value and type."""

import pytest

from rftlab import config
from rftlab.core import InputError

SIM = "engine=sim"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["sampler=bots", "sampler.selector.lam=much"], "sampler.selector.lam=much, wanted a finite number"),
        (["sampler=bots", "sampler.selector.lam=nan"], "sampler.selector.lam=nan, wanted a finite number"),
        (["sampler=bots", "sampler.selector.thompson=abc"], "thompson=abc, wanted true or false"),
        (["sampler=bots", "sampler.selector.lam=true"], "lam=true, wanted a finite number"),
        (["sampler=bots", "sampler.selector.weak=3"], "weak=3, wanted text or null"),
        (["sampler=dart", "sampler.allocator.cap=inf"], "cap=inf, wanted a whole number or null"),
        (["sampler=hora", "sampler.allocator.probe=1.5"], "probe=1.5, wanted a whole number or null"),
        (["sampler=dapo", "sampler.admission.oversample=nan"], "oversample=nan, wanted a finite number"),
        (["sampler=mopps", "sampler.selector.candidates=abc"], "candidates=abc, wanted a finite number or null"),
        (["sampler=mpts", "features.dim=abc"], "features.dim=abc, wanted a whole number"),
        (["dataset.train_size=1.5"], "dataset.train_size=1.5, wanted a whole number"),
        (["sampler.stats_discount=2"], "sampler.stats_discount=2.0: wanted a share"),
    ],
    ids=str,
)
def test_a_value_of_another_type_is_one_line(overrides: list[str], said: str) -> None:
    with pytest.raises(InputError) as error:
        config.check(config.compose([SIM, *overrides]))
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["dataset.references=n"], "dataset.references=n, wanted a mapping {name: text} or null"),
        (["dataset.references=[n]"], "dataset.references=['n'], wanted a mapping {name: text} or null"),
        (["dataset.references={m: null}"], "dataset.references={'m': None}, wanted a mapping {name: text} or null"),
        (["dataset.references={m: 5}"], "dataset.references={'m': 5}, wanted a mapping {name: text} or null"),
        (["dataset.filter=abc"], "dataset.filter=abc, wanted a mapping {name: value} or null"),
        (["dataset.hub=abc"], "dataset.hub=abc, wanted a mapping {name: value} or null"),
        (["dataset.files=a.jsonl"], "dataset.files=a.jsonl, wanted a list [text, …] or null"),
        (["dataset.files=[null]"], "dataset.files=[None], wanted a list [text, …] or null"),
        (["dataset.eval_files=[1]"], "dataset.eval_files=[1], wanted a list [text, …] or null"),
        (["dataset.files=['']"], "dataset.files=[''], wanted a list [text, …] or null"),
        (["verifier=composite", "verifier.check.passed=5"], "check.passed=5, wanted text or a list [text, …]"),
        (["verifier=format", "verifier.check.tags=5"], "verifier.check.tags=5, wanted a list [text, …]"),
        (["verifier=python", "verifier.check.range=5"], "check.range=5, wanted a list [a finite number, …] or null"),
        (["verifier=python", "verifier.check.range=[a,b]"], "check.range=['a', 'b'], wanted a list [a finite number"),
        (["verifier=remote", "verifier.check.extra=abc"], "check.extra=abc, wanted a mapping {name: value} or null"),
    ],
    ids=str,
)
def test_a_value_of_another_shape_is_one_line(overrides: list[str], said: str) -> None:
    with pytest.raises(InputError) as error:
        config.check(config.compose(["dataset=file", *overrides], verb="validate"), "validate")
    assert said in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    "override", ["sampler.selector.lam=1", "sampler.selector.weak=null", "sampler.selector.mu_eps=1e-6"]
)
def test_what_fits_is_taken(override: str) -> None:
    config.check(config.compose([SIM, "sampler=bots", override]))


@pytest.mark.parametrize(
    ("override", "said"),
    [("verifier.check=null", "verifier=NAME"), ("sampler.selector={}", "sampler/selector=NAME")],
)
def test_a_node_without_its_class_says_how_one_is_chosen(override: str, said: str) -> None:
    cfg = config.compose([SIM])
    key, _, _ = override.partition("=")
    config.OmegaConf.update(cfg, key, {}, merge=False, force_add=True)
    with pytest.raises(InputError, match=f"no _target_: choose one with {said}"):
        config.check(cfg)
