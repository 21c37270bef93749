"""Energy that a PC's processor counts itself (RAPL), below /sys/class/powercap; as a rule only root may read it."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

from dis2_boards.detection.tree import Tree

POWERCAP = "/sys/class/powercap"
_ZONE = re.compile(r"^(?:intel|amd)-rapl:\d+$")


class Rapl:
    """Power of the processor from one reading to the next; the first reading has none before it."""

    def __init__(self, tree: Tree, clock_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._tree, self._clock_ns = tree, clock_ns
        self._zones = [f"{POWERCAP}/{name}" for name in tree.names(POWERCAP) if _ZONE.match(name)]
        self._before: dict[str, tuple[int, int]] = {}

    @property
    def found(self) -> bool:
        """Whether the processor counts at all."""
        return bool(self._zones)

    def read(self) -> dict[str, float]:
        """Power in watts of each zone since the reading before, by the kernel's names (package-0, psys)."""
        rails = {}
        for zone in self._zones:
            now = (self._clock_ns(), self._tree.number(f"{zone}/energy_uj"))
            if now[1] is None:
                continue
            watts = self._watts(zone, self._before.get(zone), (now[0], now[1]))
            self._before[zone] = (now[0], now[1])
            if watts is not None:
                rails[self._tree.line(f"{zone}/name") or zone.rpartition("/")[2]] = watts
        return rails

    def _watts(self, zone: str, before: tuple[int, int] | None, now: tuple[int, int]) -> float | None:
        if before is None or now[0] <= before[0]:
            return None
        energy_uj = now[1] - before[1]
        if energy_uj < 0:  # the counter began again
            energy_uj += self._tree.number(f"{zone}/max_energy_range_uj") or -energy_uj
        return energy_uj * 1000 / (now[0] - before[0])


def total(rails: dict[str, float]) -> tuple[float | None, str]:
    """The power out of the zones' in watts, and what it is."""
    if "psys" in rails:
        return rails["psys"], "RAPL's psys: the platform as its maker wired it"
    packages = {name: watts for name, watts in rails.items() if name.startswith("package")}
    if packages:
        return sum(packages.values()), "RAPL of the processor alone: neither memory, card nor mains adapter"
    return None, "the processor's energy counter is to be read by root alone, or was read once so far"
