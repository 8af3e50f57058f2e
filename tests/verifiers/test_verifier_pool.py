"""Workers are real processes here, and so are the ways in which they fail."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from omegaconf import OmegaConf

sys.path.insert(0, str(Path(__file__).parent))
from faulty import Faulty, FaultyAtHome, FaultyProgram, Unloadable

import rftlab
from rftlab.config import compose
from rftlab.core import InputError, Status, Task, Verdict
from rftlab.verifiers.number import Number
from rftlab.verifiers.pool import VerifierPool, build_pool

CONF = Path(__file__).parents[2] / "conf"
TASK = Task("t0", 0, ({"role": "user", "content": "?"},), "1")
LONG = 300.0
"""Seconds: a deadline, or a patience, that nothing here reaches unless it is broken."""
SHORT = 3.0
"""A deadline that is to be exceeded. What is graded beside takes none of it, and may yet wait for the processor."""


def ask(pool: VerifierPool, *texts: str) -> list[Verdict]:
    return pool.grade([(text, TASK) for text in texts])


@pytest.fixture(scope="module")
def pool() -> Iterator[VerifierPool]:
    with VerifierPool(Faulty(), workers=2, deadline=LONG, memory_gib=1.0) as shared:
        yield shared


def state(pid: int) -> str:
    """The kernel's letter for a process: R has or wants a processor, S waits for something, X is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"


def gone(pid: int) -> bool:
    """Whether a process has ended (a zombie nobody has waited for counts as ended)."""
    return state(pid) in "ZX"


def wait_until(claim: Callable[[], bool]) -> bool:
    end = time.monotonic() + LONG
    while not claim():
        if time.monotonic() > end:
            return False
        time.sleep(0.02)
    return True


def test_verdicts_come_back_in_the_order_of_the_items(pool: VerifierPool) -> None:
    texts = [f"item{i}" if i % 50 else f"sleep 0.0{i % 7}" for i in range(1000)]
    verdicts = ask(pool, *texts)
    assert [v.answer for v in verdicts] == texts
    assert all(v.passed and v.status is Status.OK and v.seconds >= 0 for v in verdicts)


def test_waiting_for_a_hanging_grader_can_be_stopped() -> None:
    class Enough(Exception):
        pass

    looks = 0

    def poll() -> None:
        nonlocal looks
        looks += bool(pool._workers[0].hand)
        if looks == 3:
            raise Enough

    with VerifierPool(Faulty(), workers=1, deadline=LONG, poll=poll) as pool, pytest.raises(Enough):
        ask(pool, "sleep 60")


def test_no_items_no_verdicts(pool: VerifierPool) -> None:
    assert pool.grade([]) == []


@pytest.mark.parametrize("text", ["sleep 60", "backtrack"])
def test_a_hanging_grader_is_a_fault_and_the_items_behind_it_are_graded(text: str) -> None:
    with VerifierPool(Faulty(), workers=2, deadline=SHORT) as pool:
        verdicts = ask(pool, "a", text, *(f"b{i}" for i in range(300)))
        assert [v.status for v in verdicts] == [Status.OK, Status.FAULT] + [Status.OK] * 300
        assert [v.answer for v in verdicts[2:]] == [f"b{i}" for i in range(300)]
        assert verdicts[1].seconds >= SHORT and pool.reasons == {1: "no verdict within 3 s"} and pool.replaced == 1


def test_a_slow_item_within_the_deadline_is_not_stopped_by_the_time_of_its_chunk() -> None:
    with VerifierPool(Faulty(), workers=1, deadline=SHORT) as pool:
        assert all(v.passed for v in ask(pool, *["sleep 0.4"] * 9, *"abcdefghi")), "a chunk of 9 takes 3.6 s"


def test_an_exception_is_a_fault_and_names_itself(pool: VerifierPool) -> None:
    before = pool.replaced
    verdicts = ask(pool, "a", "raise", "exit", "none", "b")
    assert [v.status for v in verdicts] == [Status.OK, Status.FAULT, Status.FAULT, Status.FAULT, Status.OK]
    assert not verdicts[1].passed and "no such column" in pool.reasons[1] and "SystemExit" in pool.reasons[2]
    assert pool.replaced == before


