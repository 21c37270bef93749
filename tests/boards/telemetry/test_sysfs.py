"""Our own reader of /sys on written trees: rails, zones, clocks, load and mode of each board, and broken files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dis2_boards.telemetry import open_telemetry
from dis2_boards.telemetry.sysfs import SysfsTelemetry
from tests.boards.detection.trees import PC, plant
from tests.boards.telemetry.sensors import AGX_ORIN_SENSORS, ORIN_NX_SENSORS, PC_SENSORS, THOR_SENSORS, ina3221


def test_orin_nx_tells_its_whole_input_and_the_rest(tmp_path: Path) -> None:
    with open_telemetry(plant(tmp_path, ORIN_NX_SENSORS)) as telemetry:
        found = telemetry.read()
    assert found.power_w == pytest.approx(19.872 * 0.6)
    assert found.rails == pytest.approx({"VDD_IN": 11.9232, "VDD_CPU_GPU_CV": 3.9744, "VDD_SOC": 1.9872})
    assert found.temperatures_c == {"cpu": 48.5, "gpu": 51.25, "tj": 52.0}, "an offline zone (-256) was taken for one"
    assert found.clocks_mhz == {"gpu": 408.0, "cpu": 1984.0}
    assert (found.gpu_load, found.power_mode, found.source) == (0.873, "25W", "sysfs")
    assert found.why == "the rail VDD_IN: the board's whole input"


def test_agx_orin_has_no_rail_for_all_so_its_sum_says_that_it_is_one(tmp_path: Path) -> None:
    found = open_telemetry(plant(tmp_path, AGX_ORIN_SENSORS)).read()
    assert found.power_w == pytest.approx(8 + 2 + 4 + 1)
    assert "not comparable with other boards" in found.why
    assert "VDD_GPU_SOC + VDD_CPU_CV + VIN_SYS_5V0 + VDDQ_VDD2_1V8AO" in found.why


def test_thor_has_a_monitor_at_its_input(tmp_path: Path) -> None:
    found = open_telemetry(plant(tmp_path, THOR_SENSORS)).read()
    assert found.power_w == 61.5
    assert set(found.rails) == {"VDD_GPU", "VDD_CPU_SOC_MSS", "VIN"}
    assert found.clocks_mhz == {"gpu": 1386.0}
    assert found.power_mode == "120W"


def test_a_pc_counts_the_energy_of_its_processor(tmp_path: Path) -> None:
    root = plant(tmp_path, PC_SENSORS)
    counter, now = root / "sys/class/powercap/intel-rapl:0/energy_uj", [0]
    telemetry = SysfsTelemetry(root, clock_ns=lambda: now[0])
    assert telemetry.read().power_w is None, "one look at a counter tells no power"
    now[0], _ = 2_000_000_000, counter.write_text("91000000")
    found = telemetry.read()
    assert found.power_w == pytest.approx(45.0)
    assert found.rails == {"package-0": pytest.approx(45.0)}, "the cores are part of the package"
    assert "processor alone" in found.why
    now[0], _ = 3_000_000_000, counter.write_text("5000000")
    assert telemetry.read().power_w == pytest.approx(262143.328850 - 91 + 5), "the counter began again"
    assert found.temperatures_c == {"x86_pkg_temp": 61.0}


def test_psys_is_more_than_the_package(tmp_path: Path) -> None:
    more = {"/sys/class/powercap/intel-rapl:1/name": "psys\n", "/sys/class/powercap/intel-rapl:1/energy_uj": "0"}
    root, now = plant(tmp_path, {**PC_SENSORS, **more}), [0]
    telemetry = SysfsTelemetry(root, clock_ns=lambda: now[0])
    telemetry.read()
    now[0], _ = 1_000_000_000, (root / "sys/class/powercap/intel-rapl:1/energy_uj").write_text("30000000")
    assert telemetry.read().power_w == pytest.approx(30.0)


def test_a_machine_without_a_monitor_says_so(tmp_path: Path) -> None:
    found = open_telemetry(plant(tmp_path, PC)).read()
    assert (found.power_w, found.rails, found.why) == (None, {}, "no current monitor is to be read")
    assert found.to_table()["power_w"] is None


def test_an_energy_counter_that_only_root_may_read_says_so(tmp_path: Path) -> None:
    files = {key: value for key, value in PC_SENSORS.items() if "energy_uj" not in key}
    telemetry = open_telemetry(plant(tmp_path, files))
    telemetry.read()
    assert "root alone" in telemetry.read().why


def test_files_that_go_away_in_flight_cost_their_figure_alone(tmp_path: Path) -> None:
    root = plant(tmp_path, ORIN_NX_SENSORS)
    telemetry = open_telemetry(root)
    (root / "sys/class/hwmon/hwmon3/in1_input").unlink()
    (root / "sys/class/thermal/thermal_zone0/temp").write_bytes(b"\xff\xfe garbage")
    (root / "sys/devices/platform/17000000.gpu/load").write_text("5000")
    (root / "var/lib/nvpmodel/status").unlink()
    found = telemetry.read()
    assert set(found.rails) == {"VDD_CPU_GPU_CV", "VDD_SOC"}
    assert (found.power_w, found.why) == (None, "the rail VDD_IN does not answer"), "a part was called the whole"
    assert "cpu" not in found.temperatures_c
    assert (found.gpu_load, found.power_mode) == (None, "")
    assert found.clocks_mhz["gpu"] == 408.0


def test_a_sum_that_lacks_a_rail_is_none(tmp_path: Path) -> None:
    root = plant(tmp_path, AGX_ORIN_SENSORS)
    telemetry = open_telemetry(root)
    (root / "sys/class/hwmon/hwmon4/curr2_input").unlink()
    found = telemetry.read()
    assert (found.power_w, found.why) == (None, "the rail VDDQ_VDD2_1V8AO does not answer")


def test_rails_without_a_label_and_twice_the_same_are_left_out(tmp_path: Path) -> None:
    files = {**ina3221(1, {1: ("VDD_IN", 5000, 1000)}), **ina3221(2, {1: ("VDD_IN", 9000, 9000), 2: ("", 1, 1)})}
    assert open_telemetry(plant(tmp_path, files)).read().rails == {"VDD_IN": 5.0}


@given(st.binary(max_size=60))
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_in_any_file(tmp_path: Path, data: bytes) -> None:
    root = tmp_path / "root"
    if not root.exists():
        plant(root, {**ORIN_NX_SENSORS, **PC_SENSORS})
        telemetry = open_telemetry(root)
        test_any_bytes_in_any_file.open = telemetry  # type: ignore[attr-defined]
    for path in (file for file in root.rglob("*") if file.is_file() and not file.is_symlink()):
        path.write_bytes(data)
    for reader in (test_any_bytes_in_any_file.open, open_telemetry(root)):  # type: ignore[attr-defined]
        reader.read().to_table()
