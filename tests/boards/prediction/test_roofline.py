"""Roofline: each bound where it belongs, power modes as shares of it, missing figures told."""

from __future__ import annotations

import dataclasses

import pytest

from dis2_boards.figures import PowerMode, Software
from dis2_boards.prediction.roofline import predict_ms
from dis2_boards.prediction.setting import settings_of
from dis2_boards.profile import load
from dis2_edge.cli import main
from dis2_edge.costs import LayerCost
from dis2_edge.errors import BoardError
from tests.boards.prediction.costed_run import ORIN, board_of, figure, roofline_of


def test_a_layer_takes_its_tightest_bound_and_the_launch() -> None:
    layers = [
        LayerCost("busy", "Conv", "fp16", 500_000_000, 8),  # 1 ms at 500 GOP/s
        LayerCost("wide", "Add", "fp16", 8, 10_000_000),  # 2 ms at 5 GB/s
        LayerCost("tiny", "Add", "fp16", 8, 8),
        LayerCost("view", "Reshape", "fp16", 0, 10_000_000),
    ]
    found = predict_ms(layers, board_of())
    assert [(time.layer.name, time.bound) for time in found.layers] == [
        ("busy", "compute"),
        ("wide", "memory"),
        ("tiny", "overhead"),
    ]
    assert [time.ms for time in found.layers] == pytest.approx([1.1, 2.1, 0.1], rel=1e-3)
    assert found.ms == pytest.approx(3.3, rel=1e-3)
    assert found.ms_bound_by("memory") == pytest.approx(2.1, rel=1e-3)
    assert found.board == "orin-nx-16gb"


def test_a_call_adds_to_every_image_as_overhead() -> None:
    layer = LayerCost("busy", "Conv", "fp16", 500_000_000, 8)
    found = predict_ms([layer], board_of(roofline_of(call=figure(2.5, "ms"))))
    assert found.ms == pytest.approx(3.6, rel=1e-3)
    assert found.ms_bound_by("overhead") == pytest.approx(2.5)


def test_a_mode_leaves_shares_of_peak_and_bandwidth_and_an_unknown_clock_no_prediction() -> None:
    board = load("agx-orin-64gb")
    default, dark = settings_of(board, "30W")[0], settings_of(board, "50W")[0]
    assert default.compute == pytest.approx(612 / 1300 * 8 / 16)
    assert (default.default, default.power and default.power.value, dark.compute) == (True, 30, None)
    assert len(settings_of(board)) == len(board.power_modes)
    with pytest.raises(BoardError, match="clocks of 'agx-orin-64gb' in mode '50W' are not known"):
        predict_ms([LayerCost("a", "Conv", "fp16", 1, 1)], board, dark)


def test_a_format_without_a_figure_and_a_board_without_a_roofline_are_refused() -> None:
    layer = LayerCost("a", "Conv", "fp32", 1, 1)
    with pytest.raises(BoardError, match=r"no figure for layers in fp32; expected layers in fp16, int8"):
        predict_ms([layer], board_of())
    with pytest.raises(BoardError, match=r"no roofline; add a \[roofline\]"):
        predict_ms([layer], dataclasses.replace(ORIN, roofline=None))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"peaks": {"fp16": figure(1, "TOPS"), "int8": figure(1, "GOP/s")}}, "a number of GOP/s above 0"),
        ({"peaks": {"fp16": figure(0, "GOP/s"), "int8": figure(1, "GOP/s")}}, "above 0"),
        ({"peaks": {"fp16": figure(float("nan"), "GOP/s"), "int8": figure(1, "GOP/s")}}, "above 0"),
        ({"peaks": {"fp16": figure(1, "GOP/s")}}, "both of the same formats"),
        ({"peaks": {"int4": figure(1, "GOP/s")}, "efficiency": {"int4": figure(1, "share")}}, "both of the same"),
        ({"efficiency": {"fp16": figure(1.2, "share"), "int8": figure(1, "share")}}, "at most 1"),
        ({"bandwidth": figure(-1, "GB/s")}, "above 0"),
        ({"overhead": figure(5, "ms")}, "0 us or more"),
        ({"call": figure(5, "us")}, "0 ms or more"),
        ({"error": figure(0.9, "factor")}, "a factor of 1 or more"),
        ({"error": figure(1.5, "%")}, "a factor of 1 or more"),
    ],
)
def test_a_roofline_that_cannot_be_is_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(BoardError, match=message):
        roofline_of(**changes)


def test_modes_without_source_and_broken_versions_are_refused() -> None:
    with pytest.raises(BoardError, match="no source"):
        PowerMode("MAXN", "all of it", " ")
    with pytest.raises(BoardError, match="a version such as"):
        Software("JetPack", "3.10", "12.6", "10.x", "made up")


def test_the_orin_counts_neither_sparsity_nor_dla() -> None:
    hardware, roofline = ORIN.hardware, ORIN.roofline
    assert roofline is not None
    dense = hardware["multiprocessors"].value * 4096 * hardware["clock"].value / 1000
    assert roofline.peaks["int8"].value == pytest.approx(dense, rel=0.01)
    assert roofline.peaks["fp16"].value == roofline.peaks["int8"].value / 2
    assert [row.tensorrt for row in ORIN.software] == ["10.3", "10.16"]
    assert sum(mode.default for mode in ORIN.power_modes) == 1


def test_the_verb_shows_the_orins_figures(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["boards"]) == 0
    assert "orin-nx-16gb" in capsys.readouterr().out
    assert main(["boards", "orin-nx-16gb"]) == 0
    shown = capsys.readouterr().out
    for words in ("15W (default)", "JetPack 6.2", "10.16", "8.7 cc", "peak int8", "no measurements", "never run"):
        assert words in shown
    assert main(["boards", "host"]) == 0
    assert "171 GOP/s" in capsys.readouterr().out
