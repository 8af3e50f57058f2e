"""The composer's own rules: refill, clipping, carrying, falling short, faults, and what it refuses."""

import logging

import numpy as np
import pytest

from rftlab.core import Budget, Feedback, Group, InputError, Int, Need, Pick, Purpose, StepContext, UpdateInfo
from rftlab.samplers.admissions.balanced import Balanced
from rftlab.samplers.admissions.everything import All
from rftlab.samplers.admissions.nonzero_var import NonzeroVar
from rftlab.samplers.allocators.fixed import Fixed
from rftlab.samplers.base import Allocator
from rftlab.samplers.composer import TaskSampler
from rftlab.samplers.selectors.mopps import MoPPS
from rftlab.samplers.selectors.uniform import Uniform
from rftlab.testing import make_pool


class Recording(Uniform):
    """Uniform that remembers what it was told."""

    def bind(self, pool, group_size):
        super().bind(pool, group_size)
        self.heard: list[Feedback] = []
        self.taken: list[np.ndarray] = []

    def propose(self, m, ctx, taken):
        self.taken.append(taken)
        return super().propose(m, ctx, taken)

    def observe(self, fb, ctx):
        self.heard.append(fb)
        super().observe(fb, ctx)


class Chunks(Allocator):
    """Two, then two more, then enough."""

    def first(self, tasks: Int, ctx: StepContext) -> Int:
        return np.full(len(tasks), 2)

    def more(self, open: Feedback, ctx: StepContext) -> Int:
        return np.where(open.trials < 4, 2, 0)


def sampler_of(selector=None, allocator=None, admission=None, n=20, **more) -> TaskSampler:
    parts = selector or Recording(), allocator or Fixed(), admission or All()
    return TaskSampler(make_pool(n), *parts, group_size=4, **more)


def test_one_round_trains_on_what_was_asked_in_request_order(hand) -> None:
    sampler = sampler_of()
    rounds, batch = hand.step(sampler, hand.context(sampler), hand.right)
    assert len(rounds) == 1 and [r.n for r in rounds[0]] == [4] * 4
    assert [p.task for _, p in batch] == [r.task for r in rounds[0]]
    assert not sampler._step.underfilled and set(sampler.admitted.values()) == {True}


def test_refills_replace_rejected_groups_and_never_ask_for_a_task_again(hand) -> None:
    sampler = sampler_of(admission=NonzeroVar())
    ctx = hand.context(sampler)
    dead = [r.task for r in sampler.ask(ctx)][:2]
    hand.tell(sampler, ctx, sampler._step.asked, lambda r: hand.right(r) if r.task in dead else hand.mixed(r))
    refill = sampler.ask(ctx)
    assert len(refill) == 4  # two are missing and half of the groups were admitted
    assert sampler.selector.taken[1].sum() == 4 and not {r.task for r in refill} & set(dead)
    hand.tell(sampler, ctx, refill, hand.mixed)
    assert sampler.ask(ctx) == []
    batch = sampler.batch(ctx)
    assert len(batch) == 4 and not {p.task for _, p in batch} & set(dead)
    sampler.end_step(ctx, UpdateInfo())
    assert sampler.metrics()["sampler/rejected"] == 2 and sampler.metrics()["sampler/surplus"] == 2


def test_every_request_is_observed_once_with_what_was_trained_on(hand) -> None:
    sampler = sampler_of(admission=NonzeroVar())
    seen = {}

    def answer(request):
        seen[request.task] = len(seen) % 3 == 0
        return hand.mixed(request) if seen[request.task] else hand.right(request)

    rounds, batch = hand.step(sampler, hand.context(sampler), answer)
    (fb,) = sampler.selector.heard
    assert fb.tasks.tolist() == [r.task for turn in rounds for r in turn] and (fb.trials == 4).all()
    assert set(fb.tasks[fb.trained].tolist()) == {p.task for _, p in batch}


