"""The saved completions of a run, graded anew by another verifier. No model is loaded, and the run is only read."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from rftlab.canonical import content_hash
from rftlab.core import InputError, Status, Task, TaskPool, Verdict
from rftlab.first_line import first_line
from rftlab.measure import meta_hash
from rftlab.outfile import outfile, write
from rftlab.schema import Verifier as VerifierNode
from rftlab.tracking import read_jsonl
from rftlab.verifiers.by_source import fill_in
from rftlab.verifiers.pool import VerifierPool

OUTCOMES = ("passed", "failed", "fault")
PARTS = ("dataset", "verifier", "model", "engine")
"""Nodes of a run's configuration that are read."""
BATCH = 4096
"""Completions graded at once."""
SHOWN = 10
"""Tasks that are named on the terminal."""
SAVED = ("text", "task", "step", "score", "passed", "status", "parsed")
"""What is read of a saved completion."""


@dataclass(frozen=True)
class Change:
    """A task of which the two verifiers count different wins."""

    task: str
    """Task id."""
    row: str
    """Where it stands in the dataset's file; empty if it is from none."""
    rollouts: int
    """Of its saved completions, those that both could grade."""
    old_wins: int
    new_wins: int


@dataclass
class Rescore:
    """What another verifier says of the completions of a run."""

    run: str
    old: str
    """Name of the run's own verifier."""
    new: str
    generated: int
    """Training rollouts of the run; ``saved`` of them have a text."""
    saved: int = 0
    old_passed: int = 0
    old_graded: int = 0
    """Of the saved ones; without faults."""
    new_passed: int = 0
    new_graded: int = 0
    agreement: dict[str, dict[str, int]] = field(default_factory=dict)
    """Old outcome -> new outcome -> completions."""
    changes: list[Change] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)
    """Where, and why, the new verifier failed."""
    other_meta: list[str] = field(default_factory=list)
    """Ids of the tasks that the dataset now has with other columns beside the answer than in the run: the new verifier
    has read the present ones."""
    unknown_meta: int = 0
    """Tasks of which the run, of an older version, does not say what these columns were."""

    def lines(self) -> list[str]:
        """The result for a terminal."""
        told = [f"{self.saved:,} of {self.generated:,} training rollouts are saved and graded"]
        if self.saved < self.generated:
            told[0] += " (all of a next run: tracking.save_completions=-1)"
        told += [f"{self.old}, in the run:  {_share(self.old_passed, self.old_graded)}"]
        told += [f"{self.new}, now:  {_share(self.new_passed, self.new_graded)}"]
        told += ["", f"{'in the run / now':<20}" + "".join(f"{name:>9}" for name in OUTCOMES)]
        for name in OUTCOMES:
            told.append(f"{name:<20}" + "".join(f"{self.agreement[name][other]:>9,}" for other in OUTCOMES))
        told += ["", f"{len(self.changes):,} tasks change"]
        for c in self.changes[:SHOWN]:
            told.append(f"  {c.task} {c.row} {c.old_wins} of {c.rollouts} passed, now {c.new_wins}")
        told += [f"  and {len(self.changes) - SHOWN:,} more"] if len(self.changes) > SHOWN else []
        if self.other_meta:
            told.append(
                f"{len(self.other_meta):,} tasks have other columns beside the answer than in the run and were graded "
                f"by the present ones; the first: {self.other_meta[0]}"
            )
        if self.unknown_meta:
            told.append(
                f"of {self.unknown_meta:,} tasks the run does not say whether their columns beside the answer were "
                "other ones: it is of an older version"
            )
        told += [f"{len(self.faults):,} faults; the first: {self.faults[0]}"] if self.faults else []
        return told


def configuration(run: str, replace: Mapping[str, Any]) -> DictConfig:
    """The run's own configuration, with other values for keys of its dataset."""
    file = Path(run) / "config.yaml"
    if not file.is_file():
        raise InputError(f"run={run}: no config.yaml there; wanted a run's directory, like outputs/<name>/…/seed0")
    try:
        cfg = OmegaConf.load(file)
    except (YAMLError, OmegaConfBaseException, OSError, ValueError) as error:
        raise InputError(f"{file} is damaged ({error}): restore it") from error
    if not isinstance(cfg, DictConfig) or not all(isinstance(cfg.get(k), DictConfig) for k in PARTS):
        raise InputError(f"{file} is no run's configuration: it lacks one of {', '.join(PARTS)}")
    return OmegaConf.merge(cfg, {"dataset": OmegaConf.to_container(OmegaConf.create(dict(replace)))})  # type: ignore[return-value]


