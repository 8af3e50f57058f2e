"""The MPTS network against the authors' numbers, and the learner against a plain loop."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from rftlab.core import InputError
from rftlab.samplers.networks import flat, risk
from rftlab.samplers.networks.learner import Batch, Recipe, RiskLearner

VECTORS = json.loads((Path(__file__).parents[1] / "data" / "mpts.json").read_text())
FORWARD = VECTORS["forward"]
NAMES = {  # our layer: the release's
    "encoder.0": "xy_to_r.input_to_hidden.0",
    "encoder.1": "xy_to_r.input_to_hidden.2",
    "encoder.2": "xy_to_r.input_to_hidden.4",
    "encoder.pooled": "r_to_mu_sigma.r_to_hidden",
    "encoder.mu": "r_to_mu_sigma.hidden_to_mu",
    "encoder.sigma": "r_to_mu_sigma.hidden_to_sigma",
    "decoder.0": "xz_to_y.xz_to_hidden.0",
    "decoder.1": "xz_to_y.xz_to_hidden.2",
    "decoder.2": "xz_to_y.xz_to_hidden.4",
    "decoder.out": "xz_to_y.hidden_to_mu",
}
BASE = {
    "z_dim": 4, "hidden": 8, "likelihood": "mse", "reduction": "mean", "beta": 0.1, "lr": 1e-2, "updates_per_step": 3,
    "n_z_train": 2, "prior": "streaming", "prior_update": "per_train_step", "context": "last_batch",
}  # fmt: skip


def layers(x: int, z: int, h: int) -> flat.Layers:
    return {**risk.encoder_layers(x, z, h), **risk.decoder_layers(x, z, h)}


def recipe(**changed) -> Recipe:
    return Recipe(**{**BASE, **changed})


def batch(seed: int, rows: int = 5, x: int = 3) -> Batch:
    rng = np.random.default_rng(seed)
    f32 = np.float32
    return Batch(rng.normal(size=(rows, x)).astype(f32), rng.random(rows).astype(f32), np.full(rows, 8, f32))


@pytest.fixture(scope="module")
def weights() -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    states = FORWARD["state_dict"]
    return {
        ours: (torch.tensor(states[f"{theirs}.weight"]), torch.tensor(states[f"{theirs}.bias"]))
        for ours, theirs in NAMES.items()
    }


@pytest.fixture(scope="module")
def posterior(weights) -> tuple[torch.Tensor, torch.Tensor]:
    x, y = torch.tensor(FORWARD["X"]), torch.tensor(FORWARD["Y"])
    return risk.encode(weights, x, y, torch.full((1, 16), 1 / 16))


def near(found, wanted: str, **tolerance) -> None:
    np.testing.assert_allclose(np.asarray(found), FORWARD[wanted], **{"rtol": 2e-5, "atol": 1e-6, **tolerance})


@pytest.mark.parametrize("case", VECTORS["parameters"], ids=lambda c: str(c["count"]))
def test_the_network_has_the_authors_size(case) -> None:
    x, z, h = case["x_dim"], case["z_dim"], case["h_dim"]
    untrained_head = h + 1  # of the decoder's deviation: no loss reads it in the release, and ours leaves it out
    assert flat.size(layers(x, z, h)) + untrained_head == case["count"]


def test_the_posterior_and_the_predictions_are_the_authors(weights, posterior) -> None:
    mu, sigma = posterior
    near(mu, "mu")
    near(sigma, "sigma")
    z = mu + sigma * torch.tensor(FORWARD["eps"])
    near(z, "z")
    near(risk.decode(weights, torch.tensor(FORWARD["X"]), z), "pred_context")
    near(risk.decode(weights, torch.tensor(FORWARD["candidates"]), z), "pred_candidates")


def test_the_losses_are_the_authors(weights, posterior) -> None:
    mu, sigma = posterior
    x, y = torch.tensor(FORWARD["X"]), torch.tensor(FORWARD["Y"])
    output = risk.decode(weights, x, torch.tensor(FORWARD["z"]))
    near(risk.reconstruction(output, y, y, "mse", "sum"), "recon_sum_of_mean")
    near(risk.reconstruction(output[:1], y, y, "mse", "mean"), "recon_mean_first_sample")
    near(risk.divergence(mu, sigma, torch.zeros(1, 10), torch.ones(1, 10)), "kl_to_standard_normal")
    near(risk.divergence(mu, sigma, torch.full((1, 10), 0.1), torch.full((1, 10), 0.5)), "kl_to_N_0p1_0p5")


def test_the_first_kl_of_the_authors_run_on_standardised_outcomes(weights) -> None:
    x, y = torch.tensor(FORWARD["X"]), torch.tensor(FORWARD["Y"])
    mu, sigma = risk.encode(weights, x, (y - y.mean()) / (y.std() + 1e-8), torch.full((1, 16), 1 / 16))
    kl = risk.divergence(mu, sigma, torch.zeros(1, 10), torch.ones(1, 10))
    assert float(kl) == pytest.approx(VECTORS["first_kl_standardised_y"], rel=1e-6)


def test_the_binomial_loss_is_the_likelihood_of_the_counts() -> None:
    logit, wins, trials = [0.3, -1.2], [3, 1], [8, 4]
    p = 1 / (1 + np.exp(-np.array(logit)))
    wanted = [-(k * np.log(q) + (n - k) * np.log(1 - q)) for k, n, q in zip(wins, trials, p, strict=True)]
    rate, n = torch.tensor(wins) / torch.tensor(trials), torch.tensor(trials)
    found = [risk.reconstruction(torch.tensor([logit]), rate, n, "binomial", r).item() for r in ("sum", "mean")]
    assert found == pytest.approx([sum(wanted), sum(wanted) / 2])


def test_the_order_of_the_context_does_not_matter(weights, posterior) -> None:
    order = torch.from_numpy(np.random.default_rng(0).permutation(16))
    x, y = torch.tensor(FORWARD["X"])[order], torch.tensor(FORWARD["Y"])[order]
    for found, wanted in zip(risk.encode(weights, x, y, torch.full((1, 16), 1 / 16)), posterior, strict=True):
        torch.testing.assert_close(found, wanted)


def test_two_contexts_are_pooled_apart(weights) -> None:
    x, y = torch.tensor(FORWARD["X"]), torch.tensor(FORWARD["Y"])
    pooling = torch.zeros(2, 16)
    pooling[0, :6], pooling[1, 6:] = 1 / 6, 1 / 10
    both = risk.encode(weights, x, y, pooling)[0]
    for row, part in enumerate((slice(0, 6), slice(6, 16))):
        rows = len(x[part])
        alone = risk.encode(weights, x[part], y[part], torch.full((1, rows), 1 / rows))[0]
        torch.testing.assert_close(both[row : row + 1], alone)


def test_no_divergence_from_itself(posterior) -> None:
    assert risk.divergence(*posterior, *posterior).item() == pytest.approx(0, abs=1e-6)


def test_a_decoder_that_ignores_z_has_no_spread(weights) -> None:
    weight, bias = weights["decoder.0"]
    deaf = weights | {"decoder.0": (torch.cat([weight[:, :2], 0 * weight[:, 2:]], 1), bias)}
    x, z = torch.tensor(FORWARD["candidates"]), torch.tensor(FORWARD["z"])
    assert risk.decode(deaf, x, z).std(0).max() == 0 < risk.decode(weights, x, z).std(0).min()


def test_adam_is_torchs() -> None:
    rng = np.random.default_rng(0)
    theta = rng.normal(size=50).astype(np.float32)
    wanted = torch.nn.Parameter(torch.from_numpy(theta.copy()))
    optimiser = torch.optim.Adam([wanted], lr=3e-3)
    moments = np.zeros_like(theta), np.zeros_like(theta)
    for step in range(1, 30):
        gradient = rng.normal(size=50).astype(np.float32)
        wanted.grad = torch.from_numpy(gradient.copy())
        optimiser.step()
        flat.adam(theta, gradient, *moments, step, 3e-3)
    np.testing.assert_allclose(theta, wanted.detach().numpy(), rtol=1e-5, atol=1e-6)


def test_fresh_weights_have_the_law_of_torchs_linear() -> None:
    shape = {"a": (400, 25), "b": (3, 100)}
    pieces = flat.unflatten(torch.from_numpy(flat.initial(shape, np.random.default_rng(0))), shape)
    for weight, bias in pieces.values():
        bound = 1 / np.sqrt(weight.shape[1])
        assert weight.abs().max() <= bound and bias.abs().max() <= bound
        assert weight.std().item() == pytest.approx(bound / np.sqrt(3), rel=0.1)


@pytest.mark.parametrize("update", ["per_train_step", "per_grad_step"])
def test_training_is_the_loop_that_the_equations_say(update) -> None:
    """Three gradient steps, written out with torch's own layers, optimiser and distributions."""
    told = batch(1)
    learner = RiskLearner(3, recipe(prior_update=update))
    learner.train([told], np.random.default_rng(7))
    rng = np.random.default_rng(7)
    theta = torch.nn.Parameter(torch.from_numpy(flat.initial(learner.layers, rng)))
    optimiser = torch.optim.Adam([theta], lr=1e-2)
    prior = torch.distributions.Normal(torch.zeros(4), torch.ones(4))
    x, y = torch.from_numpy(told.x), torch.from_numpy(told.y)
    for _ in range(3):
        w = flat.unflatten(theta, learner.layers)
        q = torch.distributions.Normal(*(v[0] for v in risk.encode(w, x, y, torch.full((1, 5), 0.2))))
        z = q.loc + q.scale * torch.from_numpy(rng.standard_normal((2, 1, 4), np.float32))
        rows = torch.cat([x.expand(2, 5, 3), z.expand(2, 5, 4)], -1)
        for name in ("decoder.0", "decoder.1", "decoder.2"):
            rows = torch.nn.functional.linear(rows, *w[name]).relu()
        output = torch.nn.functional.linear(rows, *w["decoder.out"])[..., 0]
        loss = ((output.mean(0) - y) ** 2).mean() + 0.1 * torch.distributions.kl_divergence(q, prior).sum()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        if update == "per_grad_step":
            prior = torch.distributions.Normal(q.loc.detach(), q.scale.detach())
    np.testing.assert_allclose(learner.theta, theta.detach().numpy(), atol=2e-5)
    if update == "per_train_step":
        w = flat.unflatten(theta.detach(), learner.layers)
        prior = torch.distributions.Normal(*(v[0] for v in risk.encode(w, x, y, torch.full((1, 5), 0.2))))
    np.testing.assert_allclose(learner.mu[0], prior.loc.numpy(), atol=1e-4)


