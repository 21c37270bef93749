"""Which frames a tick may use: the newest of each sensor, young enough, from a sensor that is believed.

A sensor leaves at once and comes back after `return_after` good frames. Pure: times and health come from the caller.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from dis2_edge.bundle import Policy
from dis2_edge.sensors import Sensor
from dis2_edge.task import Task
from dis2_runtime.frames import Frame
from dis2_runtime.health.judge import Health

STRAGGLERS = 3
"""Frames older than the newest, by stamp and number, that are passed over; more mean that the sensor started anew."""


@dataclass(frozen=True)
class Choice:
    """What a tick may use, and why not the rest."""

    frames: dict[str, Frame]
    """Usable frames by sensor, in recipe order."""
    ages_ms: dict[str, float]
    """Age of the newest frame of each sensor that sent one, used or not."""
    sequences: dict[str, int]
    """Number of that frame."""
    stamped: dict[str, bool]
    """Whether its age counts from the sensor's own stamp; else from its arrival."""
    left_out: dict[str, str]
    """The reason for each sensor that is not used."""


@dataclass
class _Presence:
    """What is known of one sensor."""

    frame: Frame | None = None
    at_ns: int = 0
    believed: bool = True
    good_frames: int = 0
    stragglers: int = 0

    @property
    def captured_ns(self) -> int:
        """When the frame was captured; a stamp that lies after its arrival is not believed."""
        return self.at_ns if self.frame is None else min(self.frame.time_ns, self.at_ns)

    @property
    def stamped(self) -> bool:
        """Whether that is the frame's own stamp."""
        return self.frame is not None and self.frame.stamped and self.frame.time_ns <= self.at_ns


class Sync:
    """Keeps the newest frame of every sensor and chooses among them."""

    def __init__(self, task: Task, policy: Policy) -> None:
        self._sensors = task.sensors
        self._return_after, self._max_skew_ms = policy.return_after, policy.max_skew_ms
        self._known = {sensor.name: _Presence() for sensor in task.sensors}

    def receive(self, frame: Frame, at_ns: int, *, good: bool) -> None:
        """The newest frame of a sensor arrived at `at_ns`; `good` is the verdict on its content."""
        known = self._known[frame.sensor]
        if known.frame and frame.sequence < known.frame.sequence and frame.time_ns < known.frame.time_ns:
            known.stragglers += 1
            if known.stragglers <= STRAGGLERS:
                return
        known.frame, known.at_ns, known.stragglers = frame, at_ns, 0
        known.good_frames = known.good_frames + 1 if good else 0

    def doubt(self, sensor: str) -> None:
        """Take the sensor out: its newest frame could not be used after all."""
        self._known[sensor].believed = False
        self._known[sensor].good_frames = 0

    def choose(self, now_ns: int, health: Mapping[str, Health]) -> Choice:
        """The frames for a tick at `now_ns`."""
        choice = Choice({}, {}, {}, {}, {})
        for sensor in self._sensors:
            known = self._known[sensor.name]
            if known.frame is not None:
                choice.sequences[sensor.name] = known.frame.sequence
                choice.stamped[sensor.name] = known.stamped
                choice.ages_ms[sensor.name] = max(0.0, (now_ns - known.captured_ns) / 1e6)
            reason = self._reason_against(sensor, known, health[sensor.name], choice.ages_ms.get(sensor.name))
            if reason or known.frame is None:
                choice.left_out[sensor.name] = reason
            else:
                choice.frames[sensor.name] = known.frame
        if self._max_skew_ms:
            self._part_the_skewed(choice)
        return choice

    def _part_the_skewed(self, choice: Choice) -> None:
        """Leave out frames that were captured too long before the newest of those that may be used."""
        captured = {name: self._known[name].captured_ns for name in choice.frames}
        newest = max(captured, key=captured.__getitem__, default="")
        for name, time_ns in captured.items():
            skew_ms = (captured[newest] - time_ns) / 1e6
            if skew_ms > self._max_skew_ms:
                del choice.frames[name]
                choice.left_out[name] = (
                    f"skew: captured {skew_ms:.0f} ms before {newest}, at most {self._max_skew_ms:.0f} ms are allowed"
                )

    def _reason_against(self, sensor: Sensor, known: _Presence, health: Health, age_ms: float | None) -> str:
        """Why the sensor is not used now; empty when it is. A sensor that was never seen needs not to come back."""
        if age_ms is None:
            return f"{health.state}: {health.reason}" if health.reason else "no frame yet"
        if not health.usable:
            self.doubt(sensor.name)
            return f"{health.state}: {health.reason}"
        if age_ms > sensor.max_age_ms:
            self.doubt(sensor.name)
            return f"{health.state}: its frame is {age_ms:.0f} ms old, at most {sensor.max_age_ms:.0f} ms are used"
        if not known.believed and known.good_frames < self._return_after:
            return f"returning: {known.good_frames} of {self._return_after} good frames"
        known.believed = True
        return ""
