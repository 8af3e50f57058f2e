"""The transformers engine, on the bundled model: what is sampled depends on the key and the policy alone."""

import numpy as np
import pytest
import torch

from rftlab.config import build_dataset, compose
from rftlab.core import Finish, Task
from rftlab.engines.base import Job, Sampling
from rftlab.engines.hf import HFEngine, _inverse_cdf
from rftlab.lab import build_engine
from rftlab.signals import Stopped

CFG = compose([])
DATASET = build_dataset(CFG)
SAMPLING = Sampling(max_new_tokens=24)
STREAM = ("train", 0, 1)


@pytest.fixture(scope="module")
def built():
    policy, engine = build_engine(CFG, DATASET, lambda: None)
    perturb(policy)
    engine.sync(policy)
    return policy, engine


def perturb(policy, std=0.02):
    """A random adapter: with LoRA's zero start the adapter would do nothing."""
    with torch.no_grad():
        for name, p in policy.model.named_parameters():
            if "lora_B" in name:
                p.normal_(std=std, generator=torch.Generator().manual_seed(1))


def jobs(tasks, n=4):
    return [Job(DATASET.train.tasks[i], 0, n) for i in tasks]


def texts(done):
    return [[c.text for c in group] for group in done]


def test_tokens_do_not_depend_on_what_is_generated_beside_them(built):
    _, engine = built
    whole = engine.generate(jobs(range(40)), SAMPLING, STREAM)
    for i in (3, 17, 39):
        alone = engine.generate(jobs([i]), SAMPLING, STREAM)
        assert texts(alone) == texts([whole[i]])
    later = engine.generate([Job(DATASET.train.tasks[3], 2, 2)], SAMPLING, STREAM)
    assert texts(later)[0] == texts(whole)[3][2:]


def test_batches_smaller_than_the_request_change_nothing(built):
    policy, engine = built
    small = HFEngine(policy, merged=True, max_rows=7)
    small.sync(policy)
    assert texts(small.generate(jobs(range(9)), SAMPLING, STREAM)) == texts(
        engine.generate(jobs(range(9)), SAMPLING, STREAM)
    )


def test_another_stream_draws_other_tokens(built):
    _, engine = built
    a = engine.generate(jobs(range(20)), SAMPLING, STREAM)
    b = engine.generate(jobs(range(20)), SAMPLING, ("train", 0, 2))
    assert texts(a) != texts(b)


def test_merged_and_active_adapter_sample_the_same(built):
    policy, engine = built
    active = HFEngine(policy, merged=False, max_rows=512)
    active.sync(policy)
    a, b = (e.generate(jobs(range(20)), SAMPLING, STREAM) for e in (engine, active))
    assert texts(a) == texts(b)
    gap = [np.abs(x.logps - y.logps).max() for g, h in zip(a, b, strict=True) for x, y in zip(g, h, strict=True)]
    assert max(gap) < 1e-3


def test_greedy_is_what_generate_says(built):
    policy, engine = built
    greedy = engine.generate(jobs(range(12), 1), Sampling(24, temperature=0.0), STREAM)
    for i in range(12):
        ids = torch.from_numpy(policy.prompts.ids(DATASET.train.tasks[i]).astype(np.int64))[None]
        out = policy.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), do_sample=False, max_new_tokens=24
        )
        assert greedy[i][0].tokens.tolist() == out[0, ids.shape[1] :].tolist()


def test_logps_are_the_policys_at_the_sampling_temperature(built):
    policy, engine = built
    for temperature in (1.0, 0.7):
        done = engine.generate(jobs(range(4), 2), Sampling(24, temperature=temperature), STREAM)
        for job, group in zip(jobs(range(4), 2), done, strict=True):
            for c in group:
                ids = torch.from_numpy(np.concatenate([policy.prompts.ids(job.task), c.tokens]).astype(np.int64))
                with torch.no_grad():
                    logits = policy.model(input_ids=ids[None]).logits[0] / temperature
                want = torch.log_softmax(logits[-len(c.tokens) - 1 : -1], -1).gather(1, ids[-len(c.tokens) :, None])[
                    :, 0
                ]
                assert np.allclose(c.logps, want.numpy(), atol=1e-4)


def test_frequencies_are_the_distribution():
    logp = torch.log_softmax(torch.tensor([0.3, -1.0, 2.0, -torch.inf, 0.0]), -1)
    u = torch.from_numpy((np.arange(10_000) + 0.5) / 10_000)
    counts = torch.bincount(_inverse_cdf(logp.expand(10_000, 5), u), minlength=5) / 10_000
    assert torch.allclose(counts, logp.exp(), atol=2e-4)
    assert _inverse_cdf(logp[None], torch.tensor([0.0], dtype=torch.float64)).item() == 0
    assert _inverse_cdf(logp[None], torch.tensor([1 - 2**-53], dtype=torch.float64)).item() == 4


def test_top_k_one_is_greedy_and_small_top_p_too(built):
    _, engine = built
    greedy = texts(engine.generate(jobs(range(6), 2), Sampling(24, temperature=0.0), STREAM))
    assert texts(engine.generate(jobs(range(6), 2), Sampling(24, top_k=1), STREAM)) == greedy
    assert texts(engine.generate(jobs(range(6), 2), Sampling(24, top_p=1e-6), STREAM)) == greedy


def test_a_completion_ends_with_its_stop_token_or_is_cut(built):
    policy, engine = built
    done = engine.generate(jobs(range(30)), Sampling(5), STREAM)
    stop = policy.prompts.tokenizer.eos_token_id
    seen = set()
    for c in (c for group in done for c in group):
        assert (c.finish is Finish.STOP) == (c.tokens[-1] == stop)
        assert stop not in c.tokens[:-1] and len(c.tokens) == len(c.logps) <= 5
        seen.add(c.finish)
    assert seen == {Finish.STOP, Finish.LENGTH}


def test_texts_carry_no_special_tokens(built):
    _, engine = built
    assert not any(
        "<|" in text for group in texts(engine.generate(jobs(range(30)), SAMPLING, STREAM)) for text in group
    )


def test_the_policys_own_weights_are_never_touched(built):
    policy, engine = built
    before = {k: v.clone() for k, v in policy.model.state_dict().items()}
    for _ in range(3):
        engine.sync(policy)
    assert all(torch.equal(v, before[k]) for k, v in policy.model.state_dict().items())


def test_a_long_generation_can_be_stopped_between_tokens(built):
    policy, _ = built

    def poll():
        raise Stopped(15)

    engine = HFEngine(policy, merged=True, max_rows=512, poll=poll)
    engine.sync(policy)
    with pytest.raises(Stopped):
        engine.generate(jobs([0]), SAMPLING, STREAM)


def test_prompts_outside_ascii_are_tokens_too(built):
    _, engine = built
    task = Task("é", 0, ({"role": "user", "content": "naïve — 数学 🙂"},), "x")
    (group,) = engine.generate([Job(task, 0, 2)], SAMPLING, STREAM)
    assert len(group) == 2
