"""One owner, one identity, a status that survives."""

import json
import os
import socket
import subprocess
import sys

import pytest

from rftlab.core import InputError
from rftlab.rundir import RunDir


def test_a_second_process_is_refused_and_told_who_owns_it(tmp_path):
    first = RunDir(tmp_path / "run")
    first.set_status("running", 3)
    code = (
        "import sys; from rftlab.rundir import RunDir; from rftlab.core import InputError\n"
        "try: RunDir(__import__('pathlib').Path(sys.argv[1]))\nexcept InputError as e: print(e); sys.exit(2)"
    )
    other = subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], capture_output=True, text=True)
    assert other.returncode == 2 and f"process {os.getpid()}" in other.stdout
    first.close()
    again = subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], capture_output=True, text=True)
    assert again.returncode == 0
    assert first.status()["step"] == 3


def test_the_owner_is_told_before_it_has_written_a_status(tmp_path):
    first = RunDir(tmp_path / "run")
    with pytest.raises(InputError, match=rf"being written by process {os.getpid()} on {socket.gethostname()};"):
        RunDir(tmp_path / "run")
    with pytest.raises(InputError, match=rf"being written by process {os.getpid()} on"):  # asking has erased nothing
        RunDir(tmp_path / "run")
    first.close()


def test_a_directory_that_nothing_was_written_into_vanishes_with_the_folders_made_for_it(tmp_path):
    (tmp_path / "outputs").mkdir()
    run = RunDir(tmp_path / "outputs" / "arm" / "seed0")
    neighbour = RunDir(tmp_path / "outputs" / "arm" / "seed1")
    neighbour.set_status("running", 0)
    run.close()
    neighbour.close()
    assert [p.name for p in (tmp_path / "outputs" / "arm").iterdir()] == ["seed1"]
    alone = RunDir(tmp_path / "outputs" / "other" / "seed0")
    alone.close()
    assert [p.name for p in (tmp_path / "outputs").iterdir()] == ["arm"]


def test_a_directory_that_was_there_stays(tmp_path):
    RunDir(tmp_path).close()
    assert [p.name for p in tmp_path.iterdir()] == [".lock"]


def test_who_waits_for_a_lock_that_vanishes_gets_a_directory_of_its_own(tmp_path):
    first = RunDir(tmp_path / "run")
    code = (
        "import sys, time; from pathlib import Path; from rftlab import rundir\n"
        "take = rundir._take\n"
        "def slow(lock):\n"
        "    print('waits', flush=True); sys.stdin.readline(); rundir._take = take; return take(lock)\n"
        "rundir._take = slow\n"
        "run = rundir.RunDir(Path(sys.argv[1])); run.set_status('running', 0); print((run.path / '.lock').read_text())"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path / "run")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert other.stdout.readline() == "waits\n"  # it has opened the file that goes now
    first.close()
    assert not (tmp_path / "run").exists()
    said, _ = other.communicate("go\n", timeout=240)
    assert said.startswith(f"process {other.pid} on ") and (tmp_path / "run" / "status.json").is_file()


def test_an_unwritable_place_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot write to .*file.*outputs_dir=DIR"):
        RunDir(tmp_path / "file" / "run")


def test_identity_is_kept_over_starts_and_a_stranger_is_refused(tmp_path):
    run = RunDir(tmp_path)
    run.identify(pool="abc", seed=0)
    again = run.identify(pool="abc", seed=0)
    assert len(again["starts"]) == 2 and again["starts"][0]["versions"]["rftlab"]
    with pytest.raises(InputError, match=r"pool differ \(abc there, xyz now\)"):
        run.identify(pool="xyz", seed=0)
    assert len(json.loads((tmp_path / "run.json").read_text())["starts"]) == 2
    assert run.identify(pool="abc", seed=0, added="later")["added"] == "later"
    with pytest.raises(InputError, match=r"added differ \(later there, other now\)"):
        run.identify(pool="abc", seed=0, added="other")


def test_a_broken_status_reads_as_none(tmp_path):
    run = RunDir(tmp_path)
    (tmp_path / "status.json").write_text('{"state": "runn')
    assert run.status() == {}
