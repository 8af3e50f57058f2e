"""vLLM in this process: the same model, tokens by key, nothing of this process moved."""

import os
import random

import numpy as np
import pytest
import torch

from rftlab.core import Finish, InputError
from rftlab.engines.base import Sampling
from rftlab.engines.hf import HFEngine
from rftlab.engines.vllm import Ask
from rftlab.signals import Stopped
from vllm_tools import DATASET, LOGP, SAMPLING, STREAM, at, build, jobs, perturb, same, tokens, trainer_gap


@pytest.fixture(scope="module")
def built():
    """A policy with a random adapter, and an engine that has it."""
    policy, engine = build()
    perturb(policy)
    engine.sync(policy)
    yield policy, engine
    engine.close()


def hf(policy):
    engine = HFEngine(policy, merged=True, max_rows=512)
    engine.sync(policy)
    return engine


@pytest.mark.parametrize("adapter", ["fresh", "random"])
def test_greedy_is_the_transformers_engine_token_for_token(adapter, built):
    policy, engine = built
    asked, greedy = jobs(range(200), 1), Sampling(24, temperature=0.0)
    if adapter == "fresh":
        perturb(policy, std=0.0)
    engine.sync(policy)
    same(engine.generate(asked, greedy, STREAM), hf(policy).generate(asked, greedy, STREAM))
    perturb(policy)
    engine.sync(policy)


def test_greedy_rollouts_of_a_task_are_alike(built):
    _, engine = built
    (group,) = engine.generate(jobs([5], 4), Sampling(24, temperature=0.0), STREAM)
    assert len(group) == 4 and len({c.text for c in group}) == 1


@pytest.mark.parametrize("temperature", [1.0, 0.7, 1.5])
def test_log_probs_are_the_trainers_at_the_sampling_temperature(built, temperature):
    policy, engine = built
    asked = jobs(range(16))
    done = engine.generate(asked, Sampling(24, temperature=temperature), STREAM)
    assert trainer_gap(policy, asked, done, temperature) < LOGP


def test_frequencies_are_the_distribution(built):
    """The first token of 1000 rollouts against the trainer's probabilities: total variation as for 1000 fair draws."""
    policy, engine = built
    (group,) = engine.generate(jobs([7], 1000), Sampling(1), STREAM)
    ids = torch.from_numpy(policy.prompts.ids(DATASET.train.tasks[7]).astype(np.int64))
    with torch.no_grad():
        p = torch.softmax(policy.model(input_ids=ids[None]).logits[0, -1].double(), -1).numpy()
    drawn = np.bincount([c.tokens[0] for c in group], minlength=len(p)) / 1000
    fair = np.random.default_rng(0).multinomial(1000, p / p.sum(), size=200) / 1000
    distance = np.abs(drawn - p).sum()
    assert distance < np.abs(fair - p).sum(1).max()


def test_tokens_do_not_depend_on_what_is_generated_beside_them(built):
    _, engine = built
    whole = engine.generate(jobs(range(40)), SAMPLING, STREAM)
    assert tokens(engine.generate(jobs(range(40)), SAMPLING, STREAM)) == tokens(whole)
    for i in (3, 17, 39):
        assert tokens(engine.generate(jobs([i]), SAMPLING, STREAM)) == tokens([whole[i]])
    assert tokens(engine.generate(jobs(range(39, -1, -1)), SAMPLING, STREAM)) == tokens(whole)[::-1]


def test_a_group_in_parts_is_the_group(built):
    _, engine = built
    asked = jobs(range(8), 8)
    job, whole = max(
        zip(asked, tokens(engine.generate(asked, SAMPLING, STREAM)), strict=True),
        key=lambda x: len(set(map(tuple, x[1]))),
    )
    parts = [at(job, 0, 3), at(job, 3, 1), at(job, 4, 4)]
    assert [t for part in parts for t in tokens(engine.generate([part], SAMPLING, STREAM))[0]] == whole
    assert len({tuple(t) for t in whole}) > 1


def test_another_stream_draws_other_tokens(built):
    _, engine = built
    a, b = (engine.generate(jobs(range(20)), SAMPLING, ("train", 0, step)) for step in (1, 2))
    assert tokens(a) != tokens(b)


def test_top_k_one_is_greedy_and_small_top_p_too(built):
    _, engine = built
    greedy = tokens(engine.generate(jobs(range(6), 2), Sampling(24, temperature=0.0), STREAM))
    assert tokens(engine.generate(jobs(range(6), 2), Sampling(24, top_k=1), STREAM)) == greedy
    assert tokens(engine.generate(jobs(range(6), 2), Sampling(24, top_p=1e-6), STREAM)) == greedy


def test_a_completion_ends_with_its_stop_token_or_is_cut(built):
    policy, engine = built
    stop, seen = policy.prompts.tokenizer.eos_token_id, set()
    for c in (c for group in engine.generate(jobs(range(30)), Sampling(5), STREAM) for c in group):
        assert (c.finish is Finish.STOP) == (c.tokens[-1] == stop)
        assert stop not in c.tokens[:-1] and len(c.tokens) == len(c.logps) <= 5
        assert c.version == policy.version and "<|" not in c.text
        seen.add(c.finish)
    assert seen == {Finish.STOP, Finish.LENGTH}


