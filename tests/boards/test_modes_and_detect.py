"""Power modes by name, and what the verb says of the machine that it finds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dis2_boards.detection import Detected
from dis2_boards.detection.jetson import MODELS, MODULES
from dis2_boards.modes import bandwidth_share, compute_share, mode_named
from dis2_boards.profile import known_boards, load
from dis2_boards.verbs.detected import judged
from dis2_edge.cli import main
from dis2_edge.errors import BoardError
from tests.boards.detection.trees import ORIN_NX_SUPER, plant


def test_modes_are_known_by_name_and_more_watts_may_be_slower() -> None:
    board = load("orin-nx-16gb")
    assert compute_share(board, mode_named(board, "25W")) == pytest.approx(408 / 918)
    assert compute_share(board, mode_named(board, "MAXN_SUPER")) == pytest.approx(1173 / 918)
    assert compute_share(board, mode_named(board, "40W")) is None, "a clock nobody knows was made up"
    with pytest.raises(BoardError, match=r"no power mode '25'.*did you mean '25W'"):
        mode_named(board, "25")
    with pytest.raises(BoardError, match="no mode: its file has none"):
        mode_named(load("host"), "MAXN")


def test_active_multiprocessors_and_memory_clocks_count() -> None:
    agx = load("agx-orin-64gb")
    thirty = mode_named(agx, "MODE_30W")
    assert thirty.default
    assert compute_share(agx, thirty) == pytest.approx(20 / 85, rel=0.01)
    assert bandwidth_share(agx, thirty) == 1.0
    nano = load("orin-nano-8gb")
    assert bandwidth_share(nano, mode_named(nano, "MAXN_SUPER")) == pytest.approx(102 / 68)


def test_detect_tells_this_machine_and_a_tree(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boards", "detect", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["machine"]
    root = plant(tmp_path, ORIN_NX_SUPER)
    assert main(["boards", "detect", "--root", str(root)]) == 0
    shown = capsys.readouterr().out
    for words in ("orin-nx-16gb", "p3767-0000", "40W (default)", "up to 408 of 918 MHz in mode '25W'"):
        assert words in shown
    assert main(["boards", "detect", "--root", str(root / "gone")]) == 2
    assert "is no folder" in capsys.readouterr().err
    assert main(["boards", "host", "--json"]) == 2
    assert "without detect" in capsys.readouterr().err


def test_what_detection_means_is_said(tmp_path: Path) -> None:
    assert "no board file fits" in judged(Detected(kind="jetson"))[0]
    assert judged(Detected(board="nano"))[0].startswith("nano is refused: ends at")
    assert any(
        "'99W' is not in the board file" in line for line in judged(Detected(board="orin-nx-16gb", power_mode="99W"))
    )


def test_every_board_that_detection_names_has_a_file() -> None:
    assert set(MODULES.values()) <= set(known_boards())
    assert {name for _, boards in MODELS for name in boards.values()} <= set(known_boards())
