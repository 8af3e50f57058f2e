"""The command ``rftlab``: a table of verbs. Whatever is slow to import is imported inside the verb that uses it."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from rftlab import __version__, listing
from rftlab.plain_verbs import (
    compare_verb,
    dashboard_verb,
    export,
    listing_verb,
    report_verb,
    runs_verb,
    show_verb,
    sync_verb,
)


class Verb(NamedTuple):
    """A row of the table."""

    run: Callable[[list[str]], int]
    usage: str
    says: str


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command line and returns its exit status.

    0 done, 2 wrong input (one line on stderr), 1 anything else, 130 and 143 stopped by a signal after saving.
    """
    args = list(sys.argv[1:] if argv is None else argv)
    if os.getcwd() not in sys.path:  # a sampler or verifier of one's own beside the command
        sys.path.insert(0, os.getcwd())
    if "RANK" in os.environ and int(os.environ.get("WORLD_SIZE", "1")) > 1:  # a launcher has started several
        from rftlab.ranks_run import together

        return together(args, lambda: _run(args))
    return _run(args)


def _run(args: list[str]) -> int:
    try:
        return _dispatch(args)
    except BrokenPipeError:  # the reader of a pipe has gone: `rftlab samplers | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except (Exception, KeyboardInterrupt) as exc:
        return report(exc)


def _dispatch(args: list[str]) -> int:
    if not args or args[0] in ("-h", "--help", "help"):
        print(usage())
        return 0
    if args[0] in ("-V", "--version"):
        print(f"rftlab {__version__}")
        return 0
    if args[0] in ("-sc", "--shell-completion", "--shell_completion"):
        from rftlab.completion import complete

        return complete(args[1:], list(VERBS))
    name, rest = args[0], args[1:]
    if name not in VERBS:
        from rftlab.core import InputError
        from rftlab.nearest import nearest

        guess = nearest(name, VERBS)
        raise InputError(
            f"{name}: no such verb; " + (f"did you mean {guess}?" if guess else f"one of {', '.join(VERBS)}")
        )
    return VERBS[name].run(rest)


def usage() -> str:
    """What ``rftlab --help`` prints."""
    width = max(len(verb.usage) for verb in VERBS.values())
    rows = "\n".join(f"  rftlab {verb.usage:{width}}  {verb.says}" for verb in VERBS.values())
    return (
        "rftlab: which task sampler makes reinforcement finetuning learn most per unit of compute?\n\n"
        f"{rows}\n\n"
        '  rftlab VERB --help lists what can be chosen. Completion in bash: eval "$(rftlab -sc install=bash)"'
    )


def report(exc: BaseException) -> int:
    """Prints what went wrong, in one line where the user can repair it, and returns the exit status."""
    from rftlab.core import InputError

    if isinstance(exc, InputError):
        print(f"rftlab: {' '.join(str(exc).split())}", file=sys.stderr)
        return 2
    if isinstance(exc, JobFailed):
        return exc.code
    if isinstance(exc, KeyboardInterrupt):
        print("rftlab: interrupted", file=sys.stderr)
        return 130
    if isinstance(exc, OSError) and exc.errno in NO_SPACE | NO_ACCESS:
        print(f"rftlab: cannot write {exc.filename or 'the run directory'}: {exc.strerror}", file=sys.stderr)
        return 2 if exc.errno in NO_ACCESS else 1
    traceback.print_exception(exc)
    return 1


NO_SPACE = {errno.ENOSPC, errno.EDQUOT}
NO_ACCESS = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR}


class JobFailed(Exception):
    """A job of a sweep failed and has said why; ``code`` is its exit status."""

    def __init__(self, code: int) -> None:
        super().__init__(code)
        self.code = code


# --- verbs that Hydra configures ------------------------------------------------------------------------------------


def hydra_verb(name: str) -> Callable[[list[str]], int]:
    """``rftlab NAME OVERRIDES``: composes ``conf/NAME.yaml`` and calls the function of the same name below."""

    def run(args: list[str]) -> int:
        if "-h" in args or "--help" in args:
            print(listing.verb_help(name, listing.extra_dirs(args)))
            return 0
        return compose_and_run(name, args)

    return run


def rescore_verb(args: list[str]) -> int:
    """``rftlab rescore RUN OVERRIDES``: the run's directory may stand first, without its key."""
    if args and not args[0].startswith("-") and ("=" not in args[0] or Path(args[0]).is_dir()):
        quoted = args[0].replace("\\", "\\\\").replace("'", "\\'")
        args = [f"run='{quoted}'", *args[1:]]
    return hydra_verb("rescore")(args)


