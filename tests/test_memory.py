"""The memory plan holds what is measured, and what it chooses fits."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from omegaconf import OmegaConf

from rftlab import doctor, listing, memory, random_models
from rftlab.config import build_dataset, compose
from rftlab.core import InputError
from rftlab.memory import GIB, Load

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "scripts"))
import measure_memory  # noqa: E402
import write_model_cards  # noqa: E402

BUILT_ON_HUB = [name for name, file in listing.options("model").items() if write_model_cards.written(file)]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RFTLAB_CACHE", str(tmp_path))


def load_of(*overrides: str, device: str = "cuda", prompt: int | None = 100) -> Load:
    cfg = compose(overrides)
    return Load(cfg.model, cfg.algo, cfg.engine, prompt, device, prompts=cfg.budget.prompts)


def narrow(tmp_path: Path, **changes: object) -> str:
    """A Qwen3 of four narrow layers."""
    shape = json.loads((random_models.SHAPES / "qwen3-0.6b.json").read_text())
    shape |= {"hidden_size": 128, "num_hidden_layers": 4, "num_attention_heads": 4, "num_key_value_heads": 2}
    shape |= {"head_dim": 32, "intermediate_size": 256, "vocab_size": 3000, "eos_token_id": [2]} | changes
    (tmp_path / "narrow.json").write_text(json.dumps(shape))
    return f"random:{tmp_path / 'narrow.json'}"


@pytest.mark.parametrize(
    "overrides",
    [
        "model.micro_batch_tokens=1024",
        "model.micro_batch_tokens=4096",
        "model.micro_batch_tokens=4096 model.gradient_checkpointing=true",
        "model.micro_batch_tokens=1024 model.dtype=bfloat16",
        "model.micro_batch_tokens=1024 model.lora.r=64 model.lora.dropout=0.1",
    ],
)
def test_an_update_holds_what_was_planned(overrides, tmp_path):
    told, held = measured(narrow(tmp_path), overrides)["update"]
    assert told == pytest.approx(held, rel=0.15)


def test_a_generation_of_a_large_vocabulary_holds_what_was_planned(tmp_path):
    told, held = measured(narrow(tmp_path, vocab_size=50_000), "model.micro_batch_tokens=1024")["generation"]
    assert told == pytest.approx(held, rel=0.15)


def measured(path: str, overrides: str) -> dict[str, tuple[int, int]]:
    """In a process of its own: the profiler sees all of a process."""
    code = f"import measure_memory as m, json; print(json.dumps(m.measured({path!r}, 40, 60, {overrides!r})))"
    said = subprocess.run([sys.executable, "-c", code], cwd=ROOT / "scripts", stdout=subprocess.PIPE, check=True)
    return json.loads(said.stdout.splitlines()[-1])


def test_planning_loads_no_weights_and_leaves_the_random_state_alone(tmp_path):
    torch.manual_seed(3)
    first = torch.rand(1)
    torch.manual_seed(3)
    found = memory.plan(load_of("model.path=random:qwen2.5-0.5b"))
    assert torch.equal(first, torch.rand(1))
    assert not list(tmp_path.rglob("*.safetensors"))
    parts = {part.name: part.bytes for part in found.parts}
    assert parts["base weights"] == 2 * 494_032_768  # bfloat16 on a GPU
    assert parts["optimiser"] == 2 * parts["adapter"] == 2 * parts["gradients"]


def test_ranks_that_share_the_base_hold_a_part_of_its_layers(tmp_path):
    path = f"model.path={narrow(tmp_path)}"
    alone, shared = load_of(path, "engine=vllm"), load_of(path, "engine=vllm")
    shared.ranks = 4
    base = alone.weights.base
    outside = 2 * 128 * (3000 + 1)  # embeddings, tied to the projection, and the last norm; bfloat16
    assert alone.weights.held == shared.weights.base == base
    assert shared.weights.held == outside + (base - outside) / 4
    assert shared.weights.layer == (base - outside) / 4  # there are four
    less = base - shared.weights.held
    assert memory.plan(alone, 512).sum("always") - memory.plan(shared, 512).sum("always") == less
    gathered = memory.plan(shared, 512).sum("update") - memory.plan(alone, 512).sum("update")
    assert gathered == memory.GATHERED * shared.weights.layer


def test_the_doctor_plans_for_ranks_that_share_the_base(tmp_path):
    ranks = ["launcher=accelerate", "num_processes=4", "shard=true", "engine=vllm", "engine.mode=server"]
    says = []
    for more in ([], ranks):
        cfg = compose([f"model.path={narrow(tmp_path)}", "model.prompt=plain", *more], verb="doctor")
        dataset = build_dataset(cfg)
        (line,) = doctor._memory(cfg, dataset)
        says.append(line.says)
    assert "gathered layers" not in says[0] and "at most:" in says[0]
    assert "at most on each of 4 ranks:" in says[1] and "gathered layers" in says[1] and "for vLLM" not in says[1]
    (line,) = doctor._canary(cfg, dataset)
    assert line.ok and "ranks share" in line.says


def test_the_doctor_does_not_load_what_does_not_fit(tmp_path, monkeypatch):
    cfg = compose([f"model.path={narrow(tmp_path)}", "model.prompt=plain"], verb="doctor")
    monkeypatch.setattr(memory, "total_bytes", lambda: GIB // 2)
    monkeypatch.setattr("rftlab.lab.build_engine", lambda *_: pytest.fail("the model was loaded"))
    lines = {line.name: line for line in doctor.checks(cfg)}
    assert not lines["memory"].ok and lines["canary"].says == "not compared: it does not fit"
    assert "stale" not in lines and "sync" not in lines


@pytest.mark.parametrize(
    ("place", "says"), [("/dev/null/x", "Not a directory"), ("/proc/x", "No such file or directory")]
)
def test_the_doctor_tries_the_place_of_the_runs(tmp_path, place, says):
    found = doctor._outputs(place)
    assert not found.ok and f"cannot write to {place} ({says}): give a writable place by outputs_dir=DIR" in found.says
    assert doctor._outputs(str(tmp_path / "new" / "er")).ok and not list(tmp_path.iterdir())


def test_the_engines_copy_is_there_only_where_it_is_merged():
    names = [
        {part.name for part in memory.plan(load_of(*extra, device="cpu")).parts} for extra in ([], ["engine=vllm"])
    ]
    assert "engine's weights" in names[0] and "engine's weights" not in names[1]


def test_a_quantised_base_is_smaller():
    whole, four = (
        next(p.bytes for p in load_of("model.path=random:qwen2.5-0.5b", *more).apart if p.name == "base weights")
        for more in ([], ["model.quantize=4bit"])
    )
    inside = 494_032_768 - 151_936 * 896  # less the embedding
    assert four == pytest.approx(whole - inside * (2 - 0.516), rel=0.01)


def test_the_chosen_micro_batch_fits_and_the_next_does_not(tmp_path):
    load = load_of(f"model.path={narrow(tmp_path)}", "model.context=512", "engine.max_rows=4")
    total = int(1.3 * GIB)
    tokens = memory.micro_batch_tokens(load, total)
    assert memory.LEAST < tokens < memory.MOST
    assert memory.plan(load, tokens).fits(total) and not memory.plan(load, 2 * tokens).fits(total)


def test_a_vllm_that_sleeps_may_take_more(tmp_path):
    shares = []
    for level in (0, 1):
        load = load_of(f"model.path={narrow(tmp_path)}", "engine=vllm", f"engine.sleep_level={level}")
        shares.append(memory.vllm_share(load, 8 * GIB, 32768))
    assert 0.1 < shares[0] < shares[1] < memory.ROOM


def test_a_card_that_is_too_small_is_one_line_with_what_to_lower():
    load = load_of("model.path=random:qwen3-8b", "engine=vllm", "model.lora.r=8")
    with pytest.raises(InputError, match=r"vLLM needs .* GiB.*lower model\.micro_batch_tokens=4096.*max_new_tokens="):
        memory.vllm_share(load, 16 * GIB, 4096)


def test_bundled_models_are_planned_as_stored():
    found = memory.plan(load_of(device="cpu"))
    weights = next(part.bytes for part in found.parts if part.name == "base weights")
    assert weights == pytest.approx(4 * 0.89e6, rel=0.05)
    assert found.micro_batch_tokens == 2048


def test_every_model_of_the_hub_has_a_shape_a_plan_and_a_context_that_its_positions_hold():
    for name in BUILT_ON_HUB:
        cfg = compose([f"model={name}"]).model
        shape = json.loads((random_models.SHAPES / f"{write_model_cards.shape_of(name)}.json").read_text())
        assert cfg.max_new_tokens < cfg.context <= shape["max_position_embeddings"], name
        assert cfg.name == name and cfg.path.split("/")[1].lower() == name
        assert write_model_cards.LABEL in listing.options("model")[name].read_text(), name
    assert len(BUILT_ON_HUB) == 32


@pytest.mark.parametrize("name", ["qwen2.5-0.5b-instruct", "llama-3.2-3b", "qwen3-8b"])
def test_the_header_of_a_model_says_what_the_plan_finds(name):
    assert write_model_cards.card_line(name) in listing.options("model")[name].read_text().splitlines()


def test_the_measured_table_of_the_page_is_within_fifteen_percent():
    rows = [line.split("|") for line in (ROOT / "docs" / "memory.md").read_text().splitlines() if "MiB |" in line]
    assert len(rows) >= 7
    assert all(abs(float(row[6]) - 1) <= 0.15 for row in rows)


def test_a_plan_counts_only_what_an_operator_makes():
    from rftlab.memory_trace import Live

    known = torch.zeros(1000)
    with Live([known]) as live:
        made = known + 1
        view = made[:10]
        assert live.now == 4000
        del made
        assert live.now == 4000  # the view holds it
        del view
        assert live.now == 0 and live.peak == 4000


def test_the_groups_of_a_load_are_those_of_a_configuration():
    assert OmegaConf.is_config(load_of().model) and measure_memory.CASES["cuda"]
