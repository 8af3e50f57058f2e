"""The update, on the bundled model: the same maths however it is cut, and a canary that bites."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from rftlab.config import build_dataset, compose
from rftlab.core import Group, InputError, Pick, Verdict
from rftlab.engines.base import Job, Sampling
from rftlab.lab import build_engine
from rftlab.policy import CanaryError, NonFiniteError
from rftlab.update import Totals, row_of, rows_of

DATASET = build_dataset(compose([]))


def build(*overrides):
    policy, engine = build_engine(compose(list(overrides)), DATASET, lambda: None)
    engine.sync(policy)
    return policy, engine


def batch_of(engine, tasks=range(6), rewards=(1, 0, 0, 1), step=1):
    """Groups whose rewards are set by hand: the first rollouts of each task as ``rewards`` says."""
    jobs = [Job(DATASET.train.tasks[i], 0, len(rewards)) for i in tasks]
    done = engine.generate(jobs, Sampling(24), ("train", 0, step))
    verdicts = tuple(Verdict(float(r), r == 1) for r in rewards)
    groups = [Group(j.task, tuple(c), verdicts, step) for j, c in zip(jobs, done, strict=True)]
    return groups, [(g, Pick(g.task.index, np.arange(len(rewards)))) for g in groups]


def weights(policy):
    return torch.cat([p.detach().flatten() for p in policy.parameters]).clone()


def update(policy, groups, batch, rollouts=10**6):
    return policy.update(batch, groups, group_size=4, target_groups=6, rollouts=rollouts)


def moved(*overrides, batch=None, **kw):
    """The adapter's movement by one update."""
    policy, engine = build(*overrides)
    groups, picks = batch_of(engine, **kw)
    before = weights(policy)
    info = update(policy, groups, picks if batch is None else batch(groups, picks))
    return weights(policy) - before, info


def close(a, b):
    return torch.linalg.norm(a - b) <= 1e-5 * torch.linalg.norm(b)


SGD_LIKE = "algo.max_grad_norm=1e9"


def gradient(*overrides, batch=None, **kw):
    """The gradient of one update, read from Adam's first moment (0.1 times the gradient after one step)."""
    policy, engine = build(SGD_LIKE, *overrides)
    groups, picks = batch_of(engine, **kw)
    update(policy, groups, picks if batch is None else batch(groups, picks))
    return torch.cat([policy.optimizer.state[p]["exp_avg"].flatten() * 10 for p in policy.parameters])


def test_micro_batches_are_memory_only():
    assert close(gradient("model.micro_batch_tokens=40"), gradient("model.micro_batch_tokens=16384"))


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
def test_rollouts_that_share_their_prompts_line_are_separate_rollouts(monkeypatch, attention):
    options = [f"model.attention={attention}", "algo.kl=0.1"]
    shared = gradient(*options)
    monkeypatch.setattr("rftlab.packing.lines", lambda rows, _: [[i] for i in range(len(rows))])
    assert close(shared, gradient(*options))


def test_padding_is_reported():
    policy, engine = build("model.micro_batch_tokens=16384")
    groups, picks = batch_of(engine)
    lines = [len(policy.prompts.ids(g.task)) + sum(len(c.tokens) for c in g.completions) for g in groups]
    padded = max(lines) * len(lines)
    assert update(policy, groups, picks).metrics["train/padding"] == pytest.approx(1 - sum(lines) / padded)
    assert moved("model.micro_batch_tokens=1")[1].metrics["train/padding"] == 0


def test_gradient_checkpointing_is_memory_only_and_happens(monkeypatch):
    from transformers import modeling_utils as library

    calls, original = [], library.checkpoint
    monkeypatch.setattr(library, "checkpoint", lambda *a, **k: (calls.append(1), original(*a, **k))[1])
    plain = gradient()
    assert not calls
    assert close(gradient("model.gradient_checkpointing=true"), plain)
    assert len(calls) >= 4  # a call a layer


def test_the_vocabulary_projection_in_chunks_is_memory_only(monkeypatch):
    whole = gradient()
    monkeypatch.setattr("rftlab.forward.LOGIT_ELEMENTS", 262 * 5)
    assert close(gradient(), whole)


