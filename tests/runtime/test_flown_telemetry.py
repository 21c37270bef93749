"""The board's sensors in a flight: in each row, in the summary and in the state, and never in simulated time."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import pytest
from opened import flight_words
from tiny_bundle import NDSM, RGB, task_of, write_scene

from dis2_boards.telemetry import NoTelemetry, Reading, Watch
from dis2_edge.bundle import Bundle
from dis2_edge.cli import main
from dis2_runtime.fly import Flight, fly
from dis2_runtime.stream import Limits
from dis2_runtime.verbs import run as verb
from dis2_runtime.verbs.run import sources_of_words

TASK = task_of(RGB, NDSM)
READING = Reading(
    power_w=12.5,
    rails={"VDD_IN": 12.5},
    temperatures_c={"gpu": 51.0, "cpu": 48.0},
    clocks_mhz={"gpu": 408.0},
    gpu_load=0.5,
    power_mode="25W",
    source="sysfs",
    why="the rail VDD_IN: the board's whole input",
)


class Steady(NoTelemetry):
    """A board whose sensors always tell the same."""

    source = "sysfs"

    def read(self) -> Reading:
        return READING


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_scene(tmp_path_factory.mktemp("scene"), TASK)


def flight(scene: Path, speed: str) -> Flight:
    words = [word for word in flight_words(scene) if "=" in word]
    return Flight(sources=sources_of_words(words), speed=speed, limits=Limits(ticks=12), threads=1)  # type: ignore[arg-type]


def rows(out: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (out / "telemetry.jsonl").read_text().splitlines()]


def test_rows_and_summary_tell_the_board(two: Bundle, scene: Path, tmp_path: Path) -> None:
    read = threading.Event()

    class Told(Steady):
        def read(self) -> Reading:
            read.set()
            return READING

    with Watch(Told(), every_s=0.005) as watch:
        assert read.wait(60)
        summary = fly(two.path, tmp_path / "out", flight(scene, "real"), watch=watch)
    board = rows(tmp_path / "out")[-1]["board"]
    assert isinstance(board, dict)
    assert board.pop("age_ms") >= 0
    assert board == {
        "power_w": 12.5,
        "hottest_c": 51.0,
        "gpu_load": 0.5,
        "gpu_mhz": 408.0,
        "cpu_mhz": None,
        "power_mode": "25W",
    }
    told = summary["telemetry"]
    assert told["power_w"] == 12.5
    assert told["joules_a_frame"] == pytest.approx(12.5 * told["seconds"] / summary["states"]["fresh"], rel=0.01)
    assert (told["power_modes"], told["temperatures_c"]["gpu"]) == (["25W"], [51.0, 51.0])
    assert json.loads((tmp_path / "out" / "summary.json").read_text())["telemetry"] == told


def test_simulated_time_has_no_energy_and_the_same_rows_everywhere(two: Bundle, scene: Path, tmp_path: Path) -> None:
    with Watch(Steady(), every_s=0.005) as watch:
        summary = fly(two.path, tmp_path / "out", flight(scene, "max"), watch=watch)
    assert summary["telemetry"] is None
    assert {row["board"] for row in rows(tmp_path / "out")} == {None}


def test_the_verb_reads_the_board_and_says_what_it_found(
    two: Bundle, scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asked = []
    monkeypatch.setattr(verb, "open_telemetry", lambda prefer: asked.append(prefer) or Steady())
    words = ["run", str(two.path), *flight_words(scene), "--out", str(tmp_path / "out"), "--threads", "1"]
    state = tmp_path / "live.json"
    assert main([*words, "--ticks", "5", "--telemetry", "sysfs", "--state", str(state)]) == 0
    shown = capsys.readouterr().out
    assert asked == ["sysfs"]
    assert "at most 51 °C (gpu); GPU at 408 to 408 MHz; power mode 25W" in shown
    assert json.loads(state.read_text())["telemetry"]["power_w"] == 12.5


def test_switched_off_it_says_so(two: Bundle, scene: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", str(two.path), *flight_words(scene), "--out", str(tmp_path / "out"), "--threads", "1"]
    assert main([*words, "--ticks", "3", "--telemetry", "none"]) == 0
    assert "power: not measured (telemetry is switched off)" in capsys.readouterr().out
    assert {row["board"] for row in rows(tmp_path / "out")} == {None}
