"""What a reader must know before believing a comparison."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from rftlab.arm_summary import estimate
from rftlab.arms import Split, fuller, under
from rftlab.comparison import Arm, Caveat, LeftOut
from rftlab.measured import Measured

Runs = Mapping[str, Sequence[Measured]]
"""Measured runs by the arm's label."""

TRUNCATED, FAULTS, UNDERFILLED, APART = 0.2, 0.01, 0.1, 0.02
"""Shares above which it is said: completions cut off, rollouts lost, steps not filled, ends apart."""
FEW_SEEDS = 5


def caveats(arms: Sequence[Arm], runs: Runs, split: Split, left: Sequence[LeftOut]) -> list[Caveat]:
    """All of them, errors first."""
    found = [*_likeness(split, left, runs), *_seeds(arms), *_spending(arms, runs), *_quality(arms, runs)]
    found += _results(arms)
    order = ("error", "warning", "note")
    return sorted(found, key=lambda c: order.index(c.severity))


def _likeness(split: Split, left: Sequence[LeftOut], runs: Runs) -> list[Caveat]:
    """Are like things compared?"""
    out = []
    if split.mixed:
        text = f"Allowed by --allow-mixed: runs differ in more than the compared axis, in {_named(split.mixed)}."
        out.append(Caveat("error", "mixed", text))
    refused = [run for run in left if run.differences]
    if refused:
        keys = {key for run in refused for key in run.differences}
        they = "it differs" if len(refused) == 1 else "they differ"
        text = f"{_runs(len(refused))} left out because {they} from the baseline's in {_named(keys)}."
        if better := fuller(split):
            text += f" With --baseline '{better[0]}' {better[1]} would take part."
        out.append(Caveat("warning", "refused", text, sorted({run.arm for run in refused})))
    twice = [run for run in left if not run.differences]
    if twice:
        text = f"{_runs(len(twice))} left out for other reasons: {'; '.join(sorted({run.why for run in twice}))}."
        out.append(Caveat("warning", "left_out", text, sorted({run.arm for run in twice})))
    if split.unfinished:
        text = f"{_runs(len(split.unfinished))} not finished: shown below, no part of any number."
        out.append(Caveat("warning", "unfinished", text, sorted({arm for _, arm in split.unfinished})))
    lengths = {str(sorted(run.cell.length.items())) for arm in runs.values() for run in arm}
    if len(lengths) > 1:
        text = "The budgets differ (budget.steps, rollouts, tokens or seconds); arms are compared where all have been."
        out.append(Caveat("warning", "lengths", text))
    code = _versions(runs)
    if len(code) > 1:
        out.append(Caveat("note", "versions", f"The runs come from {len(code)} states of the code: {', '.join(code)}."))
    return out


def _named(keys: Collection[str]) -> str:
    """Keys of the configuration in which runs differ. Of a group that was chosen differently the group alone."""
    groups = [key.removesuffix("._target_") for key in keys if key.endswith("._target_")]
    return ", ".join(sorted({*groups, *(key for key in keys if not under(key, groups))}))


def _versions(runs: Runs) -> list[str]:
    starts = [run.cell.state.identity.get("starts") or [{}] for arm in runs.values() for run in arm]
    return sorted({str(start.get("git")) for run in starts for start in run if start.get("git")})


def _seeds(arms: Sequence[Arm]) -> list[Caveat]:
    """Are there enough pairs?"""
    out = []
    unpaired = {arm.label: [r.seed for r in arm.runs if not r.paired] for arm in arms}
    unpaired = {label: seeds for label, seeds in unpaired.items() if seeds}
    if unpaired:
        which = "; ".join(f"{label}: {', '.join(map(str, seeds))}" for label, seeds in unpaired.items())
        text = f"Seeds that the baseline does not have, left out of the verdicts: {which}."
        out.append(Caveat("warning", "unpaired", text, list(unpaired)))
    owned = {run.seed for run in arms[0].runs}
    missing = {arm.label: sorted(owned - set(arm.against.seeds)) for arm in arms if arm.against}
    missing = {label: seeds for label, seeds in missing.items() if seeds}
    if missing:
        which = "; ".join(f"{label}: {', '.join(map(str, seeds))}" for label, seeds in missing.items())
        text = f"Seeds of the baseline that an arm does not have, left out of its verdict: {which}."
        out.append(Caveat("warning", "missing_seeds", text, list(missing)))
    lone = [arm.label for arm in arms if (len(arm.against.seeds) if arm.against else len(arm.runs)) < 2]
    if lone:
        text = "An interval needs two seeds at least, a verdict worth reading five: run the sweep with seed=0,1,2,3,4."
        out.append(Caveat("warning", "one_seed", text, lone))
    if len(arms) == 1:
        text = "One arm alone can't be compared: run another sampler with the same seeds and everything else equal."
        out.append(Caveat("warning", "one_arm", text))
    few = [arm.label for arm in arms if arm.against and 2 <= len(arm.against.seeds) < FEW_SEEDS]
    if few:
        text = f"Fewer than {FEW_SEEDS} pairs of seeds: only large differences can be told from none, and the "
        out.append(Caveat("warning", "few_seeds", text + "bootstrap intervals are far too narrow.", few))
    return out


