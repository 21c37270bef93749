"""Which reader is taken, and jetson-stats as a stand-in: imported only when asked, its shapes not trusted."""

from __future__ import annotations

import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from dis2_boards.telemetry import open as opening
from dis2_boards.telemetry import open_telemetry
from dis2_boards.telemetry.jtop import JtopTelemetry
from dis2_edge.errors import BoardError
from tests.boards.detection.trees import plant
from tests.boards.telemetry.sensors import ORIN_NX_SENSORS

TOLD: dict[str, Any] = {
    "power": {"rail": {"VDD_IN": {"volt": 5000, "curr": 1000, "power": 5000}, "VDD_SOC": {"power": 0}}, "tot": {}},
    "temperature": {"cpu": {"temp": 45.5, "online": True}, "cv0": {"temp": -256, "online": False}},
    "gpu": {"gpu": {"status": {"load": 73.0}, "freq": {"cur": 408000}}},
    "nvpmodel": "25W",
}


def stand_in(monkeypatch: pytest.MonkeyPatch, told: dict[str, Any], starts: Exception | None = None) -> list[str]:
    """A package jtop that tells `told`; returns what is called."""
    calls: list[str] = []

    class Client:
        def __init__(self, interval: float) -> None:
            calls.append(f"every {interval}")
            for name, value in told.items():
                setattr(self, name, value)

        def start(self) -> None:
            if starts:
                raise starts

        def close(self) -> None:
            calls.append("closed")

    module = types.ModuleType("jtop")
    module.jtop = Client  # type: ignore[attr-defined]
    module.__spec__ = types.SimpleNamespace(name="jtop")  # type: ignore[assignment]
    monkeypatch.setitem(sys.modules, "jtop", module)
    return calls


def test_jtop_tells_the_same_things(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = stand_in(monkeypatch, TOLD)
    with open_telemetry(prefer="jtop") as telemetry:
        found = telemetry.read()
    assert calls == ["every 1.0", "closed"]
    assert (found.power_w, found.rails) == (5.0, {"VDD_IN": 5.0, "VDD_SOC": 0.0})
    assert (found.temperatures_c, found.clocks_mhz) == ({"cpu": 45.5}, {"gpu": 408.0})
    assert (found.gpu_load, found.power_mode, found.source) == (0.73, "25W", "jtop")


@pytest.mark.parametrize("value", [None, [], 7, "text", {"rail": 3, "gpu": 4}, {"rail": {"a": None}}])
def test_other_shapes_of_jtop_are_survived(monkeypatch: pytest.MonkeyPatch, value: Any) -> None:
    stand_in(monkeypatch, dict.fromkeys(TOLD, value))
    found = JtopTelemetry().read()
    assert (found.power_w, found.gpu_load) == (None, None)


def test_jtop_that_breaks_off_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, {})
    assert "does not answer any more" in JtopTelemetry().read().why


def test_jtop_asked_for_by_name_must_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    stand_in(monkeypatch, TOLD, starts=ConnectionError("no socket"))
    with pytest.raises(BoardError, match=r"does not answer \(no socket\); start its service"):
        open_telemetry(prefer="jtop")
    monkeypatch.setitem(sys.modules, "jtop", None)
    with pytest.raises(BoardError, match=r"jetson-stats \(jtop\) is not installed"):
        open_telemetry(prefer="jtop")


def test_our_own_reader_goes_first(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    calls = stand_in(monkeypatch, TOLD)
    assert open_telemetry(plant(tmp_path, ORIN_NX_SENSORS)).source == "sysfs"
    assert calls == []
    blind = types.SimpleNamespace(measures_power=False, source="sysfs")
    monkeypatch.setattr(opening, "SysfsTelemetry", lambda root: blind)
    assert open_telemetry().source == "jtop"
    stand_in(monkeypatch, TOLD, starts=ConnectionError("no socket"))
    assert open_telemetry().source == "sysfs", "a service that does not run cost the reading of /sys"


def test_none_reads_nothing_and_nonsense_is_refused() -> None:
    with open_telemetry(prefer="none") as telemetry:
        assert telemetry.read().why == "telemetry is switched off"
    with pytest.raises(BoardError, match="did you mean 'sysfs'"):
        open_telemetry(prefer="sysf")  # type: ignore[arg-type]


def test_jtop_is_not_imported_before_it_is_asked() -> None:
    code = "import sys; import dis2_boards.telemetry as t; t.open_telemetry('/').read(); print('jtop' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.stdout.strip() == "False", done.stderr
