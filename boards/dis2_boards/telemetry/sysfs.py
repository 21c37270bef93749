"""Our own reader of /sys: no service, no root, no package. Where things stand is found once, then only read."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from dis2_boards.detection.gpu import gpu_devfreq
from dis2_boards.detection.power_modes import current_name, read_power_modes
from dis2_boards.detection.tree import Tree
from dis2_boards.telemetry import rails, rapl
from dis2_boards.telemetry.reading import Reading

THERMAL = "/sys/class/thermal"
CPUFREQ = "/sys/devices/system/cpu/cpufreq"
_MEMORY_CLOCK = "/sys/kernel/debug/bpmp/debug/clk/emc/rate"  # root alone
_LOADS = ("/sys/devices/platform/gpu.0/load", "/sys/devices/gpu.0/load")
_COLDEST_C, _HOTTEST_C = -100.0, 250.0
"""Beyond these a zone is offline (-256) or broken."""
_MOST_POLICIES = 16


class SysfsTelemetry:
    """Reads the files below `root`; nothing that they hold makes it raise."""

    source = "sysfs"

    def __init__(self, root: Path | str = "/", clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._tree = tree = Tree(root)
        self._rails = rails.find_rails(tree)
        self._rapl = rapl.Rapl(tree, clock_ns)
        self._zones = _zones(tree)
        self._gpu = gpu_devfreq(tree)
        self._load = next((path for path in (f"{self._gpu}/device/load", *_LOADS) if tree.number(path) is not None), "")
        policies = [name for name in tree.names(CPUFREQ) if name.startswith("policy")]
        self._policies = [f"{CPUFREQ}/{name}/scaling_cur_freq" for name in policies[:_MOST_POLICIES]]
        self._modes = read_power_modes(tree).modes

    def __enter__(self) -> SysfsTelemetry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Nothing is held open."""

    @property
    def measures_power(self) -> bool:
        """Whether this machine has anything that tells its power."""
        return bool(self._rails) or self._rapl.found

    def read(self) -> Reading:
        """The machine now."""
        power_w, watts, why = self._power()
        load = self._tree.number(self._load) if self._load else None
        return Reading(
            power_w=power_w,
            rails=watts,
            temperatures_c=self._temperatures(),
            clocks_mhz=self._clocks(),
            gpu_load=load / 1000 if load is not None and 0 <= load <= 1000 else None,
            power_mode=current_name(self._tree, self._modes) if self._modes else "",
            source=self.source,
            why=why,
        )

    def _power(self) -> tuple[float | None, dict[str, float], str]:
        watts = {rail.name: value for rail in self._rails if (value := rail.watts()) is not None}
        if self._rails or not self._rapl.found:
            power_w, why = rails.total(watts, (rail.name for rail in self._rails))
            return power_w, watts, why
        watts = self._rapl.read()
        power_w, why = rapl.total(watts)
        return power_w, watts, why

    def _temperatures(self) -> dict[str, float]:
        found = {}
        for name, path in self._zones.items():
            milli = self._tree.number(path)
            if milli is not None and _COLDEST_C < milli / 1000 < _HOTTEST_C:
                found[name] = milli / 1000
        return found

    def _clocks(self) -> dict[str, float]:
        """MHz: the kernel tells hertz for the GPU and the memory, kilohertz for processors."""
        gpu = self._tree.number(f"{self._gpu}/cur_freq") if self._gpu else None
        cores = [value for path in self._policies if (value := self._tree.number(path)) is not None]
        memory = self._tree.number(_MEMORY_CLOCK) if self._gpu else None
        clocks = {
            "gpu": gpu / 1e6 if gpu is not None else None,
            "cpu": max(cores) / 1e3 if cores else None,
            "memory": memory / 1e6 if memory is not None else None,
        }
        return {name: value for name, value in clocks.items() if value is not None and value >= 0}


def _zones(tree: Tree) -> dict[str, str]:
    """Files of the thermal zones, by the kernel's name of each; a name that comes twice gets the zone's number."""
    found: dict[str, str] = {}
    for folder in tree.names(THERMAL):
        if re.match(r"^thermal_zone\d+$", folder):
            name = tree.line(f"{THERMAL}/{folder}/type") or folder
            name = name.removesuffix("-thermal").removesuffix("-therm")
            found[name if name not in found else f"{name}-{folder.removeprefix('thermal_zone')}"] = (
                f"{THERMAL}/{folder}/temp"
            )
    return found
