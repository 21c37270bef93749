"""What each kind of fault must lead to: the state that names it, by when, and when the sensor must be back."""

from __future__ import annotations

from dataclasses import dataclass

from dis2_edge.sensors import Sensor
from dis2_runtime.faults import Fault
from dis2_runtime.health.judge import REMEMBERED, WINDOWS, WITNESSED_WINDOW

JITTER = 0.25
"""Slack on every window, in periods: how far an arrival may lie from the sensor's rhythm."""


@dataclass(frozen=True)
class Expected:
    """What a fault must lead to. Windows are in nominal periods of its sensor."""

    names: frozenset[str]
    """States that name the fault."""
    window: float
    """By when, counted from the fault's beginning, every tick must show such a state; 0 when none need be shown."""
    usable: bool
    """Whether frames may be used meanwhile, if they are young enough."""
    back: float
    """By when, counted from the fault's end, the sensor must be used again."""
    gaps: int
    """Gaps that the fault leaves among the remembered arrivals."""
    lasting: bool = True
    """Whether the state must stay; else it is enough that it is shown once in a fault as long as the window."""


def expected(fault: Fault, sensor: Sensor, return_after: int, *, witness: float = 1.0) -> Expected:
    """What `fault` on `sensor` must lead to when a lost sensor returns after so many good frames.

    `witness`: the period of a sensor that is well meanwhile, and so tells that the aircraft moves, in periods of this
    one; 0 without any: then a picture that stands still is a fault only of a sensor whose frames never repeat.
    """
    kind, back = fault.kind, return_after + 1 + JITTER
    pause = sensor.pause_ms / sensor.period_ms
    if kind == "stuck":
        if not sensor.health.never_repeats and (sensor.kind == "height" or not witness):
            return Expected(frozenset({"ok", "stuck", "paused"}), 0.0, True, back, 0)
        alone = max(WINDOWS["stuck"], sensor.health.stuck_repeats + 1.0)
        window = alone if sensor.health.never_repeats else WITNESSED_WINDOW * max(1.0, witness)
        return Expected(frozenset({"stuck"}), window + pause + JITTER, False, back, 0)
    if kind == "slow":
        return Expected(frozenset({"slow"}), WINDOWS["slow"] + JITTER, True, back + 4, 3)
    if kind == "delayed":
        late = (fault.delay_ms or 2 * sensor.max_age_ms) / sensor.period_ms
        return Expected(frozenset({"delayed"}), late + WINDOWS["delayed"] + JITTER, True, late + back + 1, 1)
    if kind == "intermittent":
        return Expected(frozenset({"intermittent"}), WINDOWS["intermittent"], True, back, 3, lasting=False)
    if kind == "off":
        silence = max(WINDOWS["off"], sensor.health.off_periods)
        return Expected(frozenset({"off"}), silence + pause + JITTER, False, back, 1)
    return Expected(frozenset({"garbage" if kind == "nan" else kind}), WINDOWS["garbage"] + JITTER, False, back, 0)


def forgotten(fault: Fault, sensor: Sensor) -> float:
    """When the gaps that `fault` left are no longer among the remembered arrivals, in seconds of the run."""
    return fault.start_s + fault.length_s + (REMEMBERED + JITTER) * sensor.period_ms / 1e3
