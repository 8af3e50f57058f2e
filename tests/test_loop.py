"""Whole runs in this process, on the bundled model or the simulated one."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from rftlab import checkpoint, evaluate, loop
from rftlab.config import check, compose
from rftlab.core import InputError, Task, Verdict
from rftlab.doctor import doctor
from rftlab.export import export
from rftlab.tracking import read_jsonl
from rftlab.verifiers.base import Verifier
from rftlab.verifiers.pool import VerifierPool

SMALL = [
    "budget=smoke",
    "budget.prompts=8",
    "eval.limit=40",
    "eval.samples=2",
    "eval.every_rollouts=64",
    "tracking=none",
    "checkpoint.every_steps=2",
]


def run(outputs: Path, *overrides: str) -> Path:
    cfg = compose([*SMALL, f"outputs_dir={outputs}", *overrides])
    check(cfg)
    return loop.train(cfg)


@pytest.fixture(scope="module")
def trained(tmp_path_factory) -> Path:
    return run(tmp_path_factory.mktemp("outputs"), "sampler=bots")


def test_a_run_leaves_a_row_a_step_and_every_group(trained):
    rows = read_jsonl(trained / "metrics.jsonl")
    assert [r["step"] for r in rows] == list(range(7))
    assert [r["ledger/rollouts"] for r in rows] == [32 * i for i in range(7)]
    assert rows[-1]["ledger/reference_rollouts"] == 64_000
    groups = read_jsonl(trained / "groups.jsonl")
    assert len(groups) == 48 and all(g["trials"] == 4 and 0 <= g["predicted"] <= 1 for g in groups)
    assert sum(g["tokens"] for g in groups) == rows[-1]["ledger/tokens"]
    for step in range(1, 7):
        assert len({g["task"] for g in groups if g["step"] == step}) == 8
    assert len(read_jsonl(trained / "completions" / "step_000003.jsonl")) == 8


def test_evaluation_is_at_the_start_past_each_mark_and_at_the_end(trained):
    rows = read_jsonl(trained / "metrics.jsonl")
    evaluated = [r["step"] for r in rows if "eval/accuracy" in r]
    assert evaluated == [0, 2, 4, 6]
    assert sorted(p.name for p in (trained / "evals").iterdir()) == [f"step_{int(n):06d}.jsonl" for n in evaluated]
    last = read_jsonl(trained / "evals" / "step_000006.jsonl")
    assert rows[-1]["eval/accuracy"] == pytest.approx(np.mean([r["wins"] / r["trials"] for r in last]))
    assert rows[-1]["ledger/eval_rollouts"] == 4 * 40 * 2


def test_the_canary_ran_in_every_step(trained):
    assert all(r["sync/logp_gap"] < 1e-3 for r in read_jsonl(trained / "metrics.jsonl")[1:])


def test_the_run_directory_is_complete(trained):
    status = json.loads((trained / "status.json").read_text())
    assert (status["state"], status["step"], status["ended_by"]) == ("done", 6, "budget.steps")
    for name in ("run.json", "config.yaml", "adapters/best/adapter_config.json", "adapters/last/adapter_config.json"):
        assert (trained / name).is_file()
    assert [p.name for p in checkpoint.complete(trained / "checkpoints")] == ["step_000005", "step_000006"]


def test_the_same_command_again_does_nothing(trained):
    before = (trained / "metrics.jsonl").read_bytes()
    assert run(trained.parents[3], "sampler=bots") == trained
    assert (trained / "metrics.jsonl").read_bytes() == before


def test_a_longer_run_goes_on_where_the_short_one_ended(tmp_path):
    short = run(tmp_path / "a", "budget.steps=3")
    assert run(tmp_path / "a", "budget.steps=6") == short
    whole = run(tmp_path / "b", "budget.steps=6")
    assert learnt(short) == learnt(whole)
    assert timeless(short) == timeless(whole)
    with pytest.raises(InputError, match="has 6 steps"):
        run(tmp_path / "a", "budget.steps=4")


def test_a_run_cut_short_by_its_rollouts_goes_on_as_if_it_had_been_longer_from_the_start(tmp_path):
    dapo = ["engine=sim", "sampler=dapo", "sampler.admission.carry=2"]
    short = run(tmp_path / "a", *dapo, "budget.steps=6")
    assert read_jsonl(short / "metrics.jsonl")[-1]["step"] < 6
    longer = run(tmp_path / "a", *dapo, "budget.steps=12")
    whole = run(tmp_path / "b", *dapo, "budget.steps=12")
    assert longer == short and timeless(longer) == timeless(whole)
    with pytest.raises(InputError, match="are asked for; ask for at least as many"):
        run(tmp_path / "a", *dapo, "budget.steps=11")


def timeless(path: Path) -> tuple[list[dict], list[dict]]:
    rows = [
        {k: v for k, v in r.items() if not k.startswith(("time/", "rate/")) and k != "ledger/seconds"}
        for r in read_jsonl(path / "metrics.jsonl")
    ]
    return rows, read_jsonl(path / "groups.jsonl")


def test_an_adapter_on_the_wrong_base_is_refused(trained, tmp_path):
    with pytest.raises(InputError, match=r"was trained on tiny, model.path=bundled:tiny-strong is another model"):
        run(tmp_path, f"init_from={trained}", "model=tiny-strong")
    with pytest.raises(InputError, match=r"give model.lora.r=32"):
        run(tmp_path, f"init_from={trained}", "model.lora.r=8")


def learnt(path: Path) -> tuple[list[str], bytes]:
    groups = [json.dumps(row) for row in read_jsonl(path / "groups.jsonl")]
    return groups, (path / "adapters" / "last" / "adapter_model.safetensors").read_bytes()


def test_arms_of_one_seed_are_paired_and_other_seeds_differ(tmp_path):
    a, b, c = (
        run(tmp_path, *o)
        for o in (["budget.steps=1"], ["budget.steps=1", "sampler=mopps"], ["budget.steps=1", "seed=1"])
    )
    first = [read_jsonl(p / "evals" / "step_000000.jsonl") for p in (a, b, c)]
    assert first[0] == first[1] == first[2]  # the adapter starts at zero and evaluation keys are shared
    tasks = [[g["task"] for g in read_jsonl(p / "groups.jsonl")] for p in (a, c)]
    assert tasks[0] != tasks[1]


def test_rejected_rollouts_are_in_the_ledger_and_bound_the_run(tmp_path):
    path = run(tmp_path, "engine=sim", "sampler=dapo", "budget.steps=20", "budget.rollouts=400")
    rows, groups = (read_jsonl(path / name) for name in ("metrics.jsonl", "groups.jsonl"))
    assert rows[-1]["ledger/rollouts"] == sum(g["rollouts"] for g in groups) <= 400
    assert rows[-1]["step"] < 20 and json.loads((path / "status.json").read_text())["ended_by"] == "budget.rollouts"
    assert any(not g["admitted"] for g in groups)
    # only groups with variance are trained on, unless a step could not be filled
    assert all(r["group/etr"] == 1.0 for r in rows[1:] if r["group/trained"])


def test_a_bound_in_tokens_ends_the_run(tmp_path):
    path = run(tmp_path, "engine=sim", "budget.tokens=500", "budget.steps=500")
    assert json.loads((path / "status.json").read_text())["ended_by"] == "budget.tokens"


def test_a_run_starts_from_another_runs_adapter(trained, tmp_path):
    path = run(tmp_path, f"init_from={trained}", "budget.steps=1")
    first, last = (
        read_jsonl(path / "evals" / "step_000000.jsonl"),
        read_jsonl(trained / "evals" / "step_000006.jsonl"),
    )
    assert [(r["task"], r["wins"]) for r in first] == [(r["task"], r["wins"]) for r in last]


def test_an_exported_model_is_what_was_trained(trained, tmp_path):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from rftlab.prompts import model_source

    merged = export(trained, tmp_path / "merged", merge=True, weights="last")
    adapter = export(trained, tmp_path / "adapter", merge=False, weights="last")
    whole = AutoModelForCausalLM.from_pretrained(merged, dtype=torch.float32)
    base = AutoModelForCausalLM.from_pretrained(model_source("bundled:tiny"), dtype=torch.float32)
    before = base.get_input_embeddings().weight.clone()
    parts = PeftModel.from_pretrained(base, adapter)
    tokenizer = AutoTokenizer.from_pretrained(merged)
    ids = torch.tensor(
        [
            tokenizer.apply_chat_template(
                [{"role": "user", "content": "copy abc"}], add_generation_prompt=True, return_dict=False
            )
        ]
    )
    with torch.no_grad():
        a, b = whole(input_ids=ids).logits, parts(input_ids=ids).logits
        with parts.disable_adapter():
            c = parts(input_ids=ids).logits
    assert torch.equal(before, base.get_input_embeddings().weight)
    moved = (b - c).abs().max()
    assert moved > 0.02 and (a - b).abs().max() < 0.5 * moved  # bfloat16 rounds the merged weights
    with pytest.raises(InputError, match="not empty"):
        export(trained, tmp_path / "merged", merge=True)


def test_a_prompt_that_does_not_fit_is_refused_before_the_model_loads(tmp_path, monkeypatch):
    monkeypatch.setattr("rftlab.policy.load_base", lambda *_: pytest.fail("a model was loaded"))
    with pytest.raises(InputError, match=r"prompts of ladder do not fit.*; give model.context=[1-9]"):
        run(tmp_path, "model.context=40")
    with pytest.raises(InputError, match=r"such bundled model; bundled are tiny, tiny-strong"):
        run(tmp_path, "model.path=bundled:huge")


def test_a_full_disk_stops_the_run_with_its_checkpoints_whole(tmp_path, monkeypatch):
    save = checkpoint.save_tree

    def full(path, tree):
        if tree["step"] == 4:
            raise OSError(28, "No space left on device", str(path))
        save(path, tree)

    monkeypatch.setattr(checkpoint, "save_tree", full)
    with pytest.raises(OSError, match="No space left"):
        run(tmp_path, "engine=sim")
    (path,) = tmp_path.glob("*/*/*/seed0")
    assert json.loads((path / "status.json").read_text())["state"] == "failed"
    assert sorted(p.name for p in (path / "checkpoints").iterdir()) == ["step_000002", "step_000003"]
    monkeypatch.setattr(checkpoint, "save_tree", save)
    assert learnt_sim(run(tmp_path, "engine=sim")) == learnt_sim(run(tmp_path / "whole", "engine=sim"))


def learnt_sim(path: Path) -> list[dict]:
    return read_jsonl(path / "groups.jsonl")


def test_real_rows_with_a_verifier_in_worker_processes_go_through(tmp_path):
    """GSM8K's format: long prompts, the number verifier. The bundled model solves none of it; the plumbing is real."""
    rows = Path(__file__).parent / "data" / "gsm8k_like.jsonl"
    path = run(
        tmp_path, "dataset=gsm8k", f"dataset.path={rows}", "budget.steps=2", "budget.prompts=3", "eval.samples=1"
    )
    metrics, groups = (read_jsonl(path / name) for name in ("metrics.jsonl", "groups.jsonl"))
    assert [r["step"] for r in metrics] == [0, 1, 2] and len(groups) == 6
    assert all(g["trials"] == 4 for g in groups)
    assert metrics[-1]["verdict/fault"] == 0 and "eval/accuracy" in metrics[-1]
    assert "####" in read_jsonl(path / "completions" / "step_000001.jsonl")[0]["prompt"]


