"""A comparison in words: one sentence an arm, and what every column means."""

from __future__ import annotations

from rftlab.comparison import Arm, Comparison
from rftlab.pages.words import count, interval, known, points, share

ENDPOINTS = {"auc": "mean accuracy over the run", "final": "final accuracy"}
COLOUR = {"better": "good", "worse": "bad"}


def summary(comparison: Comparison) -> str:
    """How many arms are what."""
    found = [arm.against.verdict for arm in comparison.arms if arm.against]
    if not found:
        return f"{comparison.baseline} stands alone: there is nothing to hold it against."
    told = [f"{found.count(v)} {v}" for v in ("better", "worse", "not distinguishable", "no verdict") if v in found]
    others = "One arm" if len(found) == 1 else f"{len(found)} arms"
    return f"{others} against {comparison.baseline}: {', '.join(told)}."


def sentence(comparison: Comparison, arm: Arm) -> str:
    """Which sampler, how much, how sure."""
    what, reach = ENDPOINTS[comparison.endpoint], count(comparison.common[-1]) if comparison.common else "?"
    if arm.against is None:
        own = getattr(arm, comparison.endpoint)
        return f"{arm.label} is the baseline: {share(own.mean)} {what} at {reach} rollouts, {_seeds(len(arm.runs))}."
    found = arm.against
    if not known(found.difference.mean):
        return f"{arm.label}: no seed in common with {comparison.baseline}, so nothing can be said."
    head = (
        f"{arm.label}: {points(found.difference.mean)} points {what} against {comparison.baseline} at {reach} rollouts"
    )
    if found.verdict == "no verdict":
        return f"{head}; no verdict, as that takes two paired seeds that differ ({_seeds(len(found.seeds))} here)."
    sure = f"95 % interval {interval(found.difference.low, found.difference.high)}"
    verdict = found.verdict if found.verdict in COLOUR else "not distinguishable"
    tail = f"{verdict} with {_seeds(len(found.seeds))} (p {_p(found.p_holm)}{_correction(comparison)})"
    if verdict not in COLOUR and known(found.detectable):
        size = points(found.detectable).lstrip("+")
        tail += f"; a true difference of {size} points would be found four times in five"
    return f"{head}, {sure}, {tail}."


def _correction(comparison: Comparison) -> str:
    """An interval is an arm's own, and may miss 0 where the verdict, which allows for all arms, is none."""
    tests = sum(arm.against is not None and known(arm.against.p) for arm in comparison.arms)
    return f" after Holm's correction for {tests} arms" if tests > 1 else ""


def _p(value: float) -> str:
    return "< 0.001" if value < 0.001 else f"{value:.3f}" if value < 0.1 else f"{value:.2f}"


def _seeds(number: int) -> str:
    return f"{number} seed" + ("" if number == 1 else "s")


TERMS = {
    "final": "Accuracy on the evaluation tasks (mean over k tries, avg@k) at the end of the common range of rollouts.",
    "AUC": "Mean accuracy over the common range of rollouts: the area under the curve by its width. Early gains count.",
    "common range": "From the first to the last number of rollouts at which every finished run has been evaluated.",
    "difference": "The arm minus the baseline, seed by seed; its interval is Student's t over these paired values.",
    "verdict": (
        "Better or worse if the paired t test rejects no difference at a family-wise error of 5 % over all arms "
        "(Holm's correction); else not distinguishable, which is not the same as equal."
    ),
    "p, p (Holm)": "The test's p value for one arm alone, and after the correction for the number of arms.",
    "detectable": "The smallest true difference that these seeds would find in 80 % of the cases.",
    "bootstrap": (
        "Two questions. Over seeds: would other seeds say the same? Over evaluation tasks: would other tasks say the "
        "same of these very runs? Percentile intervals; how often they hold is measured beside them. No verdict is "
        "drawn from them."
    ),
    "P(improvement)": "Probability that a run of the arm beats one of the baseline, ties counted half. No test.",
    "IQM": "Interquartile mean over seeds and its bootstrap interval.",
    "TTB": (
        "Time to baseline: where the arm's mean curve reaches 50, 75 or 100 % of the baseline's gain, over where the "
        "baseline's does; below 1 is faster. Of paired seeds only. The restricted ratio compares mean times cut at the "
        "end of the common range, and exists wherever there is a pair."
    ),
    "BSF": "Best so far: the best accuracy of the arm's mean curve over the baseline's, within a part of the range.",
    "pass@k": "Unbiased estimate of passing at least once in k tries, last evaluation.",
    "ETR": "Effective task ratio: the share of trained groups with a pass rate strictly between 0 and 1.",
    "all right, all wrong": "Shares of all generated groups, rejected ones too, in which every or no rollout passed.",
    "Gini": "How unequally rollouts are spread over tasks: 0 all the same, near 1 a few tasks have everything.",
    "rank correlation": "Spearman's, of predicted and observed pass rates on a fixed random panel of training tasks.",
    "calibration error": "Mean difference of predicted and observed pass rates over tenths of predictions there.",
    "rollouts": (
        "Everything generated for training, rejected groups and probes too. Evaluation, panel and references stand "
        "beside it."
    ),
    "references": "What the reference pass rates cost that a sampler reads; charged on the axis that says so.",
}
"""What the page's words mean."""
