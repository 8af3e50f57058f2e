"""The loss, against numbers worked out by hand and against autograd."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rftlab import grpo


def test_group_std_advantages_are_standard_scores():
    a = grpo.advantages(np.array([1.0, 0, 0, 0]), scale="group_std")
    std = np.sqrt(3) / 4
    assert np.allclose(a, [0.75 / std, -0.25 / std, -0.25 / std, -0.25 / std], rtol=1e-5)


def test_group_mean_advantages_are_not_divided():
    assert grpo.advantages(np.array([1.0, 0, 0, 0]), scale="group_mean").tolist() == [0.75, -0.25, -0.25, -0.25]


def test_a_given_baseline_replaces_mean_and_std():
    assert grpo.advantages(np.array([1.0, 0.0]), scale="group_std", baseline=0.1).tolist() == [0.9, -0.1]


@given(st.floats(0, 1), st.integers(2, 64))
def test_equal_rewards_have_exactly_zero_advantage(score, n):
    for scale in ("group_std", "group_mean"):
        assert not grpo.advantages(np.full(n, score), scale=scale).any()


def test_the_denominator_is_fixed_whatever_the_group_sizes():
    """1/(P G) sum_g (G / n_g) sum_i l_i: with l_i = 1 every group says 1/P."""
    for n in (2, 5, 8, 32):
        w = grpo.rollout_weight(
            length=7, picked=n, group_size=8, target_groups=4, loss="sequence", mean_tokens=3.0, max_new_tokens=24
        )
        assert n * 7 * w == pytest.approx(1 / 4)


def test_each_loss_divides_by_its_own_length():
    kw = {"length": 6, "picked": 8, "group_size": 8, "target_groups": 4, "mean_tokens": 3.0, "max_new_tokens": 24}
    weights = [grpo.rollout_weight(loss=loss, **kw) * 32 for loss in ("sequence", "token", "dr_grpo")]
    assert weights == pytest.approx([1 / 6, 1 / 3, 1 / 24])


def tokens(*values: float, grad: bool = False) -> torch.Tensor:
    return torch.tensor(values, requires_grad=grad)


def loss_of(logp, old, advantage, weight=None, **kw):
    options = {"clip_low": 0.2, "clip_high": 0.2} | kw
    return grpo.token_loss(logp, old, advantage, torch.ones_like(old) if weight is None else weight, **options)


def test_on_policy_the_gradient_is_the_policy_gradient():
    logp = tokens(-1.0, -2.0, -0.5, grad=True)
    loss_of(logp, logp.detach(), tokens(1.0, -2.0, 0.5)).loss.sum().backward()
    assert logp.grad.tolist() == [-1.0, 2.0, -0.5]


def test_the_importance_weight_multiplies_the_gradient():
    logp = tokens(-1.0, -1.0, grad=True)
    loss_of(logp, logp.detach(), tokens(1.0, 1.0), tokens(2.0, 0.25)).loss.sum().backward()
    assert logp.grad.tolist() == pytest.approx([-2.0, -0.25])


def test_importance_weights_are_by_token_or_the_product_over_a_rollout():
    old, engine = tokens(-1.0, -1.0, -1.0), tokens(-1.0 - np.log(5), -1.0 + np.log(4), -1.0 - np.log(3))
    row = torch.tensor([0, 0, 1])
    assert grpo.importance(old, engine, row, form="token").tolist() == pytest.approx([5, 1 / 4, 3])
    assert grpo.importance(old, engine, row, form="sequence").tolist() == pytest.approx([5 / 4, 5 / 4, 3])


def test_sequence_weights_estimate_another_policys_mean_without_bias():
    """E_engine[w f] = E_old[f] over rollouts of two tokens; by token it is not (the prefix is left out)."""
    rng = np.random.default_rng(0)
    engine, old = (
        rng.dirichlet(np.ones(3), 4),
        rng.dirichlet(np.ones(3), 4),
    )  # first token: row 0; second: row 1 + first
    value = rng.normal(size=(3, 3))
    found = {"token": 0.0, "sequence": 0.0}
    for a in range(3):
        for b in range(3):
            by = [torch.tensor(np.log([p[0, a], p[1 + a, b]]), dtype=torch.float32) for p in (old, engine)]
            for form in found:
                w = grpo.importance(*by, torch.zeros(2, dtype=torch.long), form=form)
                found[form] += engine[0, a] * engine[1 + a, b] * float(w[1]) * value[a, b]
    want = sum(old[0, a] * old[1 + a, b] * value[a, b] for a in range(3) for b in range(3))
    assert found["sequence"] == pytest.approx(want, rel=1e-5)
    assert found["token"] != pytest.approx(want, rel=1e-2)


def test_clipping_stops_the_gradient_on_the_far_side_only():
    old = tokens(-1.0, -1.0, -1.0, -1.0)
    logp = (old + torch.log(tokens(1.5, 1.5, 0.5, 0.5))).detach().requires_grad_()
    out = loss_of(logp, old, tokens(1.0, -1.0, 1.0, -1.0))
    out.loss.sum().backward()
    assert logp.grad.tolist() == pytest.approx([0.0, 1.5, -0.5, 0.0])
    assert out.clipped_high.tolist() == [True, False, False, False]
    assert out.clipped_low.tolist() == [False, False, False, True]


def test_k3_is_zero_at_the_base_and_its_gradient_pulls_back():
    logp = tokens(-1.0, -2.0, grad=True)
    out = loss_of(logp, logp.detach(), tokens(0.0, 0.0), ref_logp=tokens(-1.0, -1.0), kl=0.5)
    assert out.kl.tolist() == pytest.approx([0.0, np.e - 2])
    out.loss.sum().backward()
    assert logp.grad.tolist() == pytest.approx([0.0, 0.5 * (1 - np.e)])


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(1, 200), st.integers(1, 60))
def test_micro_batches_hold_every_row_once_within_the_bound(lengths, bound, apart):
    batches = grpo.micro_batches(lengths, bound, apart)
    assert sorted(i for b in batches for i in b) == list(range(len(lengths)))
    for b in batches:
        assert len(b) == 1 or len(b) * max(lengths[i] for i in b) <= bound
        assert len({lengths[i] <= apart for i in b}) == 1