def test_gsm8k_itself_trains_two_steps(tmp_path, data):
    path = run(tmp_path, "dataset=gsm8k", f"dataset.path={data / 'gsm8k'}", "budget.steps=2", "eval.limit=8")
    assert [r["step"] for r in read_jsonl(path / "metrics.jsonl")] == [0, 1, 2]


def test_the_eval_verb_measures_the_adapter_of_a_run(trained, tmp_path, capsys):
    cfg = compose([f"init_from={trained}", "eval.limit=40", "eval.samples=2", f"out={tmp_path / 'e'}"], verb="eval")
    check(cfg, "eval")
    found = evaluate.main(cfg)
    last = read_jsonl(trained / "metrics.jsonl")[-1]
    assert found.metrics["eval/accuracy"] == last["eval/accuracy"]
    assert f"{last['eval/accuracy']:.4f}" in capsys.readouterr().out
    assert json.loads((tmp_path / "e" / "metrics.json").read_text()) == found.metrics


def test_the_doctor_finds_a_healthy_machine_and_a_sick_engine(capsys, monkeypatch):
    cfg = compose([], verb="doctor")
    check(cfg, "doctor")
    assert doctor(cfg) == 0
    assert "FAIL" not in capsys.readouterr().out
    monkeypatch.setattr(
        "rftlab.engines.hf.HFEngine.sync", lambda self, learner: setattr(self, "version", learner.version)
    )
    assert doctor(cfg) == 1  # an engine that never takes over new weights
    assert "FAIL  sync" in capsys.readouterr().out


