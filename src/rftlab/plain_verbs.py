"""The verbs that take arguments instead of a configuration."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn


def _parser(verb: str) -> _Parser:
    from rftlab.cli import VERBS

    return _Parser(prog=f"rftlab {verb}", description=VERBS[verb].says)


class _Parser(argparse.ArgumentParser):
    """Takes ``out=PLACE`` as the verbs do that Hydra configures: anywhere on the line, argparse's own way does not."""

    place = ""
    """What ``out=`` wants; empty: the verb has none."""
    out: Path | None = None

    def error(self, message: str) -> NoReturn:
        from rftlab.core import InputError

        raise InputError(f"{message}; {self.format_usage()}")

    def add_out(self, place: str, says: str, default: Path | None = None) -> None:
        """``out=PLACE``, in ``chosen.out``; None where it is not given."""
        self.place, self.out = place, default
        self.add_argument("out", nargs="?", type=self._no_out, metavar=f"out={place}", help=says)

    def _no_out(self, text: str) -> NoReturn:  # one that is would not have come here
        raise argparse.ArgumentTypeError(f"{text!r}: wanted nothing more, or out={self.place}")

    def parse_args(self, args: list[str]) -> argparse.Namespace:  # type: ignore[override]
        if not self.place:
            return super().parse_args(args)
        for arg in args:
            if arg == "--out" or arg.startswith("--out="):
                self.error(f"{arg}: write out={self.place}")
        given = [arg.removeprefix("out=") for arg in args if arg.startswith("out=")]
        if given and not given[-1].strip():
            self.error(f"out= is empty: wanted out={self.place}")
        chosen = super().parse_args([arg for arg in args if not arg.startswith("out=")])
        chosen.out = Path(given[-1]) if given else self.out
        return chosen


def _count(text: str) -> int:
    """An argument that is a whole number of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}: wanted a whole number of at least 1")
    return int(text)


def _keys(text: str) -> list[str]:
    """An argument of keys with commas between."""
    keys = [key.strip() for key in text.split(",")]
    if not all(keys):
        raise argparse.ArgumentTypeError(f"{text!r}: wanted keys with commas between, as sampler,algo.lr")
    return keys


def _text(text: str) -> str:
    """An argument that is not empty."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it is empty")
    return text


def listing_verb(group: str) -> Callable[[list[str]], int]:
    """``rftlab samplers [NAME]`` and its like."""

    def run(args: list[str]) -> int:
        parser = _parser(f"{group}s")
        parser.add_argument("name", nargs="?", help="one of them: everything about it")
        parser.add_argument("--config-dir", type=Path, help="a folder with your own configuration groups")
        chosen = parser.parse_args(args)
        if chosen.config_dir and not chosen.config_dir.is_dir():
            parser.error(f"--config-dir {chosen.config_dir}: no such folder")
        extra = [chosen.config_dir] if chosen.config_dir else []
        if group == "sampler":
            from rftlab import sampler_pages

            sampler_pages.show(chosen.name, extra)
        else:
            from rftlab import option_pages

            option_pages.show(group, chosen.name, extra)
        return 0

    return run


def export(args: list[str]) -> int:
    """``rftlab export RUN``."""
    parser = _parser("export")
    parser.add_argument("run", type=Path, help="a run directory")
    parser.add_argument("--merge", action="store_true", help="write the whole model with the adapter in it")
    parser.add_argument("--weights", choices=("best", "last"), default="best", help="by evaluation, or the last step's")
    parser.add_out("DIR", "where to write; default: RUN/export, or RUN/export-merged")
    chosen = parser.parse_args(args)
    from rftlab.export import export as export_run

    print(export_run(chosen.run, chosen.out, chosen.merge, chosen.weights))
    return 0


def runs_verb(args: list[str]) -> int:
    """``rftlab runs [DIR]``."""
    parser = _parser("runs")
    parser.add_argument("folder", nargs="?", default="outputs", type=Path, metavar="DIR", help="default: outputs")
    parser.add_argument("--watch", action="store_true", help="keep the table up to date, until Ctrl-C")
    parser.add_argument("--json", action="store_true", help="every run as JSON")
    chosen = parser.parse_args(args)
    from rftlab.runs_table import main as show

    return show(chosen.folder, chosen.watch, chosen.json)


