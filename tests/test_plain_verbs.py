"""Verbs without a configuration: where they write is said as everywhere, ``out=PLACE``."""

from __future__ import annotations

from pathlib import Path

import pytest

from rftlab import cli
from rftlab.plain_verbs import _parser


@pytest.mark.parametrize("verb", ["export", "report", "compare", "dashboard"])
@pytest.mark.parametrize("old", [["--out", "there"], ["--out=there"]])
def test_the_old_way_to_say_where_names_the_new_one(
    verb: str, old: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main([verb, *([] if verb == "dashboard" else ["run"]), *old]) == 2
    err = capsys.readouterr().err
    assert "write out=" in err and err.count("\n") == 1 and not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("args", "says"),
    [
        (["export", "run", "elsewhere"], "'elsewhere': wanted nothing more, or out=DIR"),
        (["export", "run", "out="], "out= is empty: wanted out=DIR"),
        (["export", "out=there"], "required: run"),
    ],
)
def test_a_place_that_is_none_is_one_line(args: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(args) == 2
    err = capsys.readouterr().err
    assert says in err and err.count("\n") == 1


def test_the_place_stands_anywhere_and_the_last_one_holds() -> None:
    parser = _parser("compare")
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--by")
    parser.add_out("DIR", "where")
    for args in (["out=x/y", "a", "b", "--by", "k"], ["a", "b", "--by", "k", "out=z", "out=x/y"]):
        chosen = parser.parse_args(args)
        assert (chosen.folders, chosen.by, chosen.out) == ([Path("a"), Path("b")], "k", Path("x/y"))
    assert parser.parse_args(["a"]).out is None


def test_help_says_it_as_it_is_typed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["export", "--help"])
    out = capsys.readouterr().out
    assert "out=DIR" in out and "--out" not in out