def test_per_grad_step_forgets_the_prior_within_a_batch() -> None:
    """The release's KL falls to nearly 0 at the second inner step; as a filter over batches it does not."""
    kl = {}
    for update in ("per_grad_step", "per_train_step"):
        learner = RiskLearner(3, recipe(prior_update=update, updates_per_step=2, lr=1e-3, beta=1e-4))
        kl[update] = learner.train([batch(1)], np.random.default_rng(0))["kl"]
    assert kl["per_grad_step"] < 0.02 * kl["per_train_step"]


def test_the_prior_filters_over_batches() -> None:
    learner = RiskLearner(3, recipe())
    learner.train([batch(1)], np.random.default_rng(0))
    np.testing.assert_array_equal(learner.mu, learner.belief([batch(1)])[0])
    assert learner.belief([batch(2)])[0].tolist() != learner.mu.tolist()


def test_the_context_may_be_all_that_is_replayed() -> None:
    for context, changes in (("last_batch", False), ("replay", True)):
        learner = RiskLearner(3, recipe(context=context))
        learner.train([batch(1)], np.random.default_rng(0))
        with_older = learner.belief([batch(3), batch(2)])[0]
        assert (with_older.tolist() != learner.belief([batch(2)])[0].tolist()) is changes


def test_a_learned_prior_reads_the_batch_before() -> None:
    told = [batch(1), batch(2, rows=7), batch(3)]
    kl = {}
    for updates in (1, 60):
        learner = RiskLearner(3, recipe(prior="learned", updates_per_step=updates, z_dim=16, hidden=16))
        kl[updates] = learner.train(told, np.random.default_rng(0))["kl"]
        before, after = learner.belief(told[:1])[0], learner.belief(told[:2])[0]
        assert before.tolist() != after.tolist()
        np.testing.assert_array_equal(learner.belief([told[2], told[0]])[0], before)
    assert kl[60] < kl[1] / 2  # both encoders have moved towards each other


