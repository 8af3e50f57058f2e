"""What Hydra says of a command line that it cannot compose, in one line that helps."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from hydra._internal.utils import get_args_parser
from hydra.errors import ConfigCompositionException, HydraException, OverrideParseException
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from rftlab import listing
from rftlab.config import compose, keys
from rftlab.core import InputError
from rftlab.first_line import first_line
from rftlab.nearest import nearest, unknown_key

PLUGINS = {
    "optuna": "hydra-optuna-sweeper",
    "joblib": "hydra-joblib-launcher",
    "submitit_local": "hydra-submitit-launcher",
    "submitit_slurm": "hydra-submitit-launcher",
    "ray": "hydra-ray-launcher",
}
"""Launchers and sweepers that can be added, by package."""

UNWRITABLE = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EISDIR}
"""Errors of a place that takes no file."""

LAUNCHER = ("hydra.launcher.n_jobs", "hydra.launcher.gpus", "hydra.launcher.fail_fast")
"""Options of ``hydra/launcher=local``."""

NAMED = (
    *("references", "replace", "model.template_options", "verifier.check.extra"),
    *(f"dataset.{name}" for name in ("references", "reference_samples", "hub", "filter")),
    *(f"dataset.{name}" for name in ("families", "parts", "eval_parts")),
)
"""Mappings whose keys are names of the user's."""


def options_first(verb: str, args: Sequence[str]) -> list[str]:
    """``args`` with the options before the overrides: argparse takes ``a=1 -m b=2`` only in that order.

    Raises ``InputError`` on an option that does not exist or that lacks its value.
    """
    parser = get_args_parser()
    known = parser._option_string_actions
    options: list[str] = []
    overrides: list[str] = []
    rest = list(args)
    while rest:
        arg = rest.pop(0)
        if arg.lstrip("+~").startswith("="):
            raise InputError(f"{arg}: lacks its key, wanted KEY{arg.lstrip('+~')}; see rftlab {verb} --help")
        if not arg.startswith("-"):
            overrides.append(arg)
            continue
        name = arg.partition("=")[0]
        if name not in known:
            guess = nearest(name.lstrip("-"), [option.removeprefix("--") for option in known if option[:2] == "--"])
            hint = f"did you mean --{guess}?" if guess else f"see rftlab {verb} --help"
            raise InputError(f"{arg}: no such option; {hint}")
        options.append(arg)
        action = known[name]
        if action.nargs != 0 and "=" not in arg and rest:
            value = rest.pop(0)
            if action.choices and value not in action.choices:
                raise InputError(f"{arg} {value}: wanted one of {', '.join(map(str, action.choices))}")
            options.append(value)
        elif action.nargs is None and "=" not in arg:
            raise InputError(f"{arg}: lacks its value; see rftlab {verb} --help")
    return options + overrides


@contextmanager
def explained(verb: str, args: Sequence[str]) -> Iterator[None]:
    """Turns the errors of a composition inside the block into ``InputError``."""
    try:
        yield
    except YAMLError as exc:
        raise InputError(f"a configuration file is no YAML: {' '.join(str(exc).split())}") from exc
    except (HydraException, OmegaConfBaseException, ValueError) as exc:  # some are an OSError, too
        raise InputError(explain(exc, verb, args)) from exc
    except OSError as exc:  # of Hydra's own files: jobs report theirs
        if exc.errno not in UNWRITABLE:
            raise
        raise InputError(
            f"cannot write {exc.filename} ({exc.strerror}): give a writable place by outputs_dir=DIR"
        ) from exc