def _spending(arms: Sequence[Arm], runs: Runs) -> list[Caveat]:
    """Is what was spent comparable, and counted?"""
    out = []
    uncharged = [label for label, arm in runs.items() if not all(run.charged for run in arm)]
    if uncharged:
        text = "The ledger has fewer rollouts than the steps generated: probes or rejected groups are not charged."
        out.append(Caveat("error", "uncharged", text, uncharged))
    ends = {arm.label: [run.rollouts for run in arm.runs] for arm in arms}
    every = [end for own in ends.values() for end in own]
    if max(every) - min(every) > APART * max(every):
        text = f"The runs ended at {min(every):,} to {max(every):,} rollouts; they are compared where all have been."
        short = [label for label, own in ends.items() if min(own) < max(every) * (1 - APART)]
        out.append(Caveat("warning", "ends", text, short))
    readers = {arm.label: cost for arm in arms if (cost := arm.cost["reference_rollouts"]) > 0}
    if readers:
        told = "; ".join(f"{label}: {cost:,.0f}" for label, cost in readers.items())
        text = f"Not in the rollout axis: what the reference pass rates cost that these arms read ({told} rollouts). "
        out.append(Caveat("note", "references", text + "TTB is given with this cost too.", list(readers)))
    wide = [label for label, arm in runs.items() if any(run.last("sampler/eligible") > run.generated for run in arm)]
    if wide:
        text = "The pool has more tasks than these runs generated groups in all: what needs to meet a task twice "
        out.append(Caveat("note", "one_pass", text + "has had little to learn from.", wide))
    return out


def _quality(arms: Sequence[Arm], runs: Runs) -> list[Caveat]:
    """Can the numbers behind it be trusted?"""
    out = []
    for name, limit, code, says in (
        ("underfilled", UNDERFILLED, "underfill", "of the steps could not fill their batch"),
        ("truncated", TRUNCATED, "truncated", "of the training completions were cut at model.max_new_tokens"),
        ("fault", FAULTS, "faults", "of the training rollouts were lost to failures of grader or machine"),
    ):
        out += _above({arm.label: arm.shares[name].mean for arm in arms if name in arm.shares}, limit, code, says)
    for key, limit, code, says in (
        ("eval/truncated", TRUNCATED, "eval_truncated", "of the last evaluation's completions were cut"),
        ("eval/faults", FAULTS, "eval_faults", "of the last evaluation's rollouts were lost to failures"),
    ):
        values = {label: estimate([run.last(key) for run in arm]).mean for label, arm in runs.items()}
        out += _above(values, limit, code, says)
    skipped = {label: n for label, arm in runs.items() if (n := sum(run.skipped for run in arm))}
    if skipped:
        text = "Lines of metrics.jsonl, groups.jsonl, evals/ and panel/ that could not be read, left out: "
        out.append(Caveat("warning", "skipped", f"{text}{sum(skipped.values()):,}.", list(skipped)))
    lost = {label: [(run.seed, step) for run in arm for step in run.lost] for label, arm in runs.items()}
    lost = {label: steps for label, steps in lost.items() if steps}
    if lost:
        told = [f"{label}, seed {seed}: step {step}" for label, steps in lost.items() for seed, step in steps]
        text = f"Evaluations are lost, the accuracy of their steps is not in metrics.jsonl ({'; '.join(told[:8])}"
        text += f"; and {len(told) - 8} more" if len(told) > 8 else ""
        out.append(Caveat("error", "lost_evaluation", f"{text}): the end points of these runs are others.", list(lost)))
    return out


def _above(values: Mapping[str, float], limit: float, code: str, says: str) -> list[Caveat]:
    high = {label: value for label, value in values.items() if value > limit}
    if not high:
        return []
    told = f"{min(high.values()):.0%}" if len(high) == 1 else f"{min(high.values()):.0%} to {max(high.values()):.0%}"
    return [Caveat("warning", code, f"{told} {says} (more than {limit:.0%}).", list(high))]


def _results(arms: Sequence[Arm]) -> list[Caveat]:
    """What the result itself does not allow to be said."""
    out = []
    crossing = [a.label for a in arms if a.against and a.against.difference.low <= 0 <= a.against.difference.high]
    if crossing:
        text = "The interval of the difference holds zero: these arms may be better, worse or the same."
        out.append(Caveat("note", "zero", text, crossing))
    equal = [a.label for a in arms if a.against and len(a.against.seeds) > 1 and not np.isfinite(a.against.p)]
    if equal:
        text = "The difference is the same in every seed, so that nothing can be said of its spread: no verdict."
        out.append(Caveat("warning", "no_spread", text, equal))
    if not arms[0].ttb:
        text = "The baseline was never better than before its first step: there is no time to its gain (TTB)."
        out.append(Caveat("warning", "no_gain", text, [arms[0].label]))
    return out


def _runs(n: int) -> str:
    return f"{n} run is" if n == 1 else f"{n} runs are"