def test_dropout_is_the_adapters_alone_and_repeats():
    a, b = (moved("model.lora.dropout=0.5")[0] for _ in range(2))
    assert torch.equal(a, b) and not torch.equal(a, moved()[0])


def test_dead_groups_cost_nothing_and_change_nothing():
    """The denominator is P G: an all-right group beside live ones is as good as absent."""
    dead = tuple(Verdict(1.0, True) for _ in range(4))

    def with_dead(groups, picks):
        flat = Group(groups[0].task, groups[0].completions, dead, 1)
        return [(flat, picks[0][1]), *picks[1:]]

    assert close(gradient(batch=with_dead), gradient(batch=lambda groups, picks: picks[1:]))
    _, info = moved(batch=with_dead)
    assert info.metrics["train/live_rollouts"] == 20
    assert info.abs_advantage[0] == 0 and info.abs_advantage[1] > 0.9


def test_the_gradient_is_the_formula():
    """Against autograd on the written-out loss: 1/(P G) sum_g (G/n_g) sum_i A_i mean_t(-logp)."""
    policy, engine = build(SGD_LIKE)
    groups, _ = batch_of(engine)
    loss = 0.0
    for group in groups:
        score = np.array([v.score for v in group.verdicts])
        advantage = (score - score.mean()) / (score.std() + 1e-6)
        for c, a in zip(group.completions, advantage, strict=True):
            ids = torch.from_numpy(np.concatenate([policy.prompts.ids(group.task), c.tokens]).astype(np.int64))
            logits = policy.model(input_ids=ids[None]).logits[0, -len(c.tokens) - 1 : -1]
            logp = torch.log_softmax(logits, -1).gather(1, ids[-len(c.tokens) :, None])
            loss = loss - a * logp.mean() / (6 * 4)
    want = torch.cat([g.flatten() for g in torch.autograd.grad(loss, policy.parameters)])
    got = gradient()
    assert torch.linalg.norm(got - want) <= 1e-4 * torch.linalg.norm(want)


def test_a_batch_without_variance_moves_nothing_and_still_checks_the_engine():
    delta, info = moved(rewards=(1, 1, 1, 1))
    assert not delta.any()
    assert info.metrics["train/live_rollouts"] == 0 and info.metrics["sync/logp_gap"] < 1e-4


def test_an_empty_batch_is_a_step_too():
    policy, engine = build()
    groups, _ = batch_of(engine)
    info = update(policy, groups, [])
    assert policy.version == 1 and info.metrics["sync/logp_gap"] < 1e-4


def test_a_stale_engine_is_caught_before_anything_changes():
    policy, engine = build()
    groups, picks = batch_of(engine)
    update(policy, groups, picks)
    engine.version = policy.version  # says that it is current, samples from the version before
    groups, picks = batch_of(engine, step=2)
    before = weights(policy)
    with pytest.raises(CanaryError, match="does not sample from the policy"):
        update(policy, groups, picks)
    assert torch.equal(weights(policy), before) and policy.version == 1


def test_carried_rollouts_of_an_older_version_are_no_alarm():
    policy, engine = build()
    groups, picks = batch_of(engine)
    update(policy, groups, picks)
    info = update(policy, [], picks)
    assert {k for k in info.metrics if k.startswith("sync/")} == {"sync/carried_share"}
    assert info.metrics["sync/carried_share"] == 1


def test_carried_rollouts_are_measured_against_the_policy_that_sampled_them():
    """Beside fresh ones they leave the engine's metrics alone; their ratio is pi / pi_engine."""
    policy, engine = build("algo.clip_low=0.0", "algo.clip_high=0.0")
    old, picks = batch_of(engine, tasks=range(3))
    update(policy, old, picks)
    engine.sync(policy)
    groups, more = batch_of(engine, tasks=range(3, 6), step=2)
    tokens = [sum(len(c.tokens) for g in part for c in g.completions) for part in (old, groups)]
    info = update(policy, groups, picks + more)
    assert info.metrics["sync/carried_share"] == pytest.approx(tokens[0] / sum(tokens))
    assert abs(info.metrics["sync/is_weight_max"] - 1) < 1e-4 and info.metrics["sync/logp_gap"] < 1e-4
    assert info.metrics["train/clip_low"] + info.metrics["train/clip_high"] > 0  # 0 if measured against itself