@pytest.mark.parametrize("score", ["1.5", "-0.1", "nan", "inf"])
def test_a_score_that_is_no_number_in_0_1_is_a_fault(pool: VerifierPool, score: str) -> None:
    (verdict,) = ask(pool, f"score {score}")
    assert verdict == Verdict(0.0, False, Status.FAULT, None, verdict.seconds)


def test_a_worker_that_eats_memory_is_replaced() -> None:
    with VerifierPool(Faulty(), workers=1, deadline=LONG, memory_gib=0.5) as pool:
        verdicts = ask(pool, "a", "eat", "b", "c")
        assert [v.status for v in verdicts] == [Status.OK, Status.FAULT, Status.OK, Status.OK]
        assert pool.reasons == {1: "out of memory"} and pool.replaced == 1


def test_a_worker_that_dies_is_replaced(pool: VerifierPool) -> None:
    verdicts = ask(pool, *["a", "crash", "b"] * 5)
    assert [v.status for v in verdicts] == [Status.OK, Status.FAULT, Status.OK] * 5
    assert set(pool.reasons) == {1, 4, 7, 10, 13} and "exit code 9" in pool.reasons[1]


def test_a_worker_killed_while_idle_costs_no_verdict(pool: VerifierPool) -> None:
    for worker in pool._workers:
        os.kill(worker.process.pid, signal.SIGKILL)
        os.waitid(os.P_PID, worker.process.pid, os.WEXITED | os.WNOWAIT)  # the last thread too, not only the first
    assert [v.status for v in ask(pool, *"abcd")] == [Status.OK] * 4, pool.reasons


def test_a_dead_worker_whose_pipe_is_still_open_costs_no_verdict() -> None:
    with VerifierPool(Faulty(), workers=1, deadline=LONG) as pool:
        assert ask(pool, "a")[0].passed
        (worker,) = pool._workers
        reader = os.open(f"/proc/self/fd/{worker.process.stdin.fileno()}", os.O_RDONLY)
        worker.process.kill()
        os.waitid(os.P_PID, worker.process.pid, os.WEXITED | os.WNOWAIT)
        assert ask(pool, "b")[0].passed and pool.replaced == 1, pool.reasons
        os.close(reader)


@pytest.mark.parametrize(("text", "deadline"), [("sleep 60", SHORT), ("eat", LONG), ("crash", LONG)])
def test_a_candidate_that_exceeds_its_own_limits_scores_0_and_is_a_trial(text: str, deadline: float) -> None:
    with VerifierPool(FaultyProgram(), workers=1, deadline=deadline, memory_gib=0.5) as pool:
        first, second = ask(pool, text, "b")
        assert (first.status, first.score, first.valid) == (Status.TIMEOUT, 0.0, True)
        assert second.status is Status.OK


def test_unparsable_is_a_trial(pool: VerifierPool) -> None:
    (verdict,) = ask(pool, "unparsable")
    assert verdict.valid and verdict.status is Status.UNPARSABLE and verdict.score == 0


def test_a_verifier_that_prints_or_reads_does_not_disturb_the_conversation(pool: VerifierPool) -> None:
    assert [v.status for v in ask(pool, "print", "read", "b")] == [Status.OK] * 3


def test_workers_do_not_load_torch_nor_the_main_module(pool: VerifierPool) -> None:
    (verdict,) = ask(pool, "torch")
    assert verdict.status is Status.OK and not verdict.passed


