"""Sensors of boards as files: written after published listings of /sys (jetson-stats, kernel documentation, forum
threads), NOT recorded on the boards."""

from __future__ import annotations

from collections.abc import Mapping

from tests.boards.detection.trees import AGX_ORIN, ORIN_NX_SUPER, PC, THOR

Files = dict[str, "str | bytes"]


def ina3221(place: int, channels: Mapping[int, tuple[str, int, int]]) -> Files:
    """One monitor of {channel: (label, millivolts, milliamperes)}."""
    folder = f"/sys/class/hwmon/hwmon{place}"
    files: Files = {
        f"{folder}/name": "ina3221\n",
        f"{folder}/in7_label": "sum of shunt voltages\n",
        f"{folder}/in7_input": "1\n",
    }
    for channel, (label, volts, amperes) in channels.items():
        files |= {
            f"{folder}/in{channel}_label": f"{label}\n",
            f"{folder}/in{channel}_input": f"{volts}\n",
            f"{folder}/curr{channel}_input": f"{amperes}\n",
        }
    return files


def zones(**temperatures: int) -> Files:
    """Thermal zones in millidegrees, by name."""
    files: Files = {}
    for place, (name, milli) in enumerate(temperatures.items()):
        files |= {
            f"/sys/class/thermal/thermal_zone{place}/type": f"{name}-thermal\n",
            f"/sys/class/thermal/thermal_zone{place}/temp": f"{milli}\n",
        }
    return files


ORIN_NX_SENSORS: Files = {
    **ORIN_NX_SUPER,
    **ina3221(3, {1: ("VDD_IN", 19_872, 600), 2: ("VDD_CPU_GPU_CV", 19_872, 200), 3: ("VDD_SOC", 19_872, 100)}),
    "/sys/class/hwmon/hwmon0/name": "pwmfan\n",
    "/sys/class/hwmon/hwmon1/name": "nvme\n",
    "/sys/class/hwmon/hwmon1/power1_input": "9000000\n",
    **zones(cpu=48_500, gpu=51_250, cv0=-256_000, tj=52_000),
    "/sys/class/devfreq/17000000.gpu": "-> ../../devices/platform/17000000.gpu/devfreq/17000000.gpu",
    "/sys/devices/platform/17000000.gpu/devfreq/17000000.gpu/cur_freq": "408000000\n",
    "/sys/devices/platform/17000000.gpu/devfreq/17000000.gpu/max_freq": "408000000\n",
    "/sys/devices/platform/17000000.gpu/devfreq/17000000.gpu/device": "-> ../..",
    "/sys/devices/platform/17000000.gpu/load": "873\n",
    "/sys/devices/system/cpu/cpufreq/policy0/scaling_cur_freq": "729600\n",
    "/sys/devices/system/cpu/cpufreq/policy4/scaling_cur_freq": "1984000\n",
}

AGX_ORIN_SENSORS: Files = {
    **AGX_ORIN,
    **ina3221(2, {1: ("VDD_GPU_SOC", 20_000, 400), 2: ("VDD_CPU_CV", 20_000, 100), 3: ("VIN_SYS_5V0", 5_000, 800)}),
    **ina3221(4, {2: ("VDDQ_VDD2_1V8AO", 20_000, 50)}),
}

THOR_SENSORS: Files = {
    **THOR,
    **ina3221(1, {1: ("VDD_GPU", 20_000, 1000), 2: ("VDD_CPU_SOC_MSS", 20_000, 500)}),
    "/sys/class/hwmon/hwmon5/name": "ina238\n",
    "/sys/class/hwmon/hwmon5/power1_input": "61500000\n",
    "/sys/class/devfreq/gpu-gpc-0/cur_freq": "1386000000\n",
}

PC_SENSORS: Files = {
    **PC,
    "/sys/class/powercap/intel-rapl:0/name": "package-0\n",
    "/sys/class/powercap/intel-rapl:0/energy_uj": "1000000\n",
    "/sys/class/powercap/intel-rapl:0/max_energy_range_uj": "262143328850\n",
    "/sys/class/powercap/intel-rapl:0:0/name": "core\n",
    "/sys/class/powercap/intel-rapl:0:0/energy_uj": "1\n",
    **zones(x86_pkg_temp=61_000),
}
