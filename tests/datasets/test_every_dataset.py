"""What must hold for every file in conf/dataset and conf/verifier, those to come included."""

from __future__ import annotations

import pickle

import pytest

from rftlab import listing, targets
from rftlab.config import build_dataset, check, compose
from rftlab.core import InputError, Task
from rftlab.datasets.base import Dataset
from rftlab.verifiers.base import Verifier

DATASETS, VERIFIERS = listing.options("dataset"), listing.options("verifier")


@pytest.mark.parametrize("name", DATASETS)
def test_a_dataset_composes_brings_a_verifier_and_says_in_one_line_what_it_lacks(name: str) -> None:
    cfg = compose([f"dataset={name}"], verb="validate")
    check(cfg, "validate")
    assert cfg.dataset.name == name and cfg.verifier.name in VERIFIERS
    try:
        found = build_dataset(cfg)
    except InputError as lack:
        assert "dataset." in str(lack) and "\n" not in str(lack)
    else:
        assert isinstance(found, Dataset) and len(found.eval)


@pytest.mark.parametrize("name", DATASETS)
def test_a_wrong_key_of_a_dataset_is_found_before_it_is_read(name: str) -> None:
    cfg = compose([f"dataset={name}", "+dataset.limitt=3"], verb="validate")
    with pytest.raises(InputError, match=r"dataset\.limitt"):
        check(cfg, "validate")


@pytest.mark.parametrize("name", [*DATASETS, *VERIFIERS])
def test_a_header_says_in_a_sentence_what_it_is(name: str) -> None:
    for found in (DATASETS, VERIFIERS):
        if name in found:
            said = listing.summary(found[name])
            assert said.endswith((".", ":", "?")) and 20 < len(said) <= 240, said


@pytest.mark.parametrize("name", VERIFIERS)
def test_a_verifier_can_be_built_sent_to_a_worker_and_survives_odd_texts(name: str) -> None:
    cfg = compose([f"verifier={name}"], verb="validate")
    check(cfg, "validate")
    try:
        verifier = targets.build("verifier.check", cfg.verifier.check, Verifier)
    except InputError as lack:  # a function of one's own, a judge's address, the parts of a mixture
        assert ("verifier." in str(lack) or "dataset.parts=" in str(lack)) and "\n" not in str(lack)
        return
    again = pickle.loads(pickle.dumps(verifier))
    assert type(again) is type(verifier) and vars(again).keys() == vars(verifier).keys()
    if not verifier.trusted:
        return
    task = Task("0" * 16, 0, ({"role": "user", "content": "?"},), "B", {"options": ["x", "y"], "row": ""})
    try:
        verifier.grade("x", task)
    except (KeyError, ValueError):  # wants tasks of its own: its own tests have them
        return
    for text in ["", "\0", "\ud800", "(" * 20_000, "9" * 100_000, "\\boxed{" * 5_000, "<answer>" * 5_000, "####"]:
        verdict = verifier.grade(text, task)
        assert verdict.valid and 0 <= verdict.score <= 1