def compose_and_run(name: str, args: list[str]) -> int:
    """Hands the rest of the command line to Hydra; ``--dry-run`` stops each job before anything is loaded."""
    import hydra

    from rftlab.composition import explained, options_first
    from rftlab.sweep_cells import Sweep, objective, seeks

    dry = "--dry-run" in args
    args = options_first(name, [arg for arg in args if arg != "--dry-run"])
    codes: list[int] = []
    sweep = Sweep(dry)

    def task(cfg: Any) -> float | None:
        from hydra.core.hydra_config import HydraConfig
        from hydra.types import RunMode

        code = run_job(name, cfg, dry)
        codes.append(code)
        if HydraConfig.get().mode != RunMode.MULTIRUN or not (code or seeks(HydraConfig.get())):
            return None
        if code:
            raise JobFailed(code)  # Hydra runs the other jobs, and a launcher's child process has told its parent
        return 0.0 if dry else objective(cfg)

    task.sweep = sweep  # type: ignore[attr-defined]
    os.environ["HYDRA_FULL_ERROR"] = "1"  # exceptions reach us whole
    try:
        with explained(name, args), tempfile.TemporaryDirectory() as nowhere:
            sys.argv = ["rftlab", *args, f"hydra.job.name={name}"]
            sys.argv += [f"hydra.sweep.dir={nowhere}"] if dry else []
            hydra.main(version_base="1.3", config_path=str(listing.conf_dir()), config_name=name)(task)()
    finally:
        if sweep.cells:
            from rftlab.runs_table import sweep_table

            sweep_table(sweep)
    return max(codes, default=int(sweep.failed > 0))


def run_job(name: str, cfg: Any, dry: bool) -> int:
    """One job: checks its configuration, then does it. Returns the exit status; a signal ends a whole sweep."""
    from rftlab.config import check
    from rftlab.dry_run import dry_run
    from rftlab.out_of_memory import explained
    from rftlab.signals import Stopped

    try:
        cfg = check(cfg, name)
        return (dry_run if dry else JOBS[name])(name, cfg)
    except Stopped as exc:
        print(f"rftlab: stopped by {exc}; saved, the same command goes on", file=sys.stderr)
        raise SystemExit(exc.code) from None
    except Exception as exc:
        return report(explained(exc, cfg))


def train(_: str, cfg: Any) -> int:
    if cfg.launcher is not None or cfg.num_processes is not None:
        from rftlab import ranks_launch

        if (count := ranks_launch.processes(cfg)) > 1:
            return ranks_launch.launch(cfg, count)
    from rftlab import loop

    loop.train(cfg)
    return 0


def evaluate(_: str, cfg: Any) -> int:
    from rftlab import evaluate as evaluation

    evaluation.main(cfg)
    return 0


def profile(_: str, cfg: Any) -> int:
    from rftlab import profile as profiling

    profiling.main(cfg)
    return 0


def validate(_: str, cfg: Any) -> int:
    """Exit status 1 when a gold answer is refused or a wrong one accepted."""
    from rftlab.config import build_dataset
    from rftlab.outfile import outfile, write
    from rftlab.validate import validate as validate_dataset
    from rftlab.verifiers.pool import build_pool

    out = None if cfg.out is None else outfile(cfg.out)
    dataset = build_dataset(cfg)
    with build_pool(cfg.verifier) as pool:
        found = validate_dataset(dataset, pool)
    print("\n".join(found.lines()))
    if out is not None:
        write(out, found.to_json() + "\n")
    return 0 if found.ok else 1


def rescore(_: str, cfg: Any) -> int:
    from rftlab import rescore as rescoring

    rescoring.main(cfg)
    return 0


def doctor(_: str, cfg: Any) -> int:
    from rftlab.doctor import doctor as examine

    return examine(cfg)


JOBS: dict[str, Callable[[str, Any], int]] = {
    "train": train,
    "eval": evaluate,
    "profile": profile,
    "validate": validate,
    "rescore": rescore,
    "doctor": doctor,
}

VERBS: dict[str, Verb] = {
    "train": Verb(hydra_verb("train"), "train [KEY=VALUE …]", "one run, or a sweep with -m; repeated, it resumes"),
    "eval": Verb(hydra_verb("eval"), "eval [KEY=VALUE …]", "a model, or the adapter of a run, on an evaluation set"),
    "profile": Verb(hydra_verb("profile"), "profile [KEY=VALUE …]", "a model's pass rates on a pool: references"),
    "validate": Verb(hydra_verb("validate"), "validate [KEY=VALUE …]", "does the verifier accept the gold answers?"),
    "rescore": Verb(rescore_verb, "rescore RUN verifier=NAME", "the saved completions of a run by another verifier"),
    "doctor": Verb(hydra_verb("doctor"), "doctor [KEY=VALUE …]", "this machine, and whether the engine is honest"),
    "runs": Verb(runs_verb, "runs [DIR] [--watch]", "how the runs under a folder stand: state, step, accuracy, ETA"),
    "compare": Verb(compare_verb, "compare DIR … [--by KEY]", "the arms of a sweep against a baseline: who is better?"),
    "report": Verb(report_verb, "report RUN [out=DIR]", "the page of one run: HTML, Markdown, figures"),
    "show": Verb(show_verb, "show RUN [--step N] [--task ID] …", "completions of a run, their verdicts and advantages"),
    "dashboard": Verb(dashboard_verb, "dashboard [--project NAME]", "a W&B workspace: a file, and sent with a key"),
    "sync": Verb(sync_verb, "sync [DIR]", "sends the runs that W&B kept offline"),
    "samplers": Verb(listing_verb("sampler"), "samplers [NAME]", "the samplers and their parts, or all about one"),
    "datasets": Verb(listing_verb("dataset"), "datasets [NAME]", "the datasets, or everything about one"),
    "verifiers": Verb(listing_verb("verifier"), "verifiers [NAME]", "the verifiers, or everything about one"),
    "models": Verb(listing_verb("model"), "models [NAME]", "the models, or everything about one"),
    "export": Verb(export, "export RUN [--merge] [out=DIR]", "an adapter or a merged model that transformers loads"),
}