def explain(exc: Exception, verb: str, args: Sequence[str]) -> str:
    """One line on why ``args`` do not compose."""
    text = str(exc)
    extra = listing.extra_dirs(args)
    if isinstance(exc, OverrideParseException):
        return f"{exc.override}: not an override, wanted KEY=VALUE ({first_line(text)})"
    if found := re.search(r"Could not override '([^']+)'", text):
        return _to_add(found[1], verb, args, extra) or _no_such(found[1], verb, args, extra)
    if found := re.search(r"Could not find '([^']+)/([^'/]*)'", text):
        plugins = re.findall(r"^\t(\S+)$", text, re.M) if found[1].startswith("hydra/") else []
        return _no_such_option(found[1], found[2], sorted({*listing.options(found[1], extra), *plugins}))
    if found := re.search(r"Ambiguous value for argument '([^']+)'", text):
        return f"{found[1]}: several values are a sweep, add -m; for one list write KEY=[a,b]"
    if found := re.search(r"Could not append to config. An item is already at '([^']+)'", text):
        return f"+{found[1]}: the key is there already, leave out the +"
    if found := re.search(r"Could not delete.*?'([^']+)'", text):
        return _no_such(found[1], verb, args, extra)
    if "Config group override must be a string" in text:
        groups = [group for group in listing.groups(extra) if any(arg.startswith(f"{group}=") for arg in args)]
        return f"a group takes the name of an option, as in {groups[0] if groups else 'GROUP'}=NAME"
    cause = exc.__cause__ if isinstance(exc, ConfigCompositionException) else None
    return f"{first_line(text)}" + (f": {first_line(str(cause))}" if cause else "")


def _to_add(key: str, verb: str, args: Sequence[str], extra: Sequence[Path]) -> str | None:
    """What adds a name to a mapping that lacks it; None where ``key`` is in no such mapping."""
    mapping = next((each for each in NAMED if f"{key}.".startswith(f"{each}.")), None)
    if mapping is None or mapping not in _known(verb, args, extra):
        return None
    name = key[len(mapping) + 1 :]
    value = next((arg.partition("=")[2] for arg in args if arg.partition("=")[0] == key), "…")
    if not name:  # replace={limit: 5}
        pair = re.match(r"\{\s*([\w.]+)\s*:\s*([^,{}\[\]]+)", value)
        name, value = (pair[1], pair[2].strip()) if pair else ("KEY", "…")
    return f"{mapping} has no {name} yet: add it by +{mapping}.{name}={value}"


def _no_such(key: str, verb: str, args: Sequence[str], extra: Sequence[Path]) -> str:
    """A key, or a group, that is not there."""
    groups = listing.groups(extra)
    if "/" in key:
        guess = nearest(key.replace("/", "."), [g.replace("/", ".") for g in groups])
        hint = f"did you mean {guess.replace('.', '/')}?" if guess else f"one of {', '.join(groups)}"
        return f"{key}: no such group; {hint}"
    if key.startswith("hydra.launcher.") and not any(arg.startswith("hydra/launcher=") for arg in args):
        return unknown_key(key, LAUNCHER)
    known = _known(verb, args, extra)
    if (node := key.rpartition(".")[0]).endswith("verifier.check"):  # its options are those of one class alone
        known = [other for other in known if other.startswith(f"{node}.")]
    return unknown_key(key, known)


def _known(verb: str, args: Sequence[str], extra: Sequence[Path]) -> list[str]:
    """The keys that there are with the groups that ``args`` choose."""
    groups = listing.groups(extra)
    chosen = [arg for arg in args if arg.partition("=")[0].lstrip("+") in groups and "," not in arg]
    try:
        return keys(compose(chosen, verb=verb, config_dir=extra[0] if extra else None))
    except Exception:  # another override is wrong as well: the defaults still name most keys
        return keys(compose(verb=verb))


def _no_such_option(group: str, name: str, options: Iterable[str]) -> str:
    options = list(options)
    if group.startswith("hydra/") and (package := PLUGINS.get(name)):
        return f"{group}={name} is a plugin of Hydra's that is not installed: pip install {package}; see docs/sweeps.md"
    if not name:
        return f"{group}=: lacks its value, wanted {group}=NAME with one of {', '.join(options) or 'none'}"
    guess = nearest(name, options)
    hint = f"did you mean {group}={guess}? " if guess else ""
    return f"{group}={name}: no such option; {hint}There are: {', '.join(options) or 'none'}"
