"""dis2_edge.terminal: bars and tables in a terminal, quiet plain text in a pipe, stdout kept for results."""

import io
import json
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from dis2_edge import terminal

Capture = pytest.CaptureFixture[str]


class Screen(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def one_screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    """Make stderr and stdout one terminal (called by the test itself: pytest puts its own back after fixtures)."""
    shown = Screen()
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "stderr", shown)
    monkeypatch.setattr(sys, "stdout", shown)
    return shown


def test_a_fault_inside_a_bar_still_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = one_screen(monkeypatch)

    def stop_at_two() -> None:
        for item in terminal.progress(range(5), "tiles"):
            if item == 2:
                raise ValueError

    with pytest.raises(ValueError):  # noqa: PT011
        stop_at_two()
    assert terminal._bars is None
    assert screen.getvalue().endswith("\x1b[?25h"), "the cursor is shown again"


def test_items_that_fail_end_the_bar_too(monkeypatch: pytest.MonkeyPatch) -> None:
    one_screen(monkeypatch)

    def items() -> Iterator[int]:
        yield 1
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        list(terminal.progress(items(), "tiles", total=2))
    assert terminal._bars is None


def test_a_bar_within_a_bar_is_drawn_on_the_same_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = one_screen(monkeypatch)
    pairs = [(a, b) for a in terminal.progress("ab", "epochs") for b in terminal.progress([1, 2], "batches")]
    assert pairs == [("a", 1), ("a", 2), ("b", 1), ("b", 2)]
    assert "epochs" in screen.getvalue()
    assert terminal._bars is None


def test_piped_progress_is_a_line_at_the_start_and_one_at_the_end_on_stderr(capsys: Capture) -> None:
    assert list(terminal.progress(iter("abc"), "tiles", total=3)) == ["a", "b", "c"]
    out, err = capsys.readouterr()
    assert out == ""
    first, last = err.splitlines()
    assert first == "tiles ... (3)"
    assert last.startswith("tiles: 3 in ")


def test_piped_progress_that_is_left_early_says_how_far_it_came(capsys: Capture) -> None:
    for item in terminal.progress(range(9), "tiles"):
        if item == 4:
            break
    assert "tiles: 4 in " in capsys.readouterr().err


def test_a_piped_table_is_plain_aligned_text(capsys: Capture) -> None:
    terminal.table("Scores", ["class", "IoU"], [["flood", 61.25], ["dry land", "9"]])
    assert capsys.readouterr().out.splitlines() == [
        "Scores",
        "class       IoU",
        "--------  -----",
        "flood     61.25",
        "dry land      9",
    ]


def test_a_table_may_be_empty(capsys: Capture) -> None:
    terminal.table("", ["class", "IoU"], [])
    assert capsys.readouterr().out.splitlines()[0] == "class  IoU"


def test_a_drawn_table_shows_cells_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = one_screen(monkeypatch)
    terminal.table("Scores", ["class"], [["[red]roof[/red]"]])
    assert "[red]roof[/red]" in screen.getvalue()


@pytest.mark.parametrize(("columns", "lines"), [("100", True), ("40", False)])
def test_a_table_too_wide_for_the_screen_loses_its_lines_and_no_figure(
    monkeypatch: pytest.MonkeyPatch, columns: str, lines: bool
) -> None:
    screen = one_screen(monkeypatch)
    monkeypatch.setenv("COLUMNS", columns)
    names = [f"column{place}" for place in range(5)]
    terminal.table("", names, [["-0.03 [-0.07, 0.02]", "74.92", "99.75", "pass", "2.0"]])
    assert "-0.03 [-0.07, 0.02]" in screen.getvalue()
    assert ("│" in screen.getvalue()) == lines


@pytest.mark.parametrize("asked", [True, False])
def test_a_cell_has_its_colour_in_a_terminal_that_may(monkeypatch: pytest.MonkeyPatch, asked: bool) -> None:
    screen = one_screen(monkeypatch)
    if asked:
        monkeypatch.setenv("NO_COLOR", "1")
    terminal.table("", ["verdict"], [["pass"], ["FAIL"]], {"FAIL": "red"})
    assert ("\x1b[31mFAIL" in screen.getvalue()) != asked
    assert "\x1b[31mpass" not in screen.getvalue()


@pytest.mark.parametrize("asked", [True, False])
def test_no_color_is_respected(monkeypatch: pytest.MonkeyPatch, asked: bool) -> None:
    screen = one_screen(monkeypatch)
    if asked:
        monkeypatch.setenv("NO_COLOR", "1")
    list(terminal.progress(range(3), "tiles"))
    assert bool(re.search(r"\x1b\[(?:\d+;)*3[0-8]", screen.getvalue())) != asked


def test_say_goes_to_stdout_and_warn_to_stderr(capsys: Capture) -> None:
    terminal.say("done")
    terminal.warn("no GPU")
    assert capsys.readouterr() == ("done\n", "warning: no GPU\n")


def test_results_stay_in_the_pipe_while_a_bar_is_on_the_screen() -> None:
    code = "from dis2_edge.terminal import *\nfor i in progress(range(2), 'bar'): say(f'result {i}')"
    ours, theirs = pty.openpty()
    environment: dict[str, Any] = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TERM": "xterm"}
    done = subprocess.run(
        [sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=theirs, env=environment, timeout=60, check=True
    )
    os.close(theirs)
    assert done.stdout == b"result 0\nresult 1\n"
    assert b"bar" in os.read(ours, 65536)
    os.close(ours)


def test_a_program_gets_a_line_of_json_a_step(capsys: Capture) -> None:
    with terminal.telling_programs():
        assert list(terminal.progress([1, 2, 3], "build")) == [1, 2, 3]
        assert list(terminal.progress(iter([1]), "no length")) == [1]
        terminal.warn("it is warm")
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    terminal.warn("for people again")
    assert capsys.readouterr().err == "warning: for people again\n"
    assert lines[0] == {"label": "build", "done": 0, "total": 3}
    assert {"label": "build", "done": 3, "total": 3} in lines
    assert {"label": "no length", "done": 0, "total": 0} in lines
    assert lines[-1] == {"label": "warning: it is warm", "done": 0, "total": 0}