def report_verb(args: list[str]) -> int:
    """``rftlab report RUN``."""
    parser = _parser("report")
    parser.add_argument("run", type=Path, help="a run directory")
    parser.add_out("DIR", "where report.html, report.md and figures/ go; default: RUN")
    chosen = parser.parse_args(args)
    from rftlab.outfile import outfolder
    from rftlab.pages.run_page import report as write

    print(write(chosen.run, chosen.out and outfolder(chosen.out)))
    return 0


def compare_verb(args: list[str]) -> int:
    """``rftlab compare DIR``."""
    parser = _parser("compare")
    parser.add_argument("folders", nargs="+", type=Path, metavar="DIR", help="folders with runs, as outputs/NAME")
    parser.add_argument(
        "--by", type=_keys, default="sampler", metavar="KEY[,KEY]", help="what makes an arm; default: sampler"
    )
    parser.add_argument("--baseline", metavar="ARM", help="the arm to hold the others against; default: uniform")
    parser.add_argument("--endpoint", choices=("auc", "final"), default="auc", help="what the verdict is drawn from")
    parser.add_argument("--allow-mixed", action="store_true", help="compare runs that differ in more than --by too")
    parser.add_out("DIR", "where compare.json, compare.md and the page go; default: the first DIR")
    parser.add_argument("--wandb", action="store_true", help="log it as a run of W&B, too; offline without a key")
    chosen = parser.parse_args(args)
    from rftlab import compare, verdict_text
    from rftlab.outfile import outfolder

    if chosen.out or chosen.folders[0].is_dir():
        outfolder(chosen.out or chosen.folders[0])  # before the measuring, which takes long
    found = compare.compare(chosen.folders, chosen.by, chosen.baseline, chosen.endpoint, chosen.allow_mixed)
    written = compare.write(found, chosen.out or chosen.folders[0], shlex.join(["rftlab", "compare", *args]))
    print("\n".join(verdict_text.terminal(found)))
    print("\n".join(map(str, written)))
    if chosen.wandb:
        from rftlab import wandb_compare

        if where := wandb_compare.log(
            found, chosen.out or chosen.folders[0], lambda text: print(text, file=sys.stderr)
        ):
            print(where)
    return 0


def show_verb(args: list[str]) -> int:
    """``rftlab show RUN``."""
    parser = _parser("show")
    parser.add_argument("run", type=Path, help="a run directory")
    parser.add_argument("--step", type=int, help="of this step; default: the last, with --task all")
    parser.add_argument("--task", type=_text, help="of this task: its id or how that begins")
    order = parser.add_mutually_exclusive_group()
    order.add_argument("--worst", type=_count, nargs="?", const=5, metavar="N", help="N of the lowest score (5)")
    order.add_argument("--best", type=_count, nargs="?", const=5, metavar="N", help="N of the highest score (5)")
    parser.add_argument("--failed", action="store_true", help="only those that did not pass")
    parser.add_argument("--eval", action="store_true", help="of the evaluations, not of training")
    chosen = parser.parse_args(args)
    from rftlab import show

    wanted = show.Wanted(chosen.step, chosen.task, chosen.worst, chosen.best, chosen.failed, chosen.eval)
    show.show(chosen.run, wanted)
    return 0


def dashboard_verb(args: list[str]) -> int:
    """``rftlab dashboard``."""
    parser = _parser("dashboard")
    parser.add_argument("--project", default="rftlab", help="W&B project, as tracking.project; default: rftlab")
    parser.add_argument("--entity", help="W&B entity, as tracking.entity; default: that of the key")
    parser.add_out("FILE", "default: dashboard.json", Path("dashboard.json"))
    chosen = parser.parse_args(args)
    from rftlab.dashboard import dashboard

    written, sent = dashboard(chosen.project, chosen.entity, chosen.out)
    print(f"{written}: the workspace's specification")
    print(sent or "not sent: W&B is offline or has no key (wandb login); the same command sends it then")
    return 0


def sync_verb(args: list[str]) -> int:
    """``rftlab sync [DIR]``."""
    parser = _parser("sync")
    parser.add_argument("folder", nargs="?", default="outputs", type=Path, metavar="DIR", help="default: outputs")
    chosen = parser.parse_args(args)
    from rftlab.wandb_sync import sync

    sync(chosen.folder)
    return 0