def test_the_budget_clips_in_request_order_and_clipped_tasks_were_never_opened(hand) -> None:
    sampler = sampler_of()
    ctx = hand.context(sampler, rollouts=11)  # 4 + 4 + 3
    rounds, batch = hand.step(sampler, ctx, hand.mixed)
    assert [r.n for r in rounds[0]] == [4, 4, 3] and ctx.left.rollouts == 0
    assert len(sampler.selector.heard[0]) == 3 and len(batch) == 3
    assert sampler._step.underfilled and sampler.metrics()["sampler/underfilled"] == 1


def test_a_task_is_not_opened_below_the_allocators_minimum(hand) -> None:
    sampler = sampler_of()
    rounds, _ = hand.step(sampler, hand.context(sampler, rollouts=9), hand.mixed)
    assert [r.n for r in rounds[0]] == [4, 4]  # one rollout is left, and one has no baseline


def test_more_and_refills_share_one_ask(hand) -> None:
    class OneStays(Chunks):
        def more(self, open, ctx):
            return np.where((open.trials < 4) & (open.wins > 0), 2, 0)

    sampler = sampler_of(allocator=OneStays(), admission=NonzeroVar())
    ctx = hand.context(sampler)
    first = sampler.ask(ctx)
    hand.tell(sampler, ctx, first, lambda r: [r.task == first[0].task] * r.n)
    second = sampler.ask(ctx)
    assert second[0] == first[0]
    assert len(second) == 1 + 4 * 3  # three are missing beside the open one, and no group was admitted yet
    assert not {r.task for r in second[1:]} & {r.task for r in first}


def test_rounds_that_run_out_settle_what_is_open_and_train_on_it(hand) -> None:
    sampler = sampler_of(allocator=Chunks())
    rounds, batch = hand.step(sampler, hand.context(sampler, rounds=1), hand.mixed)
    assert len(rounds) == 1 and [len(p.rollouts) for _, p in batch] == [2] * 4
    rounds, batch = hand.step(sampler, hand.context(sampler, step=1), hand.mixed)
    assert len(rounds) == 2 and [len(p.rollouts) for _, p in batch] == [4] * 4


def test_a_continuation_may_be_clipped_and_its_group_keeps_generation_order(hand) -> None:
    sampler = sampler_of(allocator=Chunks())
    rounds, batch = hand.step(sampler, hand.context(sampler, rollouts=11), hand.mixed)
    assert [r.n for r in rounds[1]] == [2, 1]
    assert [len(p.rollouts) for _, p in batch] == [4, 3, 2, 2]
    assert [c.text for c in batch[0][0].completions] == ["0", "1", "0", "1"]


def test_surplus_is_carried_first_into_the_next_batch_and_not_asked_for_again(hand) -> None:
    sampler = sampler_of(admission=NonzeroVar(oversample=1.5, carry=1))
    _, batch = hand.step(sampler, hand.context(sampler), hand.mixed)
    assert len(batch) == 4 and len(sampler.carried) == 2
    waiting = [g.task.index for g in sampler.carried]
    rounds, batch = hand.step(sampler, hand.context(sampler, step=1), hand.mixed)
    assert len(rounds[0]) == 3  # 1.5 x the two that lack
    assert [p.task for _, p in batch][:2] == waiting and [g.step for g, _ in batch] == [0, 0, 1, 1]
    assert not set(waiting) & {r.task for r in rounds[0]}


def test_carried_groups_older_than_carry_are_dropped(hand) -> None:
    sampler = sampler_of(admission=NonzeroVar(oversample=3, carry=1))
    hand.step(sampler, hand.context(sampler), hand.mixed)
    assert len(sampler.carried) == 8
    rounds, batch = hand.step(sampler, hand.context(sampler, step=1), hand.mixed)
    assert not rounds and len(batch) == 4  # a full batch was waiting
    assert not sampler.carried  # four of step 0 would be two steps old


def test_a_fault_is_no_trial(hand) -> None:
    sampler = sampler_of()
    _, batch = hand.step(sampler, hand.context(sampler), lambda r: [None, True, False, True])
    assert all(p.rollouts.tolist() == [1, 2, 3] for _, p in batch)
    fb = sampler.selector.heard[0]
    assert (fb.trials == 3).all() and (fb.wins == 2).all() and sampler.metrics()["sampler/faults"] == 4