def shifted(groups, by):
    """The same rollouts, their engine's log-probs moved by ``by`` nats a token."""
    return [replace(g, completions=tuple(replace(c, logps=c.logps - by) for c in g.completions)) for g in groups]


def gradient_when_shifted(by, *overrides):
    policy, engine = build(SGD_LIKE, "algo.max_logp_gap=100", *overrides)
    groups, picks = batch_of(engine)
    groups = shifted(groups, by)
    info = update(policy, groups, [(g, p) for g, (_, p) in zip(groups, picks, strict=True)])
    moments = [policy.optimizer.state[p]["exp_avg"].flatten() * 10 for p in policy.parameters]
    return torch.cat(moments), info.metrics, [len(c.tokens) for g in groups for c in g.completions]


def test_importance_weights_by_token_and_by_sequence_scale_the_gradient_up_to_their_cap():
    plain = gradient()
    found, metrics, lengths = gradient_when_shifted(0.1)
    assert torch.allclose(found, plain * np.exp(0.1), rtol=1e-3, atol=1e-5)
    assert metrics["sync/is_weight_mean"] == pytest.approx(np.exp(0.1), rel=1e-4)
    capped, metrics, _ = gradient_when_shifted(0.1, "algo.is_cap=1.0")
    assert close(capped, plain) and metrics["sync/is_weight_max"] == pytest.approx(np.exp(0.1), rel=1e-4)
    ignored, metrics, _ = gradient_when_shifted(0.1, "algo.is_weight=none")
    assert close(ignored, plain) and metrics["sync/is_weight_max"] == pytest.approx(np.exp(0.1), rel=1e-4)
    whole, metrics, _ = gradient_when_shifted(0.1, "algo.is_weight=sequence", "algo.is_cap=1e9")
    assert metrics["sync/is_weight_max"] == pytest.approx(np.exp(0.1 * max(lengths)), rel=1e-3)
    assert torch.linalg.norm(whole) > torch.linalg.norm(found)
    _, metrics, _ = gradient_when_shifted(0.1, "algo.minibatches=2", "algo.is_weight=sequence")
    assert metrics["sync/is_weight_max"] == pytest.approx(np.exp(0.1 * max(lengths)), rel=1e-3)


def test_an_importance_weight_above_its_bound_stops_the_run_before_anything_changes():
    policy, engine = build("algo.max_logp_gap=100", "algo.max_is_weight=2")
    groups, picks = batch_of(engine)
    before = weights(policy)
    moved_groups = shifted(groups, 1.0)
    with pytest.raises(CanaryError, match=r"importance weight .* is 2.72, wanted at most 2 \(algo.max_is_weight\)"):
        update(policy, moved_groups, [(g, p) for g, (_, p) in zip(moved_groups, picks, strict=True)])
    assert torch.equal(weights(policy), before)
    assert update(policy, groups, picks).metrics["sync/is_weight_max"] < 1.01


def test_a_stale_engine_is_caught_even_when_all_that_is_trained_on_was_carried():
    policy, engine = build()
    old, picks = batch_of(engine)
    update(policy, old, picks)
    engine.version = policy.version
    fresh, _ = batch_of(engine, step=2)
    with pytest.raises(CanaryError, match="does not sample from the policy"):
        update(policy, fresh, picks)


def by_engine(group, engines, **of_engine_1):
    """The group with its rollouts sampled by ``engines``; engine 1's are otherwise than they were."""
    completions = (
        replace(c, engine=e, **{k: f(c) for k, f in of_engine_1.items() if e == 1})
        for c, e in zip(group.completions, engines, strict=True)
    )
    return replace(group, completions=tuple(completions))


def half_a_bound_off(c):
    """On four rollouts of which it is one, half the bound of 1e-3."""
    return c.logps - 0.002


