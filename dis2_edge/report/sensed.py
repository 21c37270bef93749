"""What the machine's sensors told while a report was made: power, temperatures, clocks, power mode."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sensed:
    """The machine over the time of the measurement; what was not measured is None or absent."""

    seconds: float = 0.0
    """From the first reading to the last."""
    readings: int = 0
    """How many there were."""
    power_w: float | None = None
    """Mean power in watts; None when not measured."""
    most_power_w: float | None = None
    """The highest power read, in watts."""
    temperatures_c: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Lowest and highest temperature of each zone, in degrees Celsius."""
    clocks_mhz: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Lowest and highest clock of each part, in MHz."""
    gpu_load: float | None = None
    """Mean share of time that the GPU was busy, 0..1."""
    power_modes: tuple[str, ...] = ()
    """Names of the power modes that were set, in the order in which they were met."""
    source: str = ""
    """What was asked: sysfs, jtop or none."""
    why: str = ""
    """What the power is made of, or why there is none."""