def test_a_group_without_trials_is_neither_trained_on_nor_counted(hand) -> None:
    sampler = sampler_of(selector=MoPPS())
    _, batch = hand.step(sampler, hand.context(sampler), lambda r: [None] * r.n)
    assert not batch
    assert (sampler.selector.alpha == 1).all() and (sampler.stats.visits == 0).all()


def test_a_group_with_one_trial_is_observed_but_not_trained_on(hand) -> None:
    sampler = sampler_of()
    _, batch = hand.step(sampler, hand.context(sampler), lambda r: [True, None, None, None])
    assert not batch and (sampler.selector.heard[0].trials == 1).all()


def test_a_task_that_always_faults_does_not_block_the_queue(hand) -> None:
    sampler = sampler_of(n=8)
    for step in range(4):
        hand.step(sampler, hand.context(sampler, step=step), lambda r: [None] * 4 if r.task == 0 else [True] * 4)
    assert (sampler.selector.turns == 2).all()


def test_falling_short_too_often_is_said_once(hand, caplog) -> None:
    sampler = sampler_of()
    with caplog.at_level(logging.WARNING):
        for step in range(25):
            hand.step(sampler, hand.context(sampler, step=step, rollouts=8), hand.mixed)
    assert caplog.text.count("fewer than 4 groups") == 1 and "budget.step_rollouts" in caplog.text


@pytest.mark.parametrize(
    ("admission", "limits", "short"),
    [
        (NonzeroVar(), {}, True),  # every task was tried, more are wanted
        (NonzeroVar(), {"rounds": 2}, True),
        (NonzeroVar(), {"rollouts": 40}, True),
        (Balanced(flat="reject"), {}, False),  # rejects all, asks for no others: the method's own choice
        (Balanced(flat="reject"), {"rollouts": 10}, True),
    ],
)
def test_a_step_is_short_when_it_could_not_get_what_the_method_wanted(hand, admission, limits, short) -> None:
    sampler = sampler_of(admission=admission)
    _, batch = hand.step(sampler, hand.context(sampler, **limits), hand.right)
    assert not batch and sampler.metrics()["sampler/underfilled"] == short


def test_open_groups_count_as_hopeful_when_the_admission_decides_how_many_to_ask_for(hand) -> None:
    seen = []

    class Watching(NonzeroVar):
        def want(self, missing, so_far, ctx):
            seen.append((missing, so_far.trained.tolist()))
            return super().want(missing, so_far, ctx)

    class Screening(Chunks):
        def more(self, open, ctx):
            return np.where((open.wins > 0) & (open.wins < open.trials) & (open.trials < 4), 2, 0)

    sampler = sampler_of(allocator=Screening(), admission=Watching())
    asked: dict[int, int] = {}

    def answer(request):  # the first two tasks qualify
        asked.setdefault(request.task, len(asked))
        return [True] * request.n if asked[request.task] >= 2 else [i % 2 == 0 for i in range(request.n)]

    hand.step(sampler, hand.context(sampler), answer)
    assert seen[0] == (4, []) and seen[1] == (2, [True, True, False, False])


def test_the_allocator_reports_before_the_counts_move(hand) -> None:
    class Reporting(Fixed):
        def report(self, fb, ctx):
            return {"old_trials": float(ctx.stats.trials.sum()), "new_trials": float(fb.trials.sum())}

    sampler = sampler_of(allocator=Reporting())
    for step in range(2):
        hand.step(sampler, hand.context(sampler, step=step), hand.mixed)
    found = sampler.metrics()
    assert (found["sampler/old_trials"], found["sampler/new_trials"]) == (16, 16)


