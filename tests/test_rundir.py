"""One owner, one identity, a status that survives."""

import json
import os
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


def test_a_broken_status_reads_as_none(tmp_path):
    run = RunDir(tmp_path)
    (tmp_path / "status.json").write_text('{"state": "runn')
    assert run.status() == {}
