"""Which runs may be held against each other: arms that agree in everything but the compared axis."""

from __future__ import annotations

import contextlib
import functools
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from rftlab.config import LENGTH, NOT_IDENTITY
from rftlab.core import InputError
from rftlab.runs import RunState

Flat = dict[str, Any]
"""Dotted keys to values; a key that is null is left out, as one that a configuration does not have."""

IDENTITY = {
    "pool": ("dataset",),
    "pool_arrays": ("dataset", "references"),
    "precision": ("model", "engine"),
}
"""Facts of ``run.json`` that have to be equal, and the keys that explain a difference when they are compared."""


@dataclass(frozen=True)
class Cell:
    """One run, split into what is compared and what has to be equal."""

    state: RunState
    axis: Flat
    rest: Flat
    length: Flat

    @property
    def key(self) -> str:
        return json.dumps(self.axis, sort_keys=True, default=str)


@dataclass
class Split:
    """The runs of a comparison."""

    arms: dict[str, list[Cell]]
    """By label, the baseline first, runs by seed."""
    baseline: str
    left_out: list[tuple[Cell, str, str, dict[str, list[Any]]]] = field(default_factory=list)
    """Finished runs that take no part: cell, label of the arm, why, differing keys."""
    unfinished: list[tuple[Cell, str]] = field(default_factory=list)
    """Cell, label of the arm."""
    mixed: list[str] = field(default_factory=list)
    """Keys beside the compared ones in which arms differ, where that was allowed."""


def flat(node: Mapping[str, Any], prefix: str = "") -> Flat:
    """A nested configuration as dotted keys; nulls and empty groups are left out."""
    found: Flat = {}
    for name, value in node.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{prefix}{name}.")
        elif value is not None:
            found[f"{prefix}{name}"] = value
    return found


def under(key: str, nodes: Iterable[str]) -> bool:
    """Whether ``key`` is one of ``nodes`` or lies below one."""
    return any(key == node or key.startswith(f"{node}.") for node in nodes)


def differences(standard: Flat, other: Flat) -> dict[str, list[Any]]:
    """Keys in which two configurations differ: [the standard's, the other's]; None where there is none."""
    keys = sorted(k for k in standard.keys() | other.keys() if standard.get(k) != other.get(k))
    return {key: [standard.get(key), other.get(key)] for key in keys}


def cell(state: RunState, by: Sequence[str]) -> Cell:
    """Splits the configuration of a run at the compared keys."""
    config = flat(state.config)
    rest = {k: v for k, v in config.items() if not under(k, [*by, *NOT_IDENTITY, *LENGTH])}
    identity = state.identity
    for fact, explained in IDENTITY.items():
        if not any(under(key, explained) for key in by):
            rest[f"run.json: {fact}"] = identity.get(fact)
    rest["run.json: eval_pool"] = identity.get("eval_pool")  # never explained: other questions, other scores
    axis = {k: v for k, v in config.items() if under(k, by)}
    return Cell(state, axis, rest, {k: v for k, v in config.items() if k in LENGTH and not under(k, by)})


def split(states: Sequence[RunState], by: Sequence[str], baseline: str | None, allow_mixed: bool) -> Split:
    """Sorts runs into arms, and out of them.

    Of the configurations in which the baseline has finished, the one that most runs share is the standard. Finished
    runs that differ from it outside of ``by`` are left out; with ``allow_mixed`` the keys in which they differ become
    part of what is compared, so that every arm is of one configuration still.

    Raises:
        InputError: no run has finished, a compared key is in none of the configurations, no such baseline.
    """
    cells, broken = _read(states, by)
    finished = [c for c in cells if c.state.finished]
    if not finished:
        raise InputError(_nothing_finished(states))
    for key in by:
        if not any(under(k, [key]) for c in finished for k in c.axis):
            raise InputError(f"--by {key}: no run has such a key; wanted one of its config.yaml, as sampler or algo.lr")
    names = labels({c.key: c.axis for c in cells}, by)
    chosen = _baseline([names[key] for key in dict.fromkeys(c.key for c in finished)], baseline)
    standard = _most_shared([c for c in finished if names[c.key] == chosen], finished)
    mixed: list[str] = []
    if allow_mixed and (mixed := sorted({k for c in finished for k in differences(standard.rest, c.rest)})):
        cells = [replace(c, axis=c.axis | {k: c.rest.get(k) for k in mixed}) for c in cells]
        names = labels({c.key: c.axis for c in cells}, by, standard.rest)
        chosen = next(names[c.key] for c in cells if c.state.path == standard.state.path)
    out = Split({chosen: []}, chosen, mixed=mixed)
    for one in cells:
        name = names[one.key]
        arm = out.arms.setdefault(name, [])
        if not one.state.finished:
            out.unfinished.append((one, name))
        elif not allow_mixed and (found := differences(standard.rest, one.rest)):
            out.left_out.append((one, name, "differs from the baseline in more than the compared axis", found))
        elif any(other.state.seed == one.state.seed for other in arm):
            out.left_out.append((one, name, f"a second run of seed {one.state.seed}", {}))
        else:
            arm.append(one)
    out.arms = {name: sorted(arm, key=lambda c: c.state.seed or 0) for name, arm in out.arms.items() if arm}
    out.unfinished += [(Cell(state, {}, {}, {}), state.arm) for state in broken]
    return out


