"""The simulated learner: keyed outcomes, a world that learns from variance only, and the whole loop's pieces on it."""

from dataclasses import replace

import numpy as np
import pytest

from rftlab.core import Budget, Finish, Group, InputError, Pick, StepContext, Verdict
from rftlab.engines.base import Job, Sampling
from rftlab.engines.sim import SimEngine
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.uniform import Uniform
from rftlab.testing import make_pool
from rftlab.verifiers.exact import Exact
from rftlab.verifiers.number import Number

TRAIN, EVAL = make_pool(40), make_pool(30, seed=1)
SAMPLING = Sampling(max_new_tokens=24)


def engine_of(**knobs) -> SimEngine:
    return SimEngine(**{"pools": [TRAIN, EVAL], "seed": 0} | knobs)


def passes(engine: SimEngine, jobs: list[Job], sampling=SAMPLING, stream=("train", 0, 0)) -> list[list[bool]]:
    return [
        [c.text == j.task.answer for c in done]
        for j, done in zip(jobs, engine.generate(jobs, sampling, stream), strict=True)
    ]


def group(task, passed: list[bool]) -> Group:
    done = engine_of().generate([Job(task, 0, len(passed))], SAMPLING, ("x",))[0]
    return Group(task, tuple(done), tuple(Verdict(float(p), p) for p in passed), 0)


def learn(engine: SimEngine, *groups: Group, target_groups: int = 1):
    batch = [(g, Pick(g.task.index, np.arange(len(g.verdicts)))) for g in groups]
    return engine.update(batch, list(groups), group_size=8, target_groups=target_groups, rollouts=8)


def test_rollouts_depend_on_stream_task_and_ordinal_only() -> None:
    engine = engine_of()
    whole = engine.generate([Job(t, 0, 6) for t in TRAIN.tasks], SAMPLING, ("train", 0, 3))
    parts = engine.generate([Job(TRAIN.tasks[7], 2, 3), Job(TRAIN.tasks[1], 0, 1)], SAMPLING, ("train", 0, 3))
    assert [(c.text, len(c.tokens)) for c in parts[0]] == [(c.text, len(c.tokens)) for c in whole[7][2:5]]
    other = engine.generate([Job(t, 0, 6) for t in TRAIN.tasks], SAMPLING, ("train", 0, 4))
    assert [[c.text for c in g] for g in whole] != [[c.text for c in g] for g in other]


def test_pass_rates_are_the_truth() -> None:
    engine = engine_of()
    found = np.mean(passes(engine, [Job(t, 0, 400) for t in TRAIN.tasks]), axis=1)
    np.testing.assert_allclose(found, engine.truth(), atol=0.11)  # 4.4 standard errors at p = 1/2
    assert abs(found.mean() - engine.truth().mean()) < 0.01


def test_evaluation_tasks_are_known_and_follow_the_same_skills() -> None:
    easy = replace(EVAL, level=np.ones(30))
    hard = replace(EVAL, level=np.full(30, 9.0))
    rates = [np.mean(passes(engine_of(pools=[TRAIN, p]), [Job(t, 0, 20) for t in EVAL.tasks])) for p in (easy, hard)]
    assert rates[0] > 0.6 and rates[1] < 0.1


def test_static_rates_are_met_and_never_move() -> None:
    rates = np.linspace(0, 1, 40)
    engine = engine_of(world="static", rates=rates.tolist())
    np.testing.assert_allclose(engine.truth(), rates, atol=1e-12)
    learn(engine, group(TRAIN.tasks[20], [True, False]))
    np.testing.assert_allclose(engine.truth(), rates, atol=1e-12)
    assert engine.version == 1
    done = passes(engine, [Job(TRAIN.tasks[0], 0, 50), Job(TRAIN.tasks[39], 0, 50)])
    assert not any(done[0]) and all(done[1])


def test_groups_without_variance_teach_nothing() -> None:
    engine = engine_of()
    before = engine.truth()
    info = learn(engine, group(TRAIN.tasks[0], [True] * 8), group(TRAIN.tasks[1], [False] * 8))
    np.testing.assert_array_equal(engine.truth(), before)
    assert info.metrics["train/live_rollouts"] == 0 and info.abs_advantage == {0: 0.0, 1: 0.0}


def test_a_mixed_group_raises_its_category_by_the_stated_step_and_others_by_the_transfer() -> None:
    engine = engine_of(lr=2.0, transfer=0.25)
    before = engine.skill.copy()
    info = learn(engine, group(TRAIN.tasks[3], [True] * 2 + [False] * 6), target_groups=4)
    gain = 2.0 * (0.25 * 0.75) / 4  # the mean of A (y - p) is the variance of y, whatever p is
    own = engine.category[3]
    expected = np.where(np.arange(3) == own, gain, 0.25 * gain)
    np.testing.assert_allclose(engine.skill - before, expected, rtol=1e-9)
    assert info.abs_advantage == {3: pytest.approx(2 * 0.25 * 0.75)}


