"""Every configuration composes, every violation is one line, and a run's identity is what changes its numbers."""

import dataclasses
import re
import typing
from functools import cache
from pathlib import Path

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

from rftlab import config, listing, own_files, targets
from rftlab.composition import NAMED, explain
from rftlab.core import InputError
from rftlab.nearest import nearest
from rftlab.schema import SCHEMAS

CONF = listing.conf_dir()
CHOICES = [
    (group, name)
    for group, files in listing.groups().items()
    if "/" not in group and group != "experiment"
    for name in files
]
SIM = "engine=sim"  # its check imports no torch


@cache
def base() -> DictConfig:
    return config.compose([SIM])


def changed(*overrides: str) -> DictConfig:
    """The base with values set as an override would; quicker than composing anew."""
    cfg = base().copy()
    for override in overrides:
        key, _, value = override.lstrip("+").partition("=")
        OmegaConf.update(cfg, key, yaml.safe_load(value), force_add=True)
    return cfg


NEEDED = {
    ("model", "hub"): ["model.path=owner/name"],
    ("engine", "vllm"): ["engine.mode=server", "engine.urls=[http://localhost:8000]"],  # else vLLM must be installed
}
"""What an option asks for on the command line."""


@pytest.mark.parametrize("verb", config.SCHEMAS)
def test_the_defaults_of_every_verb_hold(verb: str) -> None:
    needed = ["run=RUN", "verifier=exact"] if verb == "rescore" else []
    config.check(config.compose(needed, verb=verb), verb)


@pytest.mark.parametrize(("group", "name"), CHOICES)
def test_every_option_of_every_group_holds(group: str, name: str) -> None:
    config.check(config.compose([f"{group}={name}", *NEEDED.get((group, name), [])]))


@pytest.mark.parametrize("part", ["selector", "allocator", "admission"])
def test_every_part_crosses_with_every_preset(part: str) -> None:
    for name in listing.options(f"sampler/{part}"):
        config.check(config.compose([SIM, "sampler=bots", f"sampler/{part}={name}"]))


@pytest.mark.parametrize("name", listing.options("experiment"))
def test_every_experiment_holds(name: str) -> None:
    if "/hydra/sweeper: optuna" in (CONF / "experiment" / f"{name}.yaml").read_text():
        pytest.importorskip("hydra_plugins.hydra_optuna_sweeper", reason="a plugin that not everybody installs")
    cfg = config.compose([f"experiment={name}", SIM])
    config.check(cfg)
    assert cfg.name != "lab", "an experiment has runs of its own"


@pytest.mark.parametrize("file", sorted(CONF.rglob("*.yaml")), ids=lambda f: f.relative_to(CONF).as_posix())
def test_every_file_opens_with_a_line_for_its_reader(file: Path) -> None:
    assert listing.summary(file)