@pytest.mark.parametrize("options", [[], ["algo.minibatches=2"]])
def test_one_wrong_engine_among_several_is_not_lost_in_the_mean(options):
    policy, engine = build(*options)
    groups, _ = batch_of(engine, tasks=range(24))
    before = weights(policy)

    def both(**of_engine_1):
        found = [by_engine(g, (0, 1, 0, 0), **of_engine_1) for g in groups]
        return found, [(g, Pick(g.task.index, np.arange(4))) for g in found]

    with pytest.raises(CanaryError, match=r"engine 1 \(of several, from 0\) does not sample .* is 0.002 nats"):
        update(policy, *both(logps=half_a_bound_off))
    assert torch.equal(weights(policy), before)
    assert update(policy, *both()).metrics["sync/logp_gap"] < 1e-4


@pytest.mark.parametrize("live", [True, False])
def test_an_engine_is_looked_at_whether_its_rollouts_are_trained_on_or_not(live):
    """Engine 0 has the live groups, engine 1 the dead ones."""
    policy, engine = build()
    groups, _ = batch_of(engine, tasks=range(24))
    dead = tuple(Verdict(1.0, True) for _ in range(4))

    def divided(**of_engine_1):
        found = [by_engine(g, (i % 2,) * 4, **of_engine_1) for i, g in enumerate(groups)]
        found = [replace(g, verdicts=dead) if i % 2 or not live else g for i, g in enumerate(found)]
        return found, [(g, Pick(g.task.index, np.arange(4))) for g in found]

    with pytest.raises(CanaryError, match=r"engine 1 .* does not sample .* is 0.001"):
        update(policy, *divided(logps=half_a_bound_off))
    with pytest.raises(CanaryError, match="sampled version -1, the policy is at 0"):
        update(policy, *divided(version=lambda _: -1))
    info = update(policy, *divided())
    assert info.metrics["sync/logp_gap"] < 1e-4 and info.metrics["train/live_rollouts"] == (48 if live else 0)


def test_a_token_or_two_of_an_engine_do_not_stop_a_run():
    policy, engine = build()
    groups, picks = batch_of(engine, tasks=[0], rewards=(1, 0))
    update(policy, groups, picks)  # no error
    few = policy.canary.max_gap * 31
    totals = Totals(policy.device)
    one = torch.tensor([few])
    totals.add_sync(one, torch.zeros(1), one.exp(), torch.tensor([True]), torch.zeros(1, dtype=torch.int64))
    policy.canary.check(totals, 0)  # as the mean of 32 tokens, of which 31 agree
    totals.add_sync(2 * one, torch.zeros(1), one.exp(), torch.tensor([True]), torch.zeros(1, dtype=torch.int64))
    with pytest.raises(CanaryError):
        policy.canary.check(totals, 0)


def test_an_engine_that_says_itself_that_it_is_behind_is_caught():
    policy, engine = build()
    groups, picks = batch_of(engine)
    update(policy, groups, picks)
    groups, _ = batch_of(engine, step=2)
    with pytest.raises(CanaryError, match="sampled version 0, the policy is at 1"):
        update(policy, groups, picks)


def test_in_bfloat16_the_engine_follows_and_a_merged_copy_is_refused():
    policy, engine = build("model.dtype=bfloat16")
    assert not engine.merged
    for step in range(3):
        groups, picks = batch_of(engine, step=step)
        assert update(policy, groups, picks).metrics["sync/logp_gap"] < 0.01
        engine.sync(policy)
    with pytest.raises(InputError, match="round most of the adapter away"):
        build("model.dtype=bfloat16", "engine.merged=true")


def test_an_engine_that_never_follows_is_caught_in_bfloat16():
    policy, _ = build("model.dtype=bfloat16")
    frozen, engine = build("model.dtype=bfloat16")
    with pytest.raises(CanaryError):
        for step in range(12):
            engine.version = policy.version
            groups, picks = batch_of(engine, step=step)
            update(policy, groups, picks)
    assert frozen.version == 0


