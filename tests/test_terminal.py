"""What a person sees of a run."""

import io
from pathlib import Path

from rftlab.terminal import Console, duration, final_table


def row(step: int, **more: float) -> dict[str, float]:
    return {
        "step": float(step),
        "ledger/rollouts": 256.0 * step,
        "ledger/tokens": 1000.0 * step,
        "reward/mean": 0.25,
        "group/etr": 0.5,
        "time/generate": 2.0,
        "time/update": 1.0,
        "rate/tokens_per_second": 1234.0,
        "completion/truncated": 0.01,
        **more,
    }


def test_off_a_terminal_progress_is_plain_lines_and_few() -> None:
    out = io.StringIO()
    console = Console(out)
    for step in range(1, 201):
        console.step(row(step), steps=200)
    lines = out.getvalue().splitlines()
    assert len(lines) == 20 and lines[-1].startswith("step 200/200  rollouts 51,200  reward 0.250  ETR 0.50")
    assert "\x1b" not in out.getvalue()


def test_what_is_not_known_of_a_step_is_left_out() -> None:
    out = io.StringIO()
    Console(out).step(row(10, **{"group/etr": float("nan")}), steps=20)
    assert "reward 0.250  tok/s 1,234" in out.getvalue()


def test_a_step_with_an_evaluation_always_gets_its_line() -> None:
    out = io.StringIO()
    console = Console(out)
    console.step(row(7, **{"eval/accuracy": 0.321}), steps=200)
    assert "eval 0.321" in out.getvalue()


def test_missing_numbers_leave_their_place_empty() -> None:
    out = io.StringIO()
    console = Console(out)
    console.step({"step": 0.0}, steps=10, rollouts=100)
    console.step(row(10, **{"eval/accuracy": 0.4}), steps=10)
    assert out.getvalue().splitlines()[0] == "step 0/10  rollouts 0"


def test_the_final_table_splits_the_seconds_and_finds_the_best_evaluation() -> None:
    rows = [row(0, **{"eval/accuracy": 0.2, "eval/accuracy_se": 0.01}), row(1, **{"eval/accuracy": 0.5}), row(2)]
    rows.append(row(3, **{"eval/accuracy": 0.4, "time/eval": 6.0}))
    table = dict(final_table(rows))
    assert table["eval accuracy, start"] == "0.200 ± 0.010"
    assert table["eval accuracy, end"] == "0.400"
    assert table["eval accuracy, best"] == "0.500 at step 1"
    assert table["rollouts"] == "768" and table["ETR, mean"] == "0.50"
    assert table["seconds"] == "18.0 (generate 8.0, update 4.0, eval 6.0)"


def test_the_end_names_the_run_directory_on_its_last_line(tmp_path: Path) -> None:
    out = io.StringIO()
    console = Console(out)
    console.start(["title", "[not markup]"])
    console.finish([row(1)], tmp_path, "budget.steps")
    assert "[not markup]" in out.getvalue()
    assert out.getvalue().splitlines()[-1] == str(tmp_path)
    assert any(line.split() == ["ended", "by", "budget.steps"] for line in out.getvalue().splitlines())


def test_a_run_without_rows_has_an_empty_table() -> None:
    assert final_table([]) == []


def test_durations_read_as_people_say_them() -> None:
    assert [duration(s) for s in (0.4, 59.6, 184, 7500)] == ["0s", "1m00s", "3m04s", "2h05m"]
