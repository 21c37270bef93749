"""A profile's energy: watts while each model was timed, joules of a call, and 'not measured' with the reason."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from proven_bundle import make_data, make_proven

from dis2_boards.telemetry import NoTelemetry, Reading
from dis2_edge.report.write import draw, read
from dis2_runtime.profiling import profile as profiling
from dis2_runtime.profiling.profile import Choices, profile
from dis2_runtime.verbs.profile import print_energy

WHY = "the rail VDD_IN: the board's whole input"


class Steady(NoTelemetry):
    """A board that always takes 20 W."""

    source = "sysfs"

    def read(self) -> Reading:
        clocks, hot = {"gpu": 918.0, "cpu": 1984.0}, {"gpu": 55.5}
        return Reading(20.0, {"VDD_IN": 20.0}, hot, clocks, 0.9, "MAXN", self.source, WHY)


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_proven(tmp_path_factory.mktemp("made") / "bundle").path


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_data(tmp_path_factory.mktemp("data"))


def test_joules_are_watts_times_the_time_of_a_call(
    bundle: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(profiling, "open_telemetry", lambda prefer: Steady())
    monkeypatch.setattr(profiling, "READ_EVERY_S", 0.0005)
    report = profile([bundle], data, tmp_path / "out", choices=Choices(threads=1, calls=1500, precisions=("int8",)))
    for row in report.bundles[0].rows:
        mean_s = sum(row.latency.samples_ms) / len(row.latency.samples_ms) / 1e3
        assert row.power_w == pytest.approx(20.0)
        assert row.joules == pytest.approx(20.0 * mean_s, rel=0.05, abs=1e-5)
        assert row.energy_why == WHY
    assert read(tmp_path / "out") == report
    page = (tmp_path / "out" / "report.html").read_text()
    for words in ("J a frame", "20.0 W, at most 20.0 W", "gpu 56 °C", "gpu 918 MHz, cpu 1984 MHz", "MAXN", "90 %"):
        assert words in page
    print_energy(report)
    assert "Energy" in capsys.readouterr().out


def test_what_was_not_measured_is_said_not_left_out(
    bundle: Path, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    choices = Choices(threads=1, calls=25, precisions=("int8",), telemetry="none")
    report = profile([bundle], data, tmp_path / "out", choices=choices)
    row = json.loads((tmp_path / "out" / "report.json").read_text())["bundles"][0]["rows"][0]
    assert (row["power_w"], row["joules"]) == (None, None)
    assert row["energy_why"]
    page = (tmp_path / "out" / "report.html").read_text()
    assert "not measured (telemetry is switched off)" in page
    print_energy(report)
    assert capsys.readouterr().out.strip() == "power: not measured (telemetry is switched off)"


def test_a_report_from_before_has_no_energy_and_is_drawn_all_the_same(bundle: Path, data: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    profile([bundle], data, out, choices=Choices(threads=1, calls=25, precisions=("int8",), telemetry="none"))
    table = json.loads((out / "report.json").read_text())
    del table["sensed"]
    for row in table["bundles"][0]["rows"]:
        del row["power_w"], row["joules"], row["energy_why"]
    (out / "report.json").write_text(json.dumps(table))
    draw(out)
    assert "J a frame" not in (out / "report.html").read_text()