def test_every_stop_token_of_the_model_ends_a_completion(built):
    """A model may name several; here a digit joins the tokenizer's own."""
    policy, engine = built
    digit = policy.prompts.tokenizer.convert_tokens_to_ids("1")
    plain = engine.generate(jobs(range(30)), SAMPLING, STREAM)
    engine.backend.stops.append(digit)
    try:
        cut = engine.generate(jobs(range(30)), SAMPLING, STREAM)
    finally:
        engine.backend.stops.remove(digit)
    for a, b in zip([c for g in plain for c in g], [c for g in cut for c in g], strict=True):
        ends = a.tokens.tolist().index(digit) + 1 if digit in a.tokens else len(a.tokens)
        assert b.tokens.tolist() == a.tokens[:ends].tolist()


def test_a_prompt_is_prefilled_once_for_its_group(built):
    """As far as its whole blocks go, which are 128 tokens long on a CPU."""
    policy, engine = built
    prompt = np.resize(policy.prompts.ids(DATASET.train.tasks[0]), 300).tolist()
    llm, cached = engine.backend.engine, []
    engine.sync(policy)  # nothing is cached after a swap
    for i in range(2):
        llm.add_request(f"p{i}", {"prompt_token_ids": prompt}, engine.backend._params(Ask(prompt, 4, 0), Sampling(2)))
        while llm.has_unfinished_requests():
            cached += [out.num_cached_tokens for out in llm.step() if out.finished]
    block = llm.vllm_config.cache_config.block_size
    assert cached == [300 // block * block] * 2
    before = engine.swaps
    engine.sync(policy)
    assert engine.swaps == before + 1
    llm.add_request("p", {"prompt_token_ids": prompt}, engine.backend._params(Ask(prompt, 1, 0), Sampling(2)))
    while llm.has_unfinished_requests():
        cached += [out.num_cached_tokens for out in llm.step() if out.finished]
    assert cached[-1] == 0


def test_more_prompts_than_one_forward_takes_are_all_there(built):
    """vLLM would cut the last prompt of a forward in two and step its generator back, which fails on a CPU."""
    policy, engine = built
    asked = jobs(range(400), 1)
    room = engine.backend.engine.vllm_config.scheduler_config.max_num_batched_tokens
    assert sum(len(policy.prompts.ids(job.task)) for job in asked) > 2 * room
    assert all(len(group) == 1 for group in engine.generate(asked, Sampling(2), STREAM))


def test_a_long_generation_can_be_stopped_and_the_next_one_is_whole(built):
    _, engine = built
    calls = iter(range(100))

    def poll():
        if next(calls) == 1:
            raise Stopped(15)

    whole = tokens(engine.generate(jobs(range(8)), SAMPLING, STREAM))
    engine.backend.poll, kept = poll, engine.backend.poll
    with pytest.raises(Stopped):
        engine.generate(jobs(range(8)), SAMPLING, STREAM)
    engine.backend.poll = kept
    assert not engine.backend.engine.has_unfinished_requests()
    assert tokens(engine.generate(jobs(range(8)), SAMPLING, STREAM)) == whole


def test_the_learners_randomness_and_threads_are_not_moved():
    torch.manual_seed(7)
    random.seed(7)
    np.random.seed(7)
    cores = os.sched_getaffinity(0)
    policy, first = build()  # the adapter's start is drawn before the engine is built
    before = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    policy_2, second = build()
    for a, b in zip(policy.parameters, policy_2.parameters, strict=True):
        assert torch.equal(a, b)
    after = torch.random.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    assert torch.equal(before[0], after[0]) and before[1:] == after[1:]
    second.sync(policy_2)
    second.generate(jobs(range(4)), SAMPLING, STREAM)
    assert torch.equal(torch.random.get_rng_state(), after[0])
    torch.set_num_threads(2)
    assert torch.get_num_threads() == 2 and os.sched_getaffinity(0) == cores
    torch.set_num_threads(1)
    first.close()
    second.close()


def test_nothing_is_left_after_close():
    policy, engine = build()
    engine.sync(policy)
    folder = engine._folder.name
    assert os.listdir(folder) == ["1"]
    engine.close()
    assert not os.path.exists(folder) and not torch.distributed.is_initialized()


def test_a_rank_beyond_vllms_is_one_line():
    with pytest.raises(InputError, match=r"model\.lora\.r=1024: vLLM serves adapters up to rank 512; give model\.lora"):
        build("model.lora.r=1024")


@pytest.mark.parametrize("shape", ["model.lora.rslora=true", "model.lora.r=11"])
def test_an_adapter_with_a_scale_of_its_own_or_an_odd_rank_is_served_as_trained(shape):
    policy, engine = build(shape)
    perturb(policy)
    engine.sync(policy)
    asked = jobs(range(4))
    assert trainer_gap(policy, asked, engine.generate(asked, SAMPLING, STREAM)) < LOGP
    engine.close()


def test_a_start_that_fails_gives_its_reason_and_the_knobs():
    with pytest.raises(
        InputError, match=r"engine=vllm did not start \(.*KV cache.*knobs: engine\.kv_cache_gib=0\.001, engine\.max"
    ):
        build("engine.kv_cache_gib=0.001")


@pytest.mark.parametrize(
    ("override", "says"),
    [
        ("engine.mode=both", "engine.mode=both, wanted colocated or server"),
        ("model.lora.dora=true", r"vLLM serves no DoRA adapters: give model\.lora\.dora=false, or engine=hf"),
    ],
)
def test_wrong_options_are_one_line(override, says):
    with pytest.raises(InputError, match=says):
        build(override)