def test_probes_are_charged_told_and_never_trained_on(hand) -> None:
    class Probe(Recording):
        NEEDS = frozenset({Need.PROBE})

        def probe(self, ctx, taken):
            return np.array([3, 5]), 2

        def on_probe(self, fb, ctx):
            self.probed = fb

    sampler = sampler_of(selector=Probe())
    ctx = hand.context(sampler, rollouts=20)
    first = sampler.ask(ctx)
    assert [(r.task, r.n, r.purpose) for r in first] == [(3, 2, Purpose.PROBE), (5, 2, Purpose.PROBE)]
    assert ctx.left == Budget(16, 7)
    hand.tell(sampler, ctx, first, hand.mixed)
    assert sampler.selector.probed.trials.tolist() == [2, 2] and ctx.round == 0
    hand.tell(sampler, ctx, sampler.ask(ctx), hand.mixed)
    assert sampler.ask(ctx) == []
    assert all(g.purpose is Purpose.TRAIN for g, _ in sampler.batch(ctx))
    sampler.end_step(ctx, UpdateInfo())
    fb = sampler.selector.heard[0]
    both = dict(zip(fb.tasks.tolist(), fb.trials.tolist(), strict=True))
    assert sum(both.values()) == 20 and both[3] in (2, 6)


def test_parts_see_only_what_they_declare_and_have_streams_of_their_own(hand) -> None:
    seen = {}

    class Curious(Recording):
        NEEDS = frozenset({Need.PROGRESS})

        def propose(self, m, ctx, taken):
            seen["selector"] = (ctx.progress, ctx.truth, ctx.rng.random())
            return super().propose(m, ctx, taken)

    class Nosy(Fixed):
        NEEDS = frozenset({Need.TRUTH})

        def first(self, tasks, ctx):
            seen["allocator"] = (ctx.progress, ctx.truth, ctx.rng.random())
            return super().first(tasks, ctx)

    sampler = sampler_of(selector=Curious(), allocator=Nosy())
    truth = np.linspace(0, 1, 20)
    sampler.ask(hand.context(sampler, truth=truth))
    assert sampler.needs() == {Need.PROGRESS, Need.TRUTH}
    assert seen["selector"][:2] == (0.0, None)
    assert np.isnan(seen["allocator"][0]) and seen["allocator"][1] is truth
    assert seen["selector"][2] != seen["allocator"][2]


def test_the_advantage_of_trained_groups_reaches_the_selector(hand) -> None:
    sampler = sampler_of()
    ctx = hand.context(sampler)
    requests = sampler.ask(ctx)
    hand.tell(sampler, ctx, requests, hand.mixed)
    sampler.ask(ctx)
    sampler.end_step(ctx, UpdateInfo(abs_advantage={requests[1].task: 0.75}))
    np.testing.assert_array_equal(sampler.selector.heard[0].abs_advantage, [np.nan, 0.75, np.nan, np.nan])


def test_predicted_is_what_was_believed_before_the_step(hand) -> None:
    sampler = sampler_of(selector=MoPPS())
    hand.step(sampler, hand.context(sampler), hand.right)
    assert (sampler.predicted == 0.5).all() and (sampler.predict() > 0.5).sum() == 4
    assert sampler_of().predicted is None


@pytest.mark.parametrize("fault", ["order", "missing", "size", "purpose", "step"])
def test_groups_that_do_not_answer_the_requests_are_refused(hand, fault) -> None:
    sampler = sampler_of()
    ctx = hand.context(sampler)
    groups = [hand.group(sampler, r, hand.mixed(r), 0) for r in sampler.ask(ctx)]
    g = groups[0]
    wrong = {
        "order": groups[::-1],
        "missing": groups[:-1],
        "size": [Group(g.task, g.completions[:-1], g.verdicts[:-1], 0), *groups[1:]],
        "purpose": [Group(g.task, g.completions, g.verdicts, 0, Purpose.PROBE), *groups[1:]],
        "step": [Group(g.task, g.completions, g.verdicts, 7), *groups[1:]],
    }[fault]
    with pytest.raises(ValueError, match="do not answer the requests"):
        sampler.tell(ctx, wrong)
    sampler.tell(ctx, groups)


def test_calls_out_of_turn_are_refused(hand) -> None:
    sampler = sampler_of()
    ctx = hand.context(sampler)
    with pytest.raises(RuntimeError):
        sampler.batch(ctx)
    with pytest.raises(RuntimeError):
        sampler.end_step(ctx, UpdateInfo())
    requests = sampler.ask(ctx)
    for call in (lambda: sampler.ask(ctx), sampler.state_dict, lambda: sampler.load_state_dict({})):
        with pytest.raises(RuntimeError):
            call()
    hand.tell(sampler, ctx, requests, hand.mixed)
    assert sampler.ask(ctx) == sampler.ask(ctx) == []
    assert len(sampler.batch(ctx)) == len(sampler.batch(ctx)) == 4
    sampler.end_step(ctx, UpdateInfo())
    with pytest.raises(RuntimeError):
        sampler.end_step(ctx, UpdateInfo())


