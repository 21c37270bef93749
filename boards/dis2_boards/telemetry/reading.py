"""What one look at the machine's sensors found."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Reading:
    """The machine at one moment; what nothing tells is None or absent, never 0."""

    power_w: float | None = None
    """Power in watts: of the whole board where a rail says so, else as `why` tells; None when not measured."""
    rails: dict[str, float] = field(default_factory=dict)
    """Power of each rail in watts, by the board's own names; they may overlap."""
    temperatures_c: dict[str, float] = field(default_factory=dict)
    """Temperature of each zone in degrees Celsius; zones that are offline are left out."""
    clocks_mhz: dict[str, float] = field(default_factory=dict)
    """Clock in MHz of `gpu`, `cpu` (the fastest core) and `memory`, as far as told."""
    gpu_load: float | None = None
    """Share of time that the GPU is busy, 0..1."""
    power_mode: str = ""
    """Name of the power mode that is set."""
    source: str = ""
    """What was asked: sysfs, jtop or none."""
    why: str = ""
    """What `power_w` is made of, or why there is none."""

    def to_table(self) -> dict[str, Any]:
        """Plain values for JSON, rounded to what sensors can tell."""
        return {
            "power_w": _rounded(self.power_w),
            "rails": {name: round(value, 3) for name, value in self.rails.items()},
            "temperatures_c": {name: round(value, 1) for name, value in self.temperatures_c.items()},
            "clocks_mhz": {name: round(value, 1) for name, value in self.clocks_mhz.items()},
            "gpu_load": _rounded(self.gpu_load),
            "power_mode": self.power_mode,
            "source": self.source,
            "why": self.why,
        }

    def row(self) -> dict[str, Any] | None:
        """The few figures of a tick's row; None when nothing of them is told."""
        figures = {
            "power_w": _rounded(self.power_w),
            "hottest_c": round(max(self.temperatures_c.values()), 1) if self.temperatures_c else None,
            "gpu_load": _rounded(self.gpu_load),
            "gpu_mhz": _rounded(self.clocks_mhz.get("gpu")),
            "cpu_mhz": _rounded(self.clocks_mhz.get("cpu")),
            "power_mode": self.power_mode or None,
        }
        return figures if any(value is not None for value in figures.values()) else None


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
