"""dis2_edge.gauge: a line a step, one bar on a terminal that has room for what it does, lines in a pipe."""

from __future__ import annotations

import io
import re
import sys

import pytest

from dis2_edge.gauge import Gauge


class Screen(io.StringIO):
    """A stream that says that it is a terminal."""

    def isatty(self) -> bool:
        return True


def test_piped_each_label_is_a_line_once(capsys: pytest.CaptureFixture[str]) -> None:
    gauge = Gauge("proving")
    for label, done in (("int8", 0), ("int8", 1), ("fp32", 0)):
        gauge.at(label, done, 2)
    gauge.close()
    assert capsys.readouterr().err.splitlines() == ["proving ...", "  int8", "  fp32"]


@pytest.mark.parametrize(
    ("label", "done", "total", "drawn"),
    [
        ("onnxruntime int8: time scenarios", 1, 3, r"  onnxruntime int8: time scenarios ━\S* 1/3 \S+ left"),
        ("onnxruntime-1.23.2-cp311-cp311-manylinux_2_27.whl", 2, 20, r"  onnxruntime-1\.23\S+… \S+ +2/20 \S+ left"),
    ],
)
def test_on_a_narrow_terminal_the_bar_is_there_with_its_label(
    label: str, done: int, total: int, drawn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    screen = Screen()
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr(sys, "stderr", screen)
    gauge = Gauge("building and proving the engines on the board")
    assert screen.getvalue() == "building and proving the engines on the board ...\n"
    gauge.at(label, done, total)
    gauge.close()
    gauge.close()
    assert re.search(drawn, re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", screen.getvalue()))