VIOLATIONS = [
    ("budget.steps=-1", "budget.steps=-1: wanted at least 1"),
    ("budget.group_size=1", "budget.group_size=1: wanted at least 2"),
    ("budget.group_size=-8", "budget.group_size=-8"),
    ("budget.prompts=0", "budget.prompts=0"),
    ("budget.steps=abc", "budget.steps=abc: wanted a whole number"),
    ("budget.steps=1.5", "budget.steps=1.5: wanted a whole number"),
    ("budget.steps=null", "budget.steps=null: wanted a whole number"),
    ("budget.rollouts=4", "budget.rollouts=4 allows no step"),
    ("budget.step_rollouts=7", "budget.step_rollouts=7 allows no step"),
    ("budget.seconds=0", "budget.seconds=0"),
    ("algo.temperature=0", "algo.temperature=0.0: wanted more than 0"),
    ("algo.lr=nan", "algo.lr=nan"),
    ("algo.betas=[0.9]", "algo.betas=[0.9]: wanted two numbers"),
    ("algo.loss=mean", "algo.loss=mean: wanted one of sequence, token, dr_grpo"),
    ("algo.advantage=z", "wanted one of group_std, group_mean"),
    ("algo.minibatches=99", "algo.minibatches=99: wanted at most budget.prompts=32"),
    ("+algo.top_p=0.9", "eval.top_p"),
    ("+algo.top_k=5", "the log-probs of a truncated one are not the policy's"),
    ("+engine.top_p=0.9", "engine.top_p: training samples from the whole distribution"),
    ("eval.top_p=1.5", "eval.top_p=1.5"),
    ("eval.every_rollouts=0", "eval.every_rollouts=0"),
    ("model.micro_batch_tokens=0", "model.micro_batch_tokens=0"),
    ("model.lora.r=0", "model.lora.r=0"),
    ("tracking.wandb=maybe", "wanted one of auto, online, offline, off"),
    ("sampler.filter={lo: 0.5, hi: 0.1}", "sampler.filter.lo=0.5 is above sampler.filter.hi=0.1"),
    ("sampler.filter={lo: -1}", "sampler.filter.lo=-1"),
    ("name=a/b", "name=a/b"),
    ("outputs_dir=''", "outputs_dir=: wanted a folder"),
    ("tracking.tags=abc", "tracking.tags=abc: wanted a list"),
    (
        "model.template_options=3",
        "model.template_options=3: wanted a mapping, as in ++model.template_options.NAME=VALUE",
    ),
    ("sampler.filter=3", "sampler.filter=3: wanted a mapping, as in ++sampler.filter.NAME=VALUE"),
    ("init_from=nowhere", "init_from=nowhere: no such directory"),
    ("budget.steps='???'", "budget.steps has no value"),
    ("+typo=1", "typo: no such key"),
    ("+sede=1", "did you mean seed?"),
    ("+algo.lrr=1", "did you mean algo.lr?"),
    ("+sampler.selector.foo=1", "sampler.selector.foo: no such key"),
    ("engine._target_=nothing.There", "engine._target_=nothing.There cannot be imported"),
    ("verifier.check._target_=os", "verifier.check._target_=os is a module: wanted a class or a function"),
]


@pytest.mark.parametrize(("override", "says"), VIOLATIONS, ids=[v for v, _ in VIOLATIONS])
def test_a_violation_is_one_line_that_names_it(override: str, says: str) -> None:
    with pytest.raises(InputError) as caught:
        config.check(changed(override))
    assert says in str(caught.value) and "\n" not in str(caught.value)


MISTYPED = [
    (["sampler=bots", "sampler.lamda=2"], "sampler.lamda: no such key; did you mean sampler.selector.lam?"),
    (["sead=1"], "did you mean seed?"),
    (["budget.lr=1"], "did you mean algo.lr?"),
    (["sampler=bost"], "sampler=bost: no such option; did you mean sampler=bots?"),
    (["sampler/alocator=fixed"], "sampler/alocator: no such group; did you mean sampler/allocator?"),
    (["engine.top_p=0.9"], "training samples from the whole distribution"),
    (["a=["], "a=[: not an override"),
    (["+seed=1"], "leave out the +"),
    (["sampler=null"], "sampler=NAME"),
    (["sampler="], "sampler=: lacks its value, wanted sampler=NAME with one of accuracy_filter, "),
    (["sampler/admission="], "sampler/admission=: lacks its value, wanted sampler/admission=NAME with one of all, "),
    (["verifier.check.foo=1"], "verifier.check.foo: no such key; verifier.check has "),
]


@pytest.mark.parametrize(("overrides", "says"), MISTYPED, ids=[" ".join(o) for o, _ in MISTYPED])
def test_what_does_not_compose_is_one_line_with_the_nearest_name(overrides: list[str], says: str) -> None:
    with pytest.raises(Exception) as caught:
        config.compose(overrides)
    line = explain(caught.value, "train", overrides)
    assert says in line and "\n" not in line


def test_nothing_near_is_no_guess() -> None:
    assert nearest("xyzzy", ["seed", "algo.lr"]) is None


def identity(*overrides: str, reads_progress: bool = False) -> str:
    return config.fingerprint(changed(*overrides), reads_progress)


@pytest.mark.parametrize(
    "override",
    [
        *("seed=5", "outputs_dir=x", "name=other", "tracking.completions=1", "threads=2"),
        *("checkpoint.every_steps=1", "verifier.pool.workers=9"),
        *(
            "model.micro_batch_tokens=99",
            "budget.steps=7",
            "budget.rollouts=512",
            "budget.tokens=9",
            "budget.seconds=3",
        ),
    ],
)
def test_what_changes_no_number_is_not_part_of_the_identity(override: str) -> None:
    assert identity(override) == identity()