def test_an_error_in_the_caller_leaves_the_pool_usable(pool: VerifierPool, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(pool, "_collect", interrupted)
        ask(pool, *["sleep 0.3", "old"] * 20)
    assert [v.answer for v in ask(pool, "new", "newer")] == ["new", "newer"]


def test_ctrl_c_and_sigterm_do_not_stop_a_worker() -> None:
    with VerifierPool(Faulty(), workers=1, deadline=LONG) as pool:
        (before,) = ask(pool, "pid")
        for stop in (signal.SIGINT, signal.SIGTERM):
            os.kill(int(before.answer or 0), stop)
        (after,) = ask(pool, "pid")
    assert after.answer == before.answer and pool.replaced == 0


def test_a_trusted_verifier_runs_in_this_process_and_its_exceptions_are_faults_too() -> None:
    with VerifierPool(FaultyAtHome()) as pool:
        verdicts = ask(pool, "pid", "raise")
        assert pool._workers == [] and verdicts[0].answer == str(os.getpid())
        assert verdicts[1].status is Status.FAULT and "KeyError" in pool.reasons[1]


def test_close_ends_the_workers_and_what_they_started(tmp_path: Path) -> None:
    note = tmp_path / "pids"
    with VerifierPool(Faulty(), workers=1, deadline=SHORT) as pool:
        ask(pool, f"child {note}")
        pids = [*map(int, note.read_text().split()), pool._workers[0].process.pid]
        assert wait_until(lambda: all(gone(pid) for pid in pids[:2])), "the overdue worker and its child are killed"
    assert all(gone(pid) for pid in pids)
    pool.close()


PARENT = """
import sys
sys.path.insert(0, sys.argv[1])
from faulty import Faulty
from rftlab.core import Task
from rftlab.verifiers.pool import VerifierPool

if __name__ == "__main__":
    pool = VerifierPool(Faulty(), workers=3, deadline=600)
    task = Task("t", 0, (), "1")
    print(*{v.answer for v in pool.grade([("pid", task)] * 300)}, *[w.process.pid for w in pool._workers], flush=True)
    pool.grade([("child " + sys.argv[2], task), ("backtrack", task), ("backtrack", task)])
"""


def test_workers_and_their_programs_do_not_outlive_a_parent_killed_by_9(tmp_path: Path) -> None:
    script, note = tmp_path / "parent.py", tmp_path / "pids"
    script.write_text(PARENT)
    source = str(Path(rftlab.__file__).parents[1])
    parent = subprocess.Popen(
        [sys.executable, str(script), str(Path(__file__).parent), str(note)],
        stdout=subprocess.PIPE,
        env=os.environ | {"PYTHONPATH": source},
        text=True,
    )
    assert parent.stdout is not None
    pids = {int(pid) for pid in parent.stdout.readline().split()}
    assert wait_until(lambda: note.exists() and note.read_text().count(" ") == 1)
    pids |= set(map(int, note.read_text().split()))
    assert len(pids) == 4, "three workers and a program"
    assert not any(gone(pid) for pid in pids)
    assert wait_until(lambda: sum(state(pid) == "R" for pid in pids) == 2), "the others hold their interpreters"
    parent.kill()
    parent.wait()
    parent.stdout.close()
    assert wait_until(lambda: all(gone(pid) for pid in pids))


def test_a_verifier_that_a_worker_cannot_load_is_wrong_input_at_once() -> None:
    with VerifierPool(Unloadable(), workers=1) as pool, pytest.raises(InputError, match=r"Unloadable.*importable"):
        ask(pool, "a")


@pytest.mark.parametrize("wrong", [{"workers": 0}, {"deadline": 0}, {"deadline": -1}, {"memory_gib": 0.1}])
def test_impossible_settings_are_refused_by_name(wrong: dict[str, float]) -> None:
    with pytest.raises(InputError, match=f"verifier.pool.{next(iter(wrong))}"):
        VerifierPool(Faulty(), **wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", [path.stem for path in sorted((CONF / "verifier").glob("*.yaml"))])
def test_the_shipped_configurations_build(name: str) -> None:
    cfg = compose([f"verifier={name}"]).verifier
    assert cfg.name == name
    if name in ("python", "remote", "by_source"):  # what they call must be named first
        with pytest.raises(InputError, match=r"verifier\.check\.(function|base_url)=|dataset\.parts="):
            build_pool(cfg)
        return
    with build_pool(cfg) as pool:
        assert (pool._workers == []) == pool.verifier.trusted


def test_a_setting_of_the_check_reaches_the_verifier_and_a_wrong_one_is_one_line() -> None:
    cfg = OmegaConf.load(CONF / "verifier" / "number.yaml")
    cfg.check.tolerance = 0.5
    with build_pool(cfg) as pool:
        assert isinstance(pool.verifier, Number)
        assert [v.passed for v in ask(pool, "1.5", "1.6")] == [True, False]
    cfg.check.tolerance = -1
    with pytest.raises(InputError, match="tolerance"):
        build_pool(cfg)
    cfg.check = {"_target_": cfg.check._target_, "tolerance": 0, "tol": 1}
    with pytest.raises(InputError, match=r"verifier\.check") as refused:
        build_pool(cfg)
    assert "\n" not in str(refused.value)