@pytest.mark.parametrize(
    ("part", "method", "answer", "words"),
    [
        ("selector", "propose", lambda m, ctx, taken: np.array([1, 1]), "a task twice"),
        ("selector", "propose", lambda m, ctx, taken: np.arange(m + 1), "5 tasks, wanted 4"),
        ("selector", "propose", lambda m, ctx, taken: np.array([99]), "pool of 20"),
        ("allocator", "first", lambda tasks, ctx: np.zeros(len(tasks), int), "at least 1"),
        ("allocator", "first", lambda tasks, ctx: np.array([4]), "wanted 4 numbers"),
        ("admission", "assemble", lambda o, ctx: Pick(o.task, np.array([0, 0])), "distinct valid"),
        ("admission", "assemble", lambda o, ctx: Pick(o.task, np.array([1])), "at least 2"),
        ("admission", "assemble", lambda o, ctx: Pick(o.task, np.arange(4), weight=0.0), "the weight 0.0, wanted > 0"),
        ("admission", "assemble", lambda o, ctx: Pick(o.task + 1, np.array([0, 1])), "distinct valid"),
    ],
)
def test_a_part_that_breaks_the_protocol_is_named(hand, part, method, answer, words) -> None:
    sampler = sampler_of()
    broken = getattr(sampler, part)
    setattr(broken, method, answer)
    with pytest.raises(ValueError, match=rf"{type(broken).__name__}\.{method} .*{words}"):
        hand.step(sampler, hand.context(sampler), hand.mixed)


def test_one_rollout_is_enough_where_the_baseline_is_given(hand) -> None:
    sampler = sampler_of()
    sampler.admission.assemble = lambda o, ctx: Pick(o.task, np.array([2]), baseline=0.3)
    _, batch = hand.step(sampler, hand.context(sampler), hand.mixed)
    assert [p.baseline for _, p in batch] == [0.3] * 4


def test_carried_groups_come_back_from_a_state_to_the_last_number(hand) -> None:
    def make():
        return sampler_of(admission=NonzeroVar(oversample=2, carry=3))

    sampler, restored = make(), make()
    hand.step(sampler, hand.context(sampler, step=3), lambda r: [None, True, False, True])
    assert sampler.carried
    restored.load_state_dict(sampler.state_dict())
    for a, b in zip(sampler.carried, restored.carried, strict=True):
        assert (a.task, a.verdicts, a.step, a.purpose) == (b.task, b.verdicts, b.step, b.purpose)
        for x, y in zip(a.completions, b.completions, strict=True):
            assert (x.text, x.finish, x.version) == (y.text, y.finish, y.version)
            assert x.tokens.dtype == y.tokens.dtype and x.logps.dtype == y.logps.dtype
            np.testing.assert_array_equal(x.tokens, y.tokens)
            np.testing.assert_array_equal(x.logps, y.logps)


def test_a_state_of_another_pool_class_or_schema_is_refused_by_name(hand) -> None:
    state = sampler_of(selector=Uniform()).state_dict()
    with pytest.raises(InputError, match="pool fingerprint"):
        sampler_of(selector=Uniform(), n=21).load_state_dict(state)
    with pytest.raises(InputError, match=r"selector .*Uniform, this run has .*MoPPS"):
        sampler_of(selector=MoPPS()).load_state_dict(state)
    with pytest.raises(InputError, match="schema 99"):
        sampler_of(selector=Uniform()).load_state_dict(state | {"schema": 99})


def test_the_references_that_are_read_are_the_ones_that_cost() -> None:
    assert sampler_of().reference_rollouts() == 0
    assert sampler_of(filter={"reference": None, "lo": 0.1, "hi": 0.9}).reference_rollouts() == 16 * 20