@pytest.mark.parametrize(
    "override",
    [
        *("algo.lr=3e-4", "budget.group_size=4", "sampler.name=x", "sampler.stats_discount=0.5", "eval.samples=2"),
        *("model.lora.r=8", "dataset.limit=10", "budget.step_rollouts=512", "sampler.filter={lo: 0.1}", "init_from=x"),
    ],
)
def test_what_changes_numbers_is_part_of_the_identity(override: str) -> None:
    assert identity(override) != identity()


def test_equal_numbers_written_differently_are_one_identity() -> None:
    assert identity("algo.lr=5e-4", "algo.kl=0") == identity("algo.lr=0.0005", "algo.kl=0.0") == identity()


def test_the_length_belongs_to_the_identity_when_progress_is_read() -> None:
    assert identity("budget.steps=7", reads_progress=True) != identity(reads_progress=True)


def test_a_run_directory_names_what_it_holds() -> None:
    cfg = config.compose([SIM, "sampler=bots", "seed=4", "name=fig2", "outputs_dir=out"])
    found = config.run_dir(cfg, False)
    assert found.parts[:3] == ("out", "fig2", "tiny_ladder") and found.parts[4] == "seed4"
    assert found.parts[3] == f"bots-{config.fingerprint(cfg, False)}"


def test_a_users_own_folder_adds_options(tmp_path: Path) -> None:
    (tmp_path / "sampler").mkdir()
    (tmp_path / "sampler" / "mine.yaml").write_text(
        "# Mine.\ndefaults:\n  - selector: uniform\n  - allocator: fixed\n  - admission: all\nname: mine\n"
    )
    cfg = config.compose([SIM, "sampler=mine"], config_dir=tmp_path)
    config.check(cfg)
    assert isinstance(cfg, DictConfig) and cfg.sampler.name == "mine"
    assert listing.summary(listing.options("sampler", [tmp_path])["mine"]) == "Mine."


def test_the_data_set_is_built_by_the_loader_that_the_configuration_names() -> None:
    dataset = config.build_dataset(config.compose([SIM, "dataset.limit=7"]))
    assert len(dataset.train) == 7


def test_an_allocator_that_supposes_other_advantages_than_the_loss_gives_is_refused() -> None:
    for overrides, repair in (
        (["sampler=dars", "algo.advantage=group_mean"], "sampler.allocator.std=false"),
        (["sampler=dars", "sampler.allocator.std=false"], "sampler.allocator.std=true"),
    ):
        with pytest.raises(InputError, match=rf"disagree on whether .* give {repair}"):
            config.check(config.compose([SIM, *overrides]))
    config.check(config.compose([SIM, "sampler=dars", "sampler.allocator.std=false", "algo.advantage=group_mean"]))


def open_mappings(schema: type, prefix: str = "") -> set[str]:
    """Dotted keys of a schema whose values are mappings of any names."""
    found = set()
    for name, kind in typing.get_type_hints(schema).items():
        for each in targets._members(kind):
            if dataclasses.is_dataclass(each):
                found |= open_mappings(each, f"{prefix}{name}.")
            elif typing.get_origin(each) in targets.MAPPINGS:
                found.add(prefix + name)
    return found


def test_every_mapping_of_names_says_how_a_name_is_added() -> None:
    found = set().union(*map(open_mappings, SCHEMAS.values()))
    for group, key in (("dataset", "dataset"), ("verifier", "verifier.check"), ("features", "features")):
        files = "\n".join(file.read_text() for file in listing.options(group).values())
        for target in set(re.findall(r"^ +_target_: (\S+)", files, re.MULTILINE)):
            for name, kind in targets._annotations(targets.find(key, {"_target_": target})).items():
                if name != "return" and any(typing.get_origin(e) in targets.MAPPINGS for e in targets._members(kind)):
                    found.add(f"{key}.{name}")
    filled = {f"verifier.check.{name}" for name in ("parts", "eval_parts", "verifiers")}  # by the dataset, or by groups
    filled |= {f"{group}.own_files" for group in own_files.GROUPS}
    assert found - filled == set(NAMED)