def training_pool(cfg: DictConfig, run: str) -> TaskPool:
    """The pool that the run was trained on; ``InputError`` if the dataset is another by now."""
    from rftlab.config import DATASET_LABELS
    from rftlab.lab import fitting
    from rftlab.targets import check_options

    check_options("dataset", cfg.dataset, DATASET_LABELS)
    pool = fitting(cfg).train
    known = _identity(Path(run) / "run.json")
    if pool.fingerprint != known:
        raise InputError(
            f"dataset {cfg.dataset.name} of {run} has changed: its {len(pool):,} tasks are {pool.fingerprint}, the run "
            f"had {known}; give the data of then, as in +replace.path=FOLDER"
        )
    return pool


def _identity(file: Path) -> str:
    """The fingerprint of the training pool that ``run.json`` holds."""
    try:
        return str(json.loads(file.read_text(encoding="utf-8"))["pool"])
    except OSError as error:
        raise InputError(f"{file} cannot be read ({error.strerror}): it says what the run was trained on") from error
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(f"{file} is damaged: it does not say what the run was trained on") from error


def rescore(run: str, old: str, new: str, pool: TaskPool, verifier: VerifierPool) -> tuple[Rescore, list[dict]]:
    """What ``verifier`` says of the run's completions, and a row for each of them."""
    folder = Path(run)
    groups = read_jsonl(folder / "groups.jsonl")
    if not all(isinstance(row, dict) and isinstance(row.get("rollouts"), int) for row in groups):
        raise InputError(f"{folder / 'groups.jsonl'} is damaged: a row has no number of rollouts")
    found = Rescore(run, old, new, sum(row["rollouts"] for row in groups))
    tasks = {task.id: task for task in pool.tasks}
    rows: list[dict[str, Any]] = []
    then: dict[str, set[str]] = {}  # by task, the hashes of its meta in the run; none in a run of an older version
    for batch in _batches(_saved(folder)):
        verdicts = verifier.grade([(row["text"], _task(row, tasks, where)) for where, row in batch])
        for i, ((where, row), verdict) in enumerate(zip(batch, verdicts, strict=True)):
            rows.append(_row(where, row, verdict, verifier.reasons.get(i, "")))
            then.setdefault(row["task"], set()).update({row["meta"]} if "meta" in row else ())
    if not rows:
        raise InputError(f"{run} has saved no completion: train with tracking.save_completions=8, or -1 for all")
    _summarise(found, rows, tasks)
    hashes = {task: meta_hash(tasks[task]) for task in then}
    found.other_meta = [task for task, known in then.items() if known and known != {hashes[task]}]
    found.unknown_meta = sum(not known for known in then.values())
    return found, rows


