"""`rftlab validate` on every data set that is here, as two Markdown tables: what is accepted, and why the rest is not.

    python scripts/validate_all.py ../shared/data                     # prints
    python scripts/validate_all.py ../shared/data --page docs/verification.md     # renews the page's tables

The folder holds the data sets' own files, a folder each. Nothing is downloaded.
"""

from __future__ import annotations

import argparse
import re
import time
from collections import Counter
from pathlib import Path

from rftlab.config import build_dataset, check, compose
from rftlab.validate import FINDINGS, Finding, Report, validate
from rftlab.verifiers.pool import build_pool

POOLS: dict[str, list[str]] = {
    "gsm8k": ["dataset=gsm8k", "dataset.path={data}/gsm8k"],
    "math": ["dataset=math", "dataset.path={data}/math-train", "dataset.eval_path={data}/math-eval"],
    "aime24": ["dataset=aime24", "dataset.path={data}/math-eval"],
    "amc23": ["dataset=amc23", "dataset.path={data}/math-eval"],
    "olympiadbench": ["dataset=olympiadbench", "dataset.path={data}/math-eval"],
    "minerva": ["dataset=minerva", "dataset.path={data}/math-eval"],
    "svamp": ["dataset=svamp", "dataset.path={data}/svamp"],
    "mawps": ["dataset=mawps", "dataset.path={data}/mawps"],
    "deepscaler": ["dataset=deepscaler", "dataset.path={data}/adarft-deepscaler"],
    "verl (DSR-sub)": ["dataset=verl", "dataset.path={data}/one-shot-rlvr", "dataset.files=[dsr_sub.parquet]"],
    "mmlu_stem": ["dataset=mmlu_stem", "dataset.path={data}/math-eval"],
    "aqua": ["dataset=aqua", "dataset.path={data}/math-eval"],
    "agieval": ["dataset=agieval", "dataset.path={data}/agieval"],
    "bbh": ["dataset=bbh", "dataset.path={data}/bbh"],
    "bbeh": ["dataset=bbeh", "dataset.path={data}/bbeh"],
    "knights_and_knaves": ["dataset=knights_and_knaves", "dataset.path={data}/knights-and-knaves"],
    "humaneval": ["dataset=humaneval", "dataset.path={data}/humaneval"],
    "mbpp": ["dataset=mbpp", "dataset.path={data}/mbpp"],
    "cruxeval": ["dataset=cruxeval", "dataset.path={data}/cruxeval"],
    "cruxeval_input": ["dataset=cruxeval_input", "dataset.path={data}/cruxeval"],
    "sql_eval": ["dataset=sql_eval", "dataset.path={data}/sql-eval"],
    "bfcl": ["dataset=bfcl", "dataset.path={data}/bfcl"],
    "reasoning_gym": ["dataset=reasoning_gym"],
    "ladder": ["dataset=ladder"],
}
"""Name in the table -> overrides; math brings MATH-500 as its evaluation rows."""
MARKS = "<!-- tables: begin -->", "<!-- tables: end -->"
EXAMPLES = 3
"""Findings of one class that are shown."""


def row(name: str, report: Report, verifier: str, seconds: float) -> str:
    """A line of the first table: all splits of a dataset together."""
    splits = report.splits.values()

    def both(*fields: str) -> list[int]:
        return [sum(getattr(split, field) for split in splits) for field in fields]

    tasks, accepted, alike, alike_accepted, wrong, refused = both(
        "tasks", "accepted", "alike", "alike_accepted", "wrong", "wrong_refused"
    )
    lost = sum(len(split.ungradable) for split in splits)
    slipped = sum(len(split.wrong_accepted) for split in splits)
    share = f"{slipped / wrong:.3%}" if wrong else "–"
    return (
        f"| {name} | {verifier} | {tasks:,} | {accepted:,} | {tasks - accepted:,} | {alike_accepted:,} / {alike:,} "
        f"| {refused:,} / {wrong:,} | {slipped:,} ({share}) | {lost:,} | {len(report.left_out):,} | {seconds:.0f} |"
    )


def classes(name: str, report: Report) -> list[str]:
    """Lines of the second table: findings and rows left out, counted by reason."""
    found: list[tuple[str, str, str]] = [("left out", why, where) for where, why in report.left_out]
    for split in report.splits.values():
        for kind in FINDINGS:
            found += [(kind.replace("_", " "), _class(f), f.row or f.task) for f in getattr(split, kind)]
    counted = Counter((kind, why) for kind, why, _ in found)
    lines = []
    for (kind, why), count in counted.most_common():
        places = [where for k, w, where in found if (k, w) == (kind, why)][:EXAMPLES]
        lines.append(f"| {name} | {kind} | {count:,} | {_cell(why)} | {', '.join(dict.fromkeys(places))} |")
    return lines


def _class(finding: Finding) -> str:
    """The reason without what is peculiar to one row."""
    return re.sub(r"read .*", "read another answer", re.sub(r"'[^']*'", "'…'", finding.reason))[:160]


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def tables(data: Path, names: list[str]) -> str:
    """Both tables as Markdown."""
    first, second = [], []
    for name in names:
        cfg = compose([each.format(data=data) for each in POOLS[name]], verb="validate")
        check(cfg, "validate")
        started = time.perf_counter()
        with build_pool(cfg.verifier) as pool:
            report = validate(build_dataset(cfg), pool)
        first.append(row(name, report, cfg.verifier.name, time.perf_counter() - started))
        second += classes(name, report)
        print(first[-1], flush=True)
    head = "dataset|verifier|tasks|gold accepted|gold refused|other spellings accepted|near misses refused"
    head += "|near misses accepted|not graded|rows left out|s"
    return "\n".join(
        [f"|{head}|", "|---" * 11 + "|", *first, "", "|dataset|what|number|reason|e.g.|", "|---" * 5 + "|", *second]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="the folder with the data sets' own files")
    parser.add_argument("--only", nargs="+", choices=list(POOLS), help="some of them")
    parser.add_argument("--page", type=Path, help="a Markdown page whose tables are renewed")
    args = parser.parse_args()
    written = tables(args.data, args.only or list(POOLS))
    if args.page is None:
        print(written)
        return
    begin, end = MARKS
    before, _, rest = args.page.read_text(encoding="utf-8").partition(begin)
    args.page.write_text(f"{before}{begin}\n\n{written}\n\n{end}{rest.partition(end)[2]}", encoding="utf-8")


if __name__ == "__main__":
    main()