def test_a_learned_prior_starts_from_the_standard_normal() -> None:
    learner = RiskLearner(3, recipe(prior="learned", updates_per_step=1))
    told = batch(1)
    found = learner.train([told], np.random.default_rng(0))
    w = flat.unflatten(torch.from_numpy(flat.initial(learner.layers, np.random.default_rng(0))), learner.layers)
    q = risk.encode(w, torch.from_numpy(told.x), torch.from_numpy(told.y), torch.full((1, 5), 0.2))
    wanted = risk.divergence(*q, torch.zeros(1, 4), torch.ones(1, 4))
    assert found["kl"] == pytest.approx(wanted.item(), rel=1e-5)


def test_a_learned_prior_is_trained_batch_by_batch() -> None:
    """One gradient step, each batch on its own: decoded under its own z, its prior read from the batch before."""
    told = [batch(1), batch(2, rows=7), batch(3)]
    learner = RiskLearner(3, recipe(prior="learned", updates_per_step=1, n_z_train=1, beta=1.0))
    learner.train(told, np.random.default_rng(0))
    rng = np.random.default_rng(0)
    theta = torch.nn.Parameter(torch.from_numpy(flat.initial(learner.layers, rng)))
    noise = torch.from_numpy(rng.standard_normal((1, 2, 4), np.float32))
    w = flat.unflatten(theta, learner.layers)

    def read(b: Batch, name: str) -> torch.distributions.Normal:
        pooling = torch.full((1, len(b.y)), 1 / len(b.y))
        return torch.distributions.Normal(*risk.encode(w, torch.from_numpy(b.x), torch.from_numpy(b.y), pooling, name))

    square, kl = torch.zeros(()), torch.zeros(())
    for i in (1, 2):
        q, before = read(told[i], "encoder"), read(told[i - 1], "prior")
        output = risk.decode(w, torch.from_numpy(told[i].x), (q.loc + q.scale * noise[0, i - 1])[None])
        square = square + ((output[0] - torch.from_numpy(told[i].y)) ** 2).sum()
        kl = kl + torch.distributions.kl_divergence(q, before).sum()
    (square / 12 + kl / 2).backward()
    torch.optim.Adam([theta], lr=1e-2).step()
    np.testing.assert_allclose(learner.theta, theta.detach().numpy(), atol=1e-5)


