"""A comparison in words: the answer in plain sentences, a Markdown table, lines for the terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rftlab.comparison import Arm, Comparison, Endpoint, Estimate

NAMES: dict[Endpoint, str] = {"auc": "mean accuracy over the run", "final": "final accuracy"}
DASH = "–"


def answer(arms: Sequence[Arm], endpoint: Endpoint, baseline: str) -> list[str]:
    """What was found, the most important first: who is better, who is worse, who can't be told, and how well one sees.

    Args:
        arms: the baseline first, then best first.
    """
    others = [arm for arm in arms if arm.against is not None]
    if not others:
        return [f"{baseline} stands alone: there is nothing to hold it against."]
    out = [_clear(arm, endpoint, baseline) for arm in others if arm.against and arm.against.verdict in CLEAR]
    out.sort(key=lambda text: " worse " in text)
    if not out and any(arm.against and arm.against.verdict == "not distinguishable" for arm in others):
        out.append(f"No arm can be told from {baseline} with these seeds.")
    same = [arm for arm in others if arm.against and arm.against.verdict == "not distinguishable"]
    if same:
        seen = [arm.against.detectable for arm in same if arm.against and math.isfinite(arm.against.detectable)]
        pairs = sorted({len(arm.against.seeds) for arm in same if arm.against})
        text = f"Not distinguishable from {baseline}: {', '.join(arm.label for arm in same)}."
        if seen:
            text += f" With {' or '.join(map(str, pairs))} pairs of seeds a true difference would have to be "
            text += f"{_between([100 * s for s in seen])} points to be found four times in five."
        out.append(text)
    without = [arm.label for arm in others if arm.against and arm.against.verdict == "no verdict"]
    if without:
        out.append(f"No verdict on {', '.join(without)}: fewer than two paired seeds, or no spread between them.")
    return out


CLEAR = ("better", "worse")


def _clear(arm: Arm, endpoint: Endpoint, baseline: str) -> str:
    assert arm.against is not None
    d = arm.against.difference
    return (
        f"{arm.label} is {arm.against.verdict} than {baseline}: {NAMES[endpoint]} {signed(d.mean)} points "
        f"(95 % interval {signed(d.low)} to {signed(d.high)}, {d.n} pairs of seeds, "
        f"{probability(arm.against.p_holm)} after Holm)."
    )


def _between(values: Sequence[float]) -> str:
    low, high = (f"{value:.1f}" if value < 100 else "more than 100" for value in (min(values), max(values)))
    return low if low == high else f"{low} to {high}"


def probability(p: float) -> str:
    if not math.isfinite(p):
        return f"p {DASH}"
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def table(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Head and rows of the table of arms; accuracies and differences in points of 100."""
    refs = any(arm.cost["reference_rollouts"] > 0 for arm in comparison.arms)
    head = ["arm", "seeds", "AUC", "final", "minus baseline", "p (Holm)", "verdict", "detectable"]
    head += ["TTB 50 %", "TTB 100 %", *(["TTB 100 % with references"] if refs else []), "BSF 100 %", "ETR", "yield"]
    head += ["rollouts", "steps", "seconds", "panel rank"]
    return head, [_row(arm, comparison.axes, refs) for arm in comparison.arms]


def _row(arm: Arm, axes: Sequence[str], refs: bool) -> list[str]:
    a = arm.against
    cells = [
        arm.label,
        seeds(arm),
        points(arm.auc),
        points(arm.final),
        points(a.difference, sign=True) if a else DASH,
        probability(a.p_holm).removeprefix("p ").removeprefix("= ") if a else DASH,
        a.verdict if a else "baseline",
        _between([100 * a.detectable]) if a and math.isfinite(a.detectable) else DASH,
        ttb(arm, "rollouts", 0.5),
        ttb(arm, "rollouts", 1.0),
    ]
    cells += [ttb(arm, axes[-1], 1.0)] if refs else []
    shares = [number(arm.shares[name].mean, 2) if name in arm.shares else DASH for name in ("etr", "yield")]
    cells += [number(arm.bsf["100"], 3), *shares]
    cells += [f"{arm.cost['rollouts']:,.0f}", f"{arm.cost['steps']:,.0f}", number(arm.cost["seconds"], 0)]
    return [*cells, number(arm.belief["spearman"].mean, 2) if "spearman" in arm.belief else DASH]


