"""What jetson-stats tells, where its user installed it. It is AGPL-3.0: detected, imported lazily, never shipped."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Mapping
from types import TracebackType
from typing import Any

from dis2_boards.telemetry import rails
from dis2_boards.telemetry.reading import Reading
from dis2_edge.errors import BoardError

_MEND = "start its service (sudo systemctl start jtop), or take --telemetry sysfs"


def is_installed() -> bool:
    """Whether the package jtop is there; it is not imported."""
    try:
        return importlib.util.find_spec("jtop") is not None
    except (ImportError, ValueError):
        return False


class JtopTelemetry:
    """A connection to jetson-stats' service, which answers about once a second; BoardError when it does not."""

    source = "jtop"

    def __init__(self) -> None:
        if not is_installed():
            raise BoardError("jetson-stats (jtop) is not installed", mend="install it yourself, or let sysfs be read")
        try:
            self._client: Any = importlib.import_module("jtop").jtop(interval=1.0)
            self._client.start()
        except Exception as error:  # its own exceptions, and sockets of a service that is not there
            raise BoardError(f"jetson-stats does not answer ({error})", mend=_MEND) from error

    def __enter__(self) -> JtopTelemetry:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def read(self) -> Reading:
        """What the service told last; what it tells in another shape than known is left out."""
        try:
            power, temperatures, gpu = self._client.power, self._client.temperature, self._client.gpu
            mode = str(self._client.nvpmodel or "")
        except Exception as error:
            return Reading(source=self.source, why=f"jetson-stats does not answer any more ({error})")
        milliwatts = {name: _number(rail, "power") for name, rail in _items(power, "rail")}
        watts = {name: value / 1000 for name, value in milliwatts.items() if value is not None}
        power_w, why = rails.total(watts)
        load, clock = _gpu(gpu)
        return Reading(
            power_w=power_w,
            rails=watts,
            temperatures_c=dict(_online(temperatures)),
            clocks_mhz={"gpu": clock} if clock is not None else {},
            gpu_load=load,
            power_mode=mode,
            source=self.source,
            why=why,
        )


def _gpu(table: Any) -> tuple[float | None, float | None]:
    """Load 0..1 and clock in MHz of the first GPU; jtop tells per cent and kilohertz."""
    first: Any = next(iter(table.values()), {}) if isinstance(table, Mapping) else {}
    if not isinstance(first, Mapping):
        return None, None
    load, clock = _number(first.get("status"), "load"), _number(first.get("freq"), "cur")
    return None if load is None else load / 100, None if clock is None else clock / 1000


def _online(table: Any) -> list[tuple[str, float]]:
    """Zones that are there; -256 says that one is offline."""
    zones = [(name, zone) for name, zone in table.items()] if isinstance(table, Mapping) else []
    found = [(name, _number(zone, "temp")) for name, zone in zones]
    return [(name, value) for name, value in found if value is not None and value > -100]


def _items(table: Any, key: str) -> list[tuple[str, Any]]:
    inner = table.get(key) if isinstance(table, Mapping) else None
    return [(str(name), value) for name, value in inner.items()] if isinstance(inner, Mapping) else []


def _number(table: Any, key: str) -> float | None:
    value = table.get(key) if isinstance(table, Mapping) else None
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None