class Broken(Verifier):
    """Grades its first completions and nothing after."""

    trusted = True

    def __init__(self, spare):
        self.spare = spare

    def grade(self, text, task):
        self.spare -= 1
        if self.spare < 0:
            raise ValueError("the grader has no\nlicence")
        return Verdict(1.0, True)


def test_a_run_whose_first_evaluation_cannot_be_graded_takes_no_step(tmp_path, monkeypatch):
    monkeypatch.setattr("rftlab.lab.build_pool", lambda cfg, poll: VerifierPool(Broken(0), poll=poll))
    with pytest.raises(InputError, match=r"nothing in the first evaluation: ValueError: .*rftlab validate") as stopped:
        run(tmp_path, "engine=sim", "budget.steps=2")
    assert "\n" not in str(stopped.value)
    (path,) = tmp_path.glob("*/*/*/seed0")
    status = json.loads((path / "status.json").read_text())
    assert (status["state"], status["step"]) == ("failed", 0) and not read_jsonl(path / "groups.jsonl")


def test_a_verifier_that_grades_nothing_stops_the_run_and_says_why(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("rftlab.lab.build_pool", lambda cfg, poll: VerifierPool(Broken(1), poll=poll))
    with pytest.raises(
        InputError, match="graded nothing in 3 consecutive steps: ValueError: the grader has no licence"
    ):
        run(tmp_path, "engine=sim", "panel.tasks=0")
    assert "32 of 32 rollouts of a step could not be graded" in capsys.readouterr().out
    (path,) = tmp_path.glob("*/*/*/seed0")
    assert read_jsonl(path / "metrics.jsonl")[-1]["reward/mean"] is None


@pytest.mark.parametrize("damaged", ["state.npz", "optimizer.pt", "adapter/adapter_model.safetensors"])
def test_a_damaged_checkpoint_is_left_aside_for_the_one_before(trained, tmp_path, damaged, capsys):
    shutil.copytree(trained.parents[3], tmp_path / "o")
    (path,) = (tmp_path / "o").glob("*/*/*/seed0")
    (path / "status.json").write_text("{}")
    (path / "checkpoints" / "step_000006" / damaged).write_bytes(b"garbage")
    run(tmp_path / "o", "sampler=bots")
    assert "step_000006 is damaged and left aside" in " ".join(capsys.readouterr().out.split())
    assert learnt(path) == learnt(trained) and timeless(path) == timeless(trained)


def test_a_finished_run_without_its_checkpoints_is_not_silently_begun_again(trained, tmp_path):
    shutil.copytree(trained.parents[3], tmp_path / "o")
    (path,) = (tmp_path / "o").glob("*/*/*/seed0")
    shutil.rmtree(path / "checkpoints")
    with pytest.raises(InputError, match="has 6 steps but no checkpoint to go on from"):
        run(tmp_path / "o", "sampler=bots", "budget.steps=9")
    assert len(read_jsonl(path / "metrics.jsonl")) == 7


def test_a_sampler_that_asks_for_nothing_ends_the_run_in_a_line_that_names_its_classes(tmp_path, monkeypatch):
    monkeypatch.setattr("rftlab.samplers.selectors.uniform.Uniform.propose", lambda *_: np.empty(0, np.int64))
    with pytest.raises(InputError, match="asked for nothing in step 1") as error:
        run(tmp_path, "engine=sim")
    said = str(error.value)
    assert "selector rftlab.samplers.selectors.uniform.Uniform" in said and "sampler=NAME" in said and "\n" not in said


def test_changed_references_are_another_run(tmp_path):
    rows = [{"q": f"copy {c}", "a": c, "weak": 0.2, "strong": 0.8} for c in "abcdefghijklmnopqrst"]
    file = tmp_path / "rows.jsonl"
    command = [
        "engine=sim",
        "dataset=file",
        f"dataset.path={file}",
        "dataset.prompt_key=q",
        "dataset.answer_key=a",
        "dataset.references={weak: weak, strong: strong}",
        "sampler=bots",
        "dataset.eval_fraction=0.2",
    ]
    file.write_text("".join(json.dumps(r) + "\n" for r in rows))
    run(tmp_path, *command, "budget.steps=2")
    file.write_text("".join(json.dumps({**r, "weak": 0.3}) + "\n" for r in rows))
    with pytest.raises(InputError, match="belongs to another run: pool_arrays differ"):
        run(tmp_path, *command, "budget.steps=4")


def test_checkpoints_left_aside_never_push_out_new_ones(trained, tmp_path):
    shutil.copytree(trained.parents[3], tmp_path / "o")
    (path,) = (tmp_path / "o").glob("*/*/*/seed0")
    (path / "checkpoints" / "step_000006" / "state.npz").write_bytes(b"garbage")
    run(tmp_path / "o", "sampler=bots", "budget.steps=7", "checkpoint.every_steps=1")
    assert [p.name for p in checkpoint.complete(path / "checkpoints")] == ["step_000006", "step_000007"]
    assert checkpoint.load(path / "checkpoints" / "step_000006")["step"] == 6
    assert (path / "checkpoints" / "aside_step_000006" / "state.npz").read_bytes() == b"garbage"  # nothing is lost


def test_an_evaluation_that_only_a_shorter_run_asked_for_leaves_no_file(tmp_path):
    small = ["engine=sim", "eval.every_rollouts=1000", "budget.rollouts=1000"]
    run(tmp_path, *small, "budget.steps=3")
    path = run(tmp_path, *small, "budget.steps=6")
    assert sorted(p.name for p in (path / "evals").iterdir()) == ["step_000000.jsonl", "step_000006.jsonl"]


@pytest.mark.parametrize("damage", [("adapter_config.json", "{"), ("adapter_model.safetensors", "garbage")])
def test_a_damaged_adapter_is_one_line(trained, tmp_path, damage):
    shutil.copytree(trained / "adapters" / "last", tmp_path / "a")
    (tmp_path / "a" / damage[0]).write_text(damage[1])
    with pytest.raises(InputError, match=r"init_from=.*(is damaged|does not load)"):
        run(tmp_path, f"init_from={tmp_path / 'a'}")
    with pytest.raises(InputError, match=r"model.lora.targets=foo"):
        run(tmp_path, "model.lora.targets=foo")


def test_prompts_over_the_limit_are_left_out_and_counted(tmp_path, capsys):
    rows = [{"prompt": "1" * length, "answer": "1"} for length in range(1, 41)]
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    held_out = tmp_path / "held_out.jsonl"
    held_out.write_text('{"prompt": "2", "answer": "2"}\n' + json.dumps({"prompt": "2" * 30, "answer": "2"}) + "\n")
    options = ["dataset=file", f"dataset.path={file}", f"dataset.eval_path={held_out}", "sampler=uniform"]
    empty = len(rollout_prompt_ids(""))
    path = run(tmp_path, *options, f"model.max_prompt_tokens={empty + 25}", "budget.steps=1")
    seen = {g["task"] for g in read_jsonl(path / "groups.jsonl")}
    said = capsys.readouterr().out
    assert "15 train tasks dropped" in said and "1 eval tasks dropped" in said and seen
    with pytest.raises(InputError, match=r"model\.max_prompt_tokens=1 leaves no task"):
        run(tmp_path, *options, "model.max_prompt_tokens=1", "budget.steps=1")


def rollout_prompt_ids(text: str) -> list[int]:
    from rftlab.prompts import Prompts

    return Prompts.load("bundled:tiny").ids(Task("x", 0, ({"role": "user", "content": text},), "1")).tolist()