def test_the_token_loss_of_carried_groups_alone_divides_by_their_own_length():
    policy, engine = build("algo.loss=token")
    groups, picks = batch_of(engine)
    options = {"prompts": policy.prompts, "version": 1, "algo": policy.algo, "group_size": 4, "target_groups": 6}
    beside, alone = (rows_of(picks, made, max_new_tokens=24, **options)[0] for made in (groups, []))
    assert [r.weight for r in alone] == [r.weight for r in beside]
    mean = np.mean([len(c.tokens) for g in groups for c in g.completions])
    assert alone[0].weight == pytest.approx(1 / (6 * 4 * mean))


def test_weights_move_shares_and_not_the_size_of_the_batch():
    policy, engine = build()
    groups, picks = batch_of(engine)
    options = {"prompts": policy.prompts, "version": 1, "algo": policy.algo, "group_size": 4, "target_groups": 6}

    def by_group(weights):
        weighted = [(g, replace(p, weight=w)) for (g, p), w in zip(picks, weights, strict=True)]
        rows = rows_of(weighted, groups, max_new_tokens=24, **options)[0]
        return np.array([sum(r.weight * len(r.tokens) for r in rows[i : i + 4]) for i in range(0, 24, 4)])

    even = by_group([1.0] * 6)
    np.testing.assert_allclose(by_group([3.0] * 6), even)
    uneven = by_group([1, 1, 2, 2, 4, 8])
    np.testing.assert_allclose(uneven / uneven[0], [1, 1, 2, 2, 4, 8])
    np.testing.assert_allclose(uneven.sum(), even.sum())


def test_training_raises_the_rewarded_completions():
    policy, engine = build()
    groups, picks = batch_of(engine)
    rows = _rows(policy, groups)
    before = [float(x.sum()) for x in policy.logps(rows)]
    for _ in range(3):
        update(policy, [], picks)
    after = [float(x.sum()) for x in policy.logps(rows)]
    gain = np.array(after) - np.array(before)
    rewarded = np.tile([True, False, False, True], 6)
    assert gain[rewarded].mean() > 0.1 > gain[~rewarded].mean()


def _rows(policy, groups):
    return [row_of(g, i, policy.prompts, policy.version) for g in groups for i in range(len(g.completions))]


def test_minibatches_and_epochs_take_every_rollout_and_check_the_engine_first():
    delta, info = moved("algo.epochs=2", "algo.minibatches=3")
    assert delta.any() and info.metrics["train/live_rollouts"] == 24
    assert info.metrics["sync/logp_gap"] < 1e-4
    assert info.metrics["train/clip_low"] + info.metrics["train/clip_high"] > 0  # off-policy from the second pass on


def test_minibatches_that_find_no_row_do_not_enlarge_the_others():
    def two_rows(groups, picks):
        return [(groups[0], Pick(groups[0].task.index, np.array([0, 1]), baseline=0.5))]

    two, eight = (gradient(f"algo.minibatches={n}", batch=two_rows) for n in (2, 8))
    assert torch.equal(two, eight)


def test_a_first_step_that_finds_no_memory_leaves_nothing_behind(monkeypatch, tmp_path):
    policy, engine = build()
    groups, picks = batch_of(engine)
    before, made, real = weights(policy), [], torch.zeros_like

    def third_fails(*args, **kwargs):
        made.append(1)
        if len(made) == 3:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(*args, **kwargs)

    def step(*_):
        with monkeypatch.context() as patch:
            patch.setattr(torch, "zeros_like", third_fails)
            return type(policy.optimizer).step(policy.optimizer)

    with monkeypatch.context() as patch, pytest.raises(torch.OutOfMemoryError):
        patch.setattr(policy.optimizer, "step", step)
        update(policy, groups, picks)
    assert len(made) == 3 and torch.equal(weights(policy), before) and not policy.optimizer.state
    policy.save(tmp_path)
    again, _ = build()
    again.load(tmp_path)
    for each in (policy, again):
        update(each, groups, picks)
        assert torch.equal(weights(each) - before, moved()[0])