def test_a_given_baseline_replaces_the_mean() -> None:
    engine = engine_of()
    g = group(TRAIN.tasks[3], [True] * 4)
    engine.update([(g, Pick(3, np.arange(4), baseline=0.5))], [g], group_size=4, target_groups=1, rollouts=4)
    assert (engine.skill > engine_of().skill).all()


def test_temperature_zero_gives_the_likelier_outcome_and_heat_evens_it_out() -> None:
    engine = engine_of(world="static", rates=np.tile([0.3, 0.8], 20).tolist())
    jobs = [Job(t, 0, 200) for t in TRAIN.tasks[:2]]
    cold = passes(engine, jobs, Sampling(24, temperature=0.0))
    assert not any(cold[0]) and all(cold[1])
    hot = np.mean(passes(engine, jobs, Sampling(24, temperature=20.0)), axis=1)
    np.testing.assert_allclose(hot, 0.5, atol=0.12)


def test_lengths_fit_and_only_failures_are_cut_off() -> None:
    done = engine_of().generate([Job(t, 0, 50) for t in TRAIN.tasks], SAMPLING, ("train", 0, 0))
    flat = [(c, t) for t, g in zip(TRAIN.tasks, done, strict=True) for c in g]
    lengths = np.array([len(c.tokens) for c, _ in flat])
    assert lengths.min() >= 1 and lengths.max() == 24 and np.median(lengths) == pytest.approx(12, abs=1)
    cut = [c.text == t.answer for c, t in flat if c.finish is Finish.LENGTH]
    assert cut and not any(cut)


@pytest.mark.parametrize("verifier", [Exact(), Number()], ids=["exact", "number"])
def test_verifiers_agree_with_what_was_meant(verifier) -> None:
    pool = replace(TRAIN, tasks=tuple(replace(t, answer="42") for t in TRAIN.tasks))
    engine = SimEngine(pools=[pool], seed=0)
    texts = [(c.text, t) for t in pool.tasks for c in engine.generate([Job(t, 0, 4)], SAMPLING, ("e",))[0]]
    verdicts = [verifier.grade(text, task) for text, task in texts]
    assert all(v.valid for v in verdicts)
    assert [v.passed for v in verdicts] == [text == "42" for text, _ in texts]
    assert {v.passed for v in verdicts} == {True, False}


def test_saved_and_loaded_it_goes_on_exactly(tmp_path) -> None:
    engine = engine_of()
    learn(engine, group(TRAIN.tasks[3], [True, False]))
    engine.save(tmp_path / "learner")
    other = engine_of(seed=5)
    other.load(tmp_path / "learner")
    np.testing.assert_array_equal(other.truth(), engine.truth())
    assert other.version == engine.version == 1
    engine.save_weights(tmp_path / "weights")
    assert (tmp_path / "weights" / "sim.npz").is_file()
    one = SimEngine(pools=[replace(TRAIN, category=None)], seed=0)
    with pytest.raises(InputError, match="3 skills, this dataset has 1"):
        one.load(tmp_path / "learner")


def test_pools_without_levels_and_categories_make_a_world_too() -> None:
    plain = replace(TRAIN, category=None, categories=(), level=None)
    rates = SimEngine(pools=[plain], seed=0).truth()
    assert rates.min() < 0.1 and rates.max() > 0.5


def test_seeds_differ_in_skill_and_agree_on_the_tasks() -> None:
    a, b = engine_of(seed=0), engine_of(seed=1)
    assert not np.array_equal(a.skill, b.skill)
    np.testing.assert_array_equal(a.difficulty, b.difficulty)


@pytest.mark.parametrize(
    ("knobs", "words"),
    [
        ({"world": "flat"}, "engine.world=flat"),
        ({"rates": [0.5] * 40}, "engine.world=static"),
        ({"world": "static", "rates": [0.5]}, "wanted 40 pass rates"),
        ({"world": "static", "rates": [1.5] * 40}, "wanted 40 pass rates"),
    ],
)
def test_a_world_that_cannot_be_is_named(knobs, words) -> None:
    with pytest.raises(InputError, match=words):
        engine_of(**knobs)


def test_a_sampler_and_the_world_learn_together() -> None:
    engine, verifier = engine_of(), Exact()
    sampler = TaskSampler(TRAIN, Uniform(), Fixed(), All(), group_size=8)
    before = engine.truth().mean()
    for step in range(40):
        ctx = StepContext(step, engine.version, 8, 8, 0.0, Budget(256, 4), sampler.stats, 0, truth=engine.truth())
        generated = []
        while requests := sampler.ask(ctx):
            jobs = [Job(TRAIN.tasks[r.task], 0, r.n) for r in requests]
            done = engine.generate(jobs, SAMPLING, ("train", 0, step))
            groups = [
                Group(j.task, tuple(d), tuple(verifier.grade(c.text, j.task) for c in d), step)
                for j, d in zip(jobs, done, strict=True)
            ]
            sampler.tell(ctx, groups)
            generated += groups
        batch = sampler.batch(ctx)
        info = engine.update(batch, generated, group_size=8, target_groups=8, rollouts=64 * (step + 1))
        sampler.end_step(ctx, info)
    assert engine.truth().mean() > before + 0.05
