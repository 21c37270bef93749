"""What a span of time came to: power, energy, the range of temperatures and clocks, and the joules of a frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from dis2_boards.telemetry.reading import Reading
from dis2_edge.report.sensed import Sensed

FEWEST = 3
"""Readings of power that an energy is taken from, at least."""


@dataclass(frozen=True)
class Watched(Sensed):
    """A span of time as telemetry saw it: what a report keeps of it, not rounded yet, and what follows from that."""

    def joules_a_frame(self, frames: int, seconds: float | None = None) -> float | None:
        """Energy of one of `frames` frames that took `seconds` together (by default the span); None: not measured."""
        if self.power_w is None or frames < 1:
            return None
        return self.power_w * (self.seconds if seconds is None else seconds) / frames

    def told(self, frames: int) -> str:
        """One sentence for people, on `frames` frames of this span."""
        joules = self.joules_a_frame(frames)
        if self.power_w is None or joules is None:
            parts = [f"power: not measured ({self.why or 'no frame was made'})"]
        else:
            parts = [f"power: {self.power_w:.1f} W, {joules:.3g} J a frame ({self.why})"]
        if self.temperatures_c:
            name, (_, most) = max(self.temperatures_c.items(), key=lambda item: item[1][1])
            parts.append(f"at most {most:.0f} °C ({name})")
        if "gpu" in self.clocks_mhz:
            low, high = self.clocks_mhz["gpu"]
            parts.append(f"GPU at {low:.0f} to {high:.0f} MHz")
        if self.power_modes:
            parts.append(f"power mode {' then '.join(self.power_modes)}")
        return "; ".join(parts)

    def to_table(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return {
            "seconds": round(self.seconds, 3),
            "readings": self.readings,
            "power_w": None if self.power_w is None else round(self.power_w, 3),
            "most_power_w": None if self.most_power_w is None else round(self.most_power_w, 3),
            "temperatures_c": {
                name: [round(low, 1), round(high, 1)] for name, (low, high) in self.temperatures_c.items()
            },
            "clocks_mhz": {name: [round(low, 1), round(high, 1)] for name, (low, high) in self.clocks_mhz.items()},
            "gpu_load": None if self.gpu_load is None else round(self.gpu_load, 3),
            "power_modes": list(self.power_modes),
            "source": self.source,
            "why": self.why,
        }


class Tally:
    """Adds up readings in memory that does not grow with them."""

    def __init__(self) -> None:
        self._first_s: float | None = None
        self._last_s = 0.0
        self._readings = 0
        self._powers: int = 0
        self._energy_j = 0.0
        self._power_s = 0.0
        self._before: tuple[float, float] | None = None
        self._most_w: float | None = None
        self._ranges: dict[str, dict[str, tuple[float, float]]] = {"temperatures": {}, "clocks": {}}
        self._load, self._loads = 0.0, 0
        self._modes: dict[str, None] = {}
        self._source, self._why, self._why_without = "", "", ""

    def add(self, time_s: float, reading: Reading) -> None:
        """One more reading, taken at `time_s` on a clock that only goes forward."""
        self._first_s = time_s if self._first_s is None else self._first_s
        self._last_s, self._source = time_s, reading.source
        self._readings += 1
        self._add_power(time_s, reading)
        _widen(self._ranges["temperatures"], reading.temperatures_c)
        _widen(self._ranges["clocks"], reading.clocks_mhz)
        if reading.gpu_load is not None:
            self._load, self._loads = self._load + reading.gpu_load, self._loads + 1
        if reading.power_mode:
            self._modes[reading.power_mode] = None

    def watched(self) -> Watched:
        """What it came to so far."""
        measured = self._powers >= FEWEST and self._power_s > 0
        return Watched(
            seconds=self._last_s - self._first_s if self._first_s is not None else 0.0,
            readings=self._readings,
            power_w=self._energy_j / self._power_s if measured else None,
            most_power_w=self._most_w,
            temperatures_c=dict(self._ranges["temperatures"]),
            clocks_mhz=dict(self._ranges["clocks"]),
            gpu_load=self._load / self._loads if self._loads else None,
            power_modes=tuple(self._modes),
            source=self._source,
            why=self._why if measured else self._why_not(),
        )

    def _add_power(self, time_s: float, reading: Reading) -> None:
        """The energy since the reading before, as if power had changed evenly between the two."""
        if reading.power_w is None:
            self._before, self._why_without = None, reading.why
            return
        if self._before is not None and time_s > self._before[0]:
            span = time_s - self._before[0]
            self._energy_j += span * (reading.power_w + self._before[1]) / 2
            self._power_s += span
        self._before = (time_s, reading.power_w)
        self._powers += 1
        self._most_w = reading.power_w if self._most_w is None else max(self._most_w, reading.power_w)
        self._why = reading.why

    def _why_not(self) -> str:
        if self._powers:
            return f"power was read {self._powers} times, too few to tell (at least {FEWEST})"
        return self._why_without or "nothing was read"


def _widen(ranges: dict[str, tuple[float, float]], values: dict[str, float]) -> None:
    for name, value in values.items():
        low, high = ranges.get(name, (value, value))
        ranges[name] = (min(low, value), max(high, value))