def test_a_step_that_fails_halfway_is_taken_back(monkeypatch):
    policy, engine = build("algo.minibatches=3")
    groups, picks = batch_of(engine)
    update(policy, groups, picks)
    engine.sync(policy)
    groups, picks = batch_of(engine, step=2)
    before, steps, real = weights(policy), [], policy._optimise

    def second_fails(*args):
        steps.append(1)
        if len(steps) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return real(*args)

    monkeypatch.setattr(policy, "_optimise", second_fails)
    moments = [state["exp_avg"].clone() for state in policy.optimizer.state.values()]
    with pytest.raises(torch.OutOfMemoryError):
        update(policy, groups, picks)
    assert len(steps) == 2 and torch.equal(weights(policy), before) and policy.version == 1
    now = [state["exp_avg"] for state in policy.optimizer.state.values()]
    assert all(torch.equal(a, b) for a, b in zip(moments, now, strict=True))


def test_kl_pulls_on_groups_without_variance():
    """At the start the policy is the base, so k3 is flat; after a push it pulls back."""
    policy, engine = build("algo.kl=1.0")
    groups, picks = batch_of(engine)
    update(policy, groups, picks)
    flat = [(Group(g.task, g.completions, tuple(Verdict(1.0, True) for _ in range(4)), 1), p) for g, p in picks]
    info = update(policy, [], flat)
    assert info.metrics["train/live_rollouts"] == 0 and info.metrics["train/kl"] > 0
    assert info.metrics["train/grad_norm"] > 0


def test_the_learning_rate_warms_up_by_rollouts():
    policy, engine = build("algo.warmup_rollouts=1000", "algo.lr=1e-3")
    groups, picks = batch_of(engine)
    assert update(policy, groups, picks, rollouts=250).metrics["train/lr"] == pytest.approx(2.5e-4)
    assert update(policy, [], picks, rollouts=5000).metrics["train/lr"] == pytest.approx(1e-3)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")  # the infinite reward's own
def test_a_non_finite_loss_skips_the_step_and_stops_the_run_when_it_persists():
    policy, engine = build("algo.max_bad_steps=2")
    groups, picks = batch_of(engine, rewards=(1, 0, 0, np.inf))
    before = weights(policy)
    assert update(policy, groups, picks).metrics["train/skipped"] == 1
    assert torch.equal(weights(policy), before)
    with pytest.raises(NonFiniteError, match="2 consecutive steps"):
        update(policy, [], picks)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
def test_one_bad_minibatch_is_one_bad_step():
    policy, engine = build("algo.minibatches=4", "algo.max_bad_steps=2")
    groups, picks = batch_of(engine)
    broken = Group(groups[0].task, groups[0].completions, tuple(Verdict(s, False) for s in (np.inf, 0, 0, 1)), 1)
    before = weights(policy)
    info = update(policy, groups, [(broken, picks[0][1]), *picks[1:]])
    assert 1 <= info.metrics["train/skipped"] <= 4 and policy.bad_steps == 1
    assert info.metrics["train/skipped"] == 4 or not torch.equal(weights(policy), before)


def test_weights_that_are_not_finite_skip_and_then_stop_and_do_not_accuse_the_engine():
    policy, engine = build("algo.max_bad_steps=2")
    groups, picks = batch_of(engine)
    with torch.no_grad():
        policy.parameters[-1].fill_(float("nan"))
    assert update(policy, groups, picks).metrics["train/skipped"] == 1
    with pytest.raises(NonFiniteError):
        update(policy, [], picks)


def test_equal_seeds_start_from_equal_adapters_and_others_do_not():
    a, b, c = (weights(build(f"seed={s}")[0]) for s in (0, 0, 1))
    assert torch.equal(a, b) and not torch.equal(a, c)


def test_a_saved_policy_goes_on_exactly(tmp_path):
    policy, engine = build()
    groups, picks = batch_of(engine)
    update(policy, groups, picks)
    policy.save(tmp_path)
    again, _ = build("seed=5")
    again.load(tmp_path)
    assert torch.equal(weights(again), weights(policy)) and again.version == 1
    update(policy, [], picks)
    update(again, [], picks)
    assert torch.equal(weights(again), weights(policy))