def fuller(found: Split) -> tuple[str, int] | None:
    """The label that as a baseline would have the most runs take part, and how many; None if no more than do now."""
    taking = [(one, name) for name, arm in found.arms.items() for one in arm]
    refused = [(one, name) for one, name, _, differ in found.left_out if differ]
    shapes = [json.dumps(one.rest, sort_keys=True, default=str) for one, _ in (*taking, *refused)]
    alike = Counter(shapes)
    others = [(alike[shape], name) for shape, (_, name) in zip(shapes, (*taking, *refused), strict=True)]
    count, label = max(((n, name) for n, name in others if name != found.baseline), default=(0, ""))
    return (label, count) if count > len(taking) else None


def _read(states: Sequence[RunState], by: Sequence[str]) -> tuple[list[Cell], list[RunState]]:
    """Cells, and the runs whose configuration or identity is damaged or missing."""
    cells, broken = [], []
    for state in states:
        try:
            if not state.config:
                raise InputError("no config.yaml")
            cells.append(cell(state, by))
        except InputError as error:
            how = "unreadable" if state.finished else state.state
            broken.append(replace(state, state=how, reason=state.reason or str(error)))
    return cells, broken


def _nothing_finished(states: Sequence[RunState]) -> str:
    counts = ", ".join(f"{n} {state}" for state, n in Counter(s.state for s in states).most_common())
    return f"no run has finished ({counts}): run the sweep's command again, it goes on where it stopped"


def _most_shared(cells: Sequence[Cell], among: Sequence[Cell]) -> Cell:
    """Of ``cells`` the first whose ``rest`` the most of ``among`` have."""

    distinct: list[Cell] = []
    for each in cells:
        if all(differences(each.rest, other.rest) for other in distinct):
            distinct.append(each)
    return max(distinct, key=lambda c: sum(not differences(c.rest, other.rest) for other in among))


def _baseline(names: Sequence[str], wanted: str | None) -> str:
    """The label that is meant. One arm alone is its own baseline."""
    if wanted is None and len(names) == 1:
        return names[0]
    if (name := wanted or "uniform") in names:
        return name
    alike = [name for name in names if (wanted or "uniform") in (plain := name.split(" (")[0], *plain.split(", "))]
    if len(alike) == 1:
        return alike[0]
    why = "no arm is called uniform" if wanted is None else f"--baseline {wanted}: no finished arm has that name"
    if alike:
        why = f"{len(alike)} arms are called {wanted or 'uniform'}"
    raise InputError(f"{why}; give --baseline with one of: {'; '.join(alike or names)}")


# --- labels ---------------------------------------------------------------------------------------------------------


def labels(axes: Mapping[str, Flat], by: Sequence[str], standard: Flat | None = None) -> dict[str, str]:
    """A label for every arm (by key): its name, and what sets it apart where two arms share one.

    An arm that is as its sampler's preset, and as ``standard``, keeps the plain name.
    """
    named = {key: _name(axis, by) for key, axis in axes.items()}
    out = dict(named)
    for name, count in Counter(named.values()).items():
        if count == 1:
            continue
        same = {key: axes[key] for key, own in named.items() if own == name}
        apart = sorted({k for axis in same.values() for k in axis if len({str(a.get(k)) for a in same.values()}) > 1})
        plain = (_preset(name) if "sampler" in by else {}) | (standard or {})
        for key, axis in same.items():
            told = [f"{_short(k)}={_text(axis.get(k))}" for k in apart if axis.get(k) != plain.get(k)]
            out[key] = f"{name} ({', '.join(told)})" if told else name
    return out


def _name(axis: Flat, by: Sequence[str]) -> str:
    """What an arm is called by its compared keys.

    A group goes by its ``name`` or the class behind it. One that has neither, as ``algo``, lends its own name, and
    ``labels`` adds what differs within it.
    """
    told = []
    for key in by:
        if key in axis or f"{key}.name" in axis:
            text = str(axis.get(key, axis.get(f"{key}.name")))
        elif f"{key}._target_" in axis:
            text = str(axis[f"{key}._target_"]).rsplit(".", 1)[-1]
        elif any(under(k, [key]) for k in axis):
            told.append(key)
            continue
        else:
            text = "null"
        told.append(text if len(by) == 1 or key == "sampler" else f"{_short(key)}={text}")
    return ", ".join(told)


@functools.cache
def _preset(name: str) -> Flat:
    """The keys of a sampler's preset; empty for one that is not shipped."""
    from omegaconf import OmegaConf

    from rftlab.config import compose

    with contextlib.suppress(Exception):  # whatever Hydra says of a preset that is not here
        composed: Any = OmegaConf.to_container(compose([f"sampler={name}"]).sampler, resolve=True)
        return flat({"sampler": composed})
    return {}


def _short(key: str) -> str:
    return key.removeprefix("sampler.")


def _text(value: Any) -> str:
    return "null" if value is None else str(value)
