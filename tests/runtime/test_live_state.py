"""The state file tells how a flight goes, and whatever its disk does, the flight does not notice."""

from __future__ import annotations

import dataclasses
import errno
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from opened import flight_words
from outcomes import outcome_of
from tiny_bundle import NDSM, RGB, task_of, write_scene

from dis2_edge.bundle import Bundle
from dis2_edge.cli import main
from dis2_runtime import live_state
from dis2_runtime.live_state import LiveState

TASK = task_of(RGB, NDSM)
KEYS = {"bundle", "pid", "started_s", "written_s", "ticks", "answered", "scenario", "blind", "why", "engine"}
KEYS |= {"precision", "rate_hz", "p50_ms", "sensors", "telemetry", "ended"}


def told(path: Path) -> dict[str, Any]:
    return json.loads(path.read_text())


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """Every table that was written."""
    found: list[dict[str, Any]] = []
    real = live_state.write_json

    def write(path: Path, table: dict[str, Any]) -> None:
        found.append(table)
        real(path, table)

    monkeypatch.setattr(live_state, "write_json", write)
    return found


def test_a_flight_leaves_what_it_was_and_how_it_ended(two: Bundle, tmp_path: Path) -> None:
    scene, state = write_scene(tmp_path / "scene", TASK), tmp_path / "state" / "live.json"
    words = ["run", str(two.path), *flight_words(scene), "--out", str(tmp_path / "out"), "--threads", "1"]
    assert main([*words, "--speed", "max", "--ticks", "7", "--state", str(state)]) == 0
    found = told(state)
    assert set(found) == KEYS
    assert (found["bundle"], found["ended"], found["ticks"], found["answered"]) == (two.id, "ticks", 7, 7)
    assert (found["engine"], found["precision"], found["blind"]) == ("onnxruntime", "int8", False)
    assert found["scenario"] == "rgb+ndsm"
    assert found["sensors"] == {"rgb": "ok", "ndsm": "ok"}
    assert found["p50_ms"] > 0
    assert found["started_s"] <= found["written_s"]
    assert [path.name for path in state.parent.iterdir()] == ["live.json"]


def test_a_flight_that_cannot_begin_says_why(two: Bundle, tmp_path: Path) -> None:
    state = tmp_path / "live.json"
    assert main(["run", str(two.path), "--out", str(tmp_path / "out"), "--state", str(state)]) == 2
    assert told(state)["ended"].startswith("error: no sensor has a source")


def test_a_file_within_the_bundle_is_refused(two: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(two.path), "--state", str(two.path / "live.json")]) == 2
    assert "choose another --state" in capsys.readouterr().err
    assert not (two.path / "live.json").exists()


def test_blind_ticks_and_what_stands_in_are_told(tmp_path: Path) -> None:
    with LiveState(tmp_path / "live.json", "id", telemetry=lambda: {"power_w": 7.5}) as state:
        state.write(dataclasses.replace(outcome_of(TASK, 0), engine="tensorrt fp16, reloaded (x)", latency_ms=4.0))
        state.write(outcome_of(TASK, 3, "blind"))
        state.end("request")
    found = told(tmp_path / "live.json")
    assert (found["engine"], found["precision"], found["p50_ms"]) == ("tensorrt", "fp16", 4.0)
    assert (found["blind"], found["scenario"], found["ticks"], found["answered"]) == (True, "blind", 4, 2)
    assert found["telemetry"] == {"power_w": 7.5}


def test_it_writes_at_most_once_a_second(tmp_path: Path, writes: list[dict[str, Any]]) -> None:
    begin = time.monotonic()
    with LiveState(tmp_path / "live.json", "id") as state:
        for number in range(3000):
            state.write(outcome_of(TASK, number % 3))
    assert 1 <= len(writes) <= 3 + (time.monotonic() - begin) / live_state.EVERY_S


def test_a_full_disk_is_told_once_and_leaves_no_stale_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tried, lines, path = threading.Semaphore(0), [], tmp_path / "live.json"
    path.write_text('{"bundle": "of the flight before"}')

    def full(*_: Any) -> None:
        tried.release()
        raise OSError(errno.ENOSPC, "no space")

    monkeypatch.setattr(live_state, "write_json", full)
    with LiveState(path, "id", lines.append, every_s=0.001) as state:
        for number in range(3):
            state.write(outcome_of(TASK, number))
            assert tried.acquire(timeout=30)
    assert not path.exists()
    assert len(lines) == 1
    assert "is not written" in lines[0]


def test_a_disk_that_hangs_holds_up_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    hangs = threading.Event()
    monkeypatch.setattr(live_state, "write_json", lambda *_: hangs.wait(60))
    monkeypatch.setattr(live_state, "_FAREWELL_S", 0.01)
    with LiveState(tmp_path / "live.json", "id") as state:
        for number in range(10):
            state.write(outcome_of(TASK, number))
    assert state._thread.is_alive(), "it was not waited for"
    hangs.set()
    state._thread.join(30)


def test_a_reader_of_telemetry_that_fails_costs_its_part_alone(tmp_path: Path) -> None:
    def broken() -> None:
        raise RuntimeError("no rails")

    with LiveState(tmp_path / "live.json", "id", telemetry=broken) as state:
        state.end("seconds")
    assert (told(tmp_path / "live.json")["telemetry"], told(tmp_path / "live.json")["ended"]) == (None, "seconds")
