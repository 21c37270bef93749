"""The pauses that a sensor is known to take, such as a thermal camera's flat-field correction. Pure: times come in."""

from __future__ import annotations

from dis2_edge.sensors import Sensor


class Pauses:
    """Excuses an interruption that is short enough, and long enough after the one before."""

    def __init__(self, sensor: Sensor) -> None:
        self._longest_ns, self._every_ns = sensor.pause_ms * 1e6, sensor.pause_every_s * 1e9
        self._last_ns: int | None = None

    def excuse(self, begin_ns: int, now_ns: int) -> bool:
        """Whether an interruption since `begin_ns` may at `now_ns` still be a pause."""
        early = self._last_ns not in (None, begin_ns) and begin_ns - (self._last_ns or 0) < self._every_ns
        return self._longest_ns > 0 and not early and now_ns - begin_ns <= self._longest_ns

    def note(self, begin_ns: int) -> None:
        """There was an interruption at `begin_ns`: the next may not come too soon after it."""
        self._last_ns = begin_ns