def test_outputs_in_chunks_are_those_of_one_pass(monkeypatch) -> None:
    learner = RiskLearner(3, recipe())
    learner.train([batch(1)], np.random.default_rng(0))
    x, z = batch(2, rows=50).x, learner.draws([batch(1)], 4, np.random.default_rng(1))
    whole = learner.outputs(x, z)
    monkeypatch.setattr("rftlab.samplers.networks.learner.CHUNK", 28)
    np.testing.assert_allclose(learner.outputs(x, z), whole, rtol=1e-5, atol=1e-6)
    assert whole.shape == (4, 50)


def test_training_leaves_torchs_generator_and_threads_alone() -> None:
    threads, trained = torch.get_num_threads(), []
    for seed in (1, 2):
        state = torch.manual_seed(seed).get_state()
        learner = RiskLearner(3, recipe())
        learner.train([batch(1)], np.random.default_rng(0))
        trained.append(learner.draws([batch(1)], 2, np.random.default_rng(0)).tolist())
        assert torch.equal(torch.get_rng_state(), state) and torch.get_num_threads() == threads
    assert trained[0] == trained[1]


def test_a_state_of_another_width_is_refused() -> None:
    state = RiskLearner(3, recipe(hidden=16)).state_dict()
    with pytest.raises(InputError, match="theta has shape"):
        RiskLearner(3, recipe()).load_state_dict(state)


def test_importing_the_selectors_does_not_import_torch() -> None:
    code = (
        "import sys; import rftlab.samplers.selectors.mpts, rftlab.samplers.selectors.dots;"
        "import rftlab.samplers.selectors.pcl; assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