def seeds(arm: Arm) -> str:
    """Runs of the arm; how many of them have a pair where not all do."""
    runs, paired = len(arm.runs), sum(run.paired for run in arm.runs)
    return f"{runs}" if paired == runs else f"{runs} ({paired} pair{'' if paired == 1 else 's'})"


def points(e: Estimate, sign: bool = False) -> str:
    """Mean ± half-width in points of 100."""
    if not math.isfinite(e.mean):
        return DASH
    mean = signed(e.mean) if sign else f"{100 * e.mean:.1f}"
    return f"{mean} ± {100 * (e.high - e.mean):.1f}" if math.isfinite(e.high) else mean


def signed(difference: float) -> str:
    """In points of 100; what is 0 when rounded has no sign."""
    text = f"{100 * difference:+.1f}"
    return text if float(text) else "0.0"


def number(value: float, digits: int) -> str:
    return f"{value:.{digits}f}" if math.isfinite(value) else DASH


def ttb(arm: Arm, axis: str, share: float) -> str:
    """Time to baseline as a ratio; how many runs got there where not all did."""
    found = next((t for t in arm.ttb if t.axis == axis and t.share == share), None)
    if found is None:
        return DASH
    told = reached_at(found.ratio)
    return told if found.reached == found.runs else f"{told} ({found.reached} of {found.runs})"


def reached_at(ratio: float) -> str:
    """A ratio of times to a target; infinite where the arm never got there."""
    return "not reached" if ratio == math.inf else number(ratio, 2)


def markdown(comparison: Comparison) -> str:
    """The comparison as a Markdown page."""
    head, rows = table(comparison)
    lines = [f"# {comparison.title}", "", *(f"- {sentence}" for sentence in comparison.answer), ""]
    lines += ["| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
    lines += ["", f"Verdicts are drawn from the {NAMES[comparison.endpoint]}: {comparison.endpoint_says}."]
    lines += [
        "Accuracies and differences are in points of 100, ± half a 95 % interval (Student's t over seeds, over "
        "pairs of equal seeds for differences, not adjusted); p is of the paired t test, adjusted over arms by Holm. "
        "`detectable` is what these seeds would find in 80 % of the cases. TTB is by rollouts, below 1 is faster.",
    ]
    if comparison.caveats:
        lines += ["", "## Before believing it", ""]
        lines += [f"- **{c.severity}** {c.text}" + _of(c.arms) for c in comparison.caveats]
    for title, runs in (("Left out", comparison.refused), ("Not finished", comparison.unfinished)):
        if runs:
            lines += ["", f"## {title}", ""]
            lines += [
                f"- {r.arm}, seed {r.seed} ({r.state}, step {r.step}): {r.why}{_keys(r.differences)}" for r in runs
            ]
    return "\n".join(lines) + "\n"


def _keys(differences: dict[str, list]) -> str:
    told = [
        f"{key.removesuffix('._target_')} is {own}, there {standard}" for key, (standard, own) in differences.items()
    ]
    return f" ({'; '.join(told)})" if told else ""


def _of(arms: Sequence[str]) -> str:
    if not arms:
        return ""
    return f" ({', '.join(arms[:8])}{f' and {len(arms) - 8} more' if len(arms) > 8 else ''})"


def terminal(comparison: Comparison) -> list[str]:
    """What ``rftlab compare`` prints: the answer, a narrow table, the caveats."""
    wide = max(len(arm.label) for arm in comparison.arms)
    some = max(len(text) for text in ("seeds", *map(seeds, comparison.arms)))
    lines = [comparison.title, "", *comparison.answer, ""]
    lines.append(
        f"{'':{wide}}  {'seeds':>{some}}  {NAMES[comparison.endpoint]:>28}  {'minus baseline':>14}  {'p (Holm)':>8}  "
        "verdict"
    )
    for arm in comparison.arms:
        a, score = arm.against, arm.auc if comparison.endpoint == "auc" else arm.final
        difference = points(a.difference, sign=True) if a else DASH
        p = probability(a.p_holm).removeprefix("p ").removeprefix("= ") if a else DASH
        lines.append(
            f"{arm.label:{wide}}  {seeds(arm):>{some}}  {points(score):>28}  {difference:>14}  {p:>8}  "
            f"{a.verdict if a else 'baseline'}"
        )
    lines.append("")
    return lines + [f"{c.severity}: {c.text}{_of(c.arms)}" for c in comparison.caveats]