def _saved(folder: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    """(file:line, row) of every saved completion, in the order of steps."""
    for file in sorted((folder / "completions").glob("step_*.jsonl")):
        for number, row in enumerate(read_jsonl(file), 1):
            where = f"completions/{file.name}:{number}"
            lost = [key for key in SAVED if not isinstance(row, dict) or key not in row]
            if lost or not isinstance(row["text"], str):
                raise InputError(f"{folder / where} is damaged: it has no {lost[0] if lost else 'text'}")
            yield where, row


def _batches(saved: Iterator[tuple[str, dict[str, Any]]]) -> Iterator[list[tuple[str, dict[str, Any]]]]:
    batch = []
    for one in saved:
        batch.append(one)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _task(row: Mapping[str, Any], tasks: Mapping[str, Task], where: str) -> Task:
    if row["task"] not in tasks:
        raise InputError(f"{where} is of task {row['task']}, which the dataset does not have")
    return tasks[row["task"]]


def _row(where: str, row: Mapping[str, Any], verdict: Verdict, reason: str) -> dict[str, Any]:
    said = {"score": verdict.score, "passed": verdict.passed, "status": str(verdict.status), "parsed": verdict.answer}
    before = {f"old_{key}": row[key] for key in said}
    return {"at": where, "step": row["step"], "task": row["task"], **said, **before, "reason": reason}


def _summarise(found: Rescore, rows: Sequence[Mapping[str, Any]], tasks: Mapping[str, Task]) -> None:
    pairs = [(_outcome(row["old_passed"], row["old_status"]), _outcome(row["passed"], row["status"])) for row in rows]
    counts = Counter(pairs)
    found.saved = len(rows)
    found.agreement = {old: {new: counts[old, new] for new in OUTCOMES} for old in OUTCOMES}
    found.old_passed, found.old_graded = _passed([old for old, _ in pairs])
    found.new_passed, found.new_graded = _passed([new for _, new in pairs])
    found.faults = [f"{row['at']} {row['reason']}" for row in rows if row["status"] == Status.FAULT]
    by_task: dict[str, list[tuple[str, str]]] = {}
    for row, pair in zip(rows, pairs, strict=True):
        if "fault" not in pair:
            by_task.setdefault(row["task"], []).append(pair)
    for task, said in by_task.items():
        wins = [sum(pair[i] == "passed" for pair in said) for i in (0, 1)]
        if any(old != new for old, new in said):
            found.changes.append(Change(task, str(tasks[task].meta.get("row", "")), len(said), *wins))
    found.changes.sort(key=lambda c: -abs(c.new_wins - c.old_wins))


def _outcome(passed: bool, status: str) -> str:
    return "fault" if status == Status.FAULT else "passed" if passed else "failed"


def _passed(outcomes: Sequence[str]) -> tuple[int, int]:
    """(passed, graded); a fault is not graded."""
    passed = outcomes.count("passed")
    return passed, passed + outcomes.count("failed")


def _share(passed: int, graded: int) -> str:
    return f"{passed:,} of {graded:,} passed" + (f" ({passed / graded:.4f})" if graded else "")


def grader(verifier: DictConfig | None, of_run: DictConfig) -> DictConfig:
    """The node of the verifier that is to grade: the one that was chosen, told the parts of the run's dataset where it
    goes by them (``by_source``); None = the run's own."""
    try:
        node = OmegaConf.merge(OmegaConf.structured(VerifierNode), of_run.verifier if verifier is None else verifier)
    except OmegaConfBaseException as error:
        raise InputError(f"the verifier in the run's config.yaml: {first_line(error)}; give verifier=NAME") from error
    if missing := sorted(OmegaConf.missing_keys(node)):
        raise InputError(f"the verifier in the run's config.yaml has no {missing[0]}; give verifier=NAME")
    fill_in(node.check, of_run.dataset)
    return node  # type: ignore[return-value]


def _default(run: str, verifier: DictConfig, replace: Any) -> Path:
    """``RUN/rescore/NAME-HASH``: one place for each way to grade, so that no result takes another's."""
    node: Any = OmegaConf.to_container(verifier, resolve=True)
    limits = {key: value for key, value in node["pool"].items() if key != "workers"}
    return Path(run) / "rescore" / f"{node['name']}-{content_hash([node['check'], limits, replace])}"


def main(cfg: Any) -> Rescore:
    """The verb ``rescore``: grades, prints, writes."""
    from rftlab.verifiers.pool import build_pool

    of_run = configuration(cfg.run, cfg.replace)
    pool = training_pool(of_run, cfg.run)
    chosen = grader(cfg.verifier, of_run)
    check = OmegaConf.to_container(chosen.check, resolve=True)
    replace = OmegaConf.to_container(cfg.replace, resolve=True)
    out = _default(cfg.run, chosen, replace) if cfg.out is None else Path(str(cfg.out))
    outfile("" if cfg.out == "" else f"{out}.json")
    with build_pool(chosen) as verifier:
        found, rows = rescore(cfg.run, of_run.verifier.name, chosen.name, pool, verifier)
    write(Path(f"{out}.json"), json.dumps(asdict(found) | {"check": check}, indent=1) + "\n")
    write(Path(f"{out}.jsonl"), "".join(json.dumps(row) + "\n" for row in rows))
    print("\n".join([*found.lines(), f"written: {out}.json, {out}.jsonl"]))
    return found
