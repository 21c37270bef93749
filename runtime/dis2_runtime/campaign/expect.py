"""What each kind of fault must lead to: the state that names it, by when, and when the sensor must be back."""

from __future__ import annotations

from dataclasses import dataclass

from dis2_edge.sensors import Sensor
from dis2_runtime import health
from dis2_runtime.faults import SLOW_KEEPS, Fault

JITTER = 0.25
"""Slack on every window, in periods: how far an arrival may lie from the sensor's rhythm."""
PROMPT = 2.0
"""Periods within which off, garbage, nan and wrong must be named."""


@dataclass(frozen=True)
class Expected:
    """What a fault must lead to. Windows are in nominal periods of its sensor."""

    names: frozenset[str]
    """States that name the fault."""
    window: float
    """By when, counted from the fault's beginning, every tick must show such a state."""
    usable: bool
    """Whether frames may be used meanwhile, if they are young enough."""
    back: float
    """By when, counted from the fault's end, the sensor must be ok and used."""
    lasting: bool = True
    """Whether the state must stay; else it is enough that it is shown once in a fault of twice the window."""


def expected(fault: Fault, sensor: Sensor, return_after: int) -> Expected:
    """What `fault` on `sensor` must lead to when a lost sensor returns after so many good frames."""
    kind, back = fault.kind, return_after + 1 + JITTER
    memory = health.REMEMBERED + return_after + JITTER
    if kind == "stuck":
        if sensor.kind == "height":  # ground stands still: the same heights again are no fault
            return Expected(frozenset({"ok", "stuck"}), 0.0, True, back)
        return Expected(frozenset({"stuck"}), health.STUCK_REPEATS + 1 + JITTER, False, back)
    if kind == "slow":
        half = (health.REMEMBERED + 1) // 2
        return Expected(frozenset({"slow"}), SLOW_KEEPS * half + JITTER, True, memory + SLOW_KEEPS)
    if kind == "delayed":
        late = (fault.delay_ms or 2 * sensor.max_age_ms) / sensor.period_ms
        return Expected(frozenset({"delayed"}), late + health.GAPS + JITTER, True, late + back + 1)
    if kind == "intermittent":
        return Expected(frozenset({"intermittent"}), 3 * health.REMEMBERED, True, memory, lasting=False)
    name = "garbage" if kind == "nan" else kind
    return Expected(frozenset({name}), PROMPT + JITTER, False, back)
