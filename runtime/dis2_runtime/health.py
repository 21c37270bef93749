"""The health of one sensor: a state with its reason, from arrivals and contents. Pure: no thread, no clock."""

from __future__ import annotations

import itertools
import statistics
from collections import deque
from dataclasses import dataclass
from typing import Literal

import numpy as np

from dis2_edge.sensors import Sensor
from dis2_edge.statistics import SensorStatistics
from dis2_runtime.content import OK, Verdict, judge_content
from dis2_runtime.frames import Frame, Heard

State = Literal["ok", "off", "stuck", "garbage", "wrong", "slow", "delayed", "intermittent"]
USABLE = frozenset({"ok", "slow", "delayed", "intermittent"})
"""States in which a frame may be used while it is young enough; the others keep a sensor out at once."""
OFF_PERIODS = 2.0
"""Silence, in periods, from which a sensor is off."""
STUCK_REPEATS = 3
"""Frames in a row that repeat the one before, from which a sensor is stuck."""
SLOW_PERIODS = 1.5
"""Median time between frames, in periods, from which a sensor is slow."""
GAP_PERIODS, GAPS = 1.75, 3
"""A sensor with so many gaps of so many periods among the remembered frames is intermittent."""
REMEMBERED = 11
"""Arrivals that the timing is judged from."""


@dataclass(frozen=True)
class Health:
    """How a sensor is at a moment."""

    state: State
    """The state; see USABLE."""
    reason: str = ""
    """Why, with the figures; empty when ok."""

    @property
    def usable(self) -> bool:
        """Whether frames of the sensor may be used at all."""
        return self.state in USABLE


class Judge:
    """Watches one sensor. Times are nanoseconds of the run and come from the caller; stamps may be anything."""

    def __init__(self, sensor: Sensor, training: SensorStatistics | None = None) -> None:
        self._sensor, self._training = sensor, training
        self._heard: deque[Heard] = deque(maxlen=REMEMBERED)
        self._last: Frame | None = None
        self._repeats = 0
        self._content = OK
        self._problem = ""
        self._ended, self._failed = "", False
        self.dropped = 0
        """Frames lost so far, by gaps in the sequence numbers."""

    def hear(self, heard: Heard) -> None:
        """A frame arrived; its pixels may never be seen."""
        if self._heard and heard.sequence > self._heard[-1].sequence + 1:
            self.dropped += heard.sequence - self._heard[-1].sequence - 1
        self._heard.append(heard)

    def see(self, frame: Frame) -> Verdict:
        """Look into the newest frame; the verdict tells whether it is a good one."""
        content = judge_content(frame.pixels, self._sensor, self._training)
        self._repeats = self._repeats + 1 if self._last and self._same(self._last, frame) else 0
        if content.good and self._repeats >= STUCK_REPEATS:
            content = Verdict("stuck", f"the last {self._repeats + 1} frames are the same")
        self._last, self._content, self._problem = frame, content, ""
        return content

    def miss(self, problem: str) -> None:
        """The newest delivery could not be read, because of `problem`."""
        self._content, self._problem = Verdict("garbage", problem), problem

    def end(self, reason: str, *, failed: bool) -> None:
        """Nothing more will come. After a failure the sensor is off at once, after a plain end by its silence."""
        self._ended, self._failed = reason, failed

    def health(self, now_ns: int) -> Health:
        """The state at `now_ns`: the gravest that holds."""
        if self._failed:
            return Health("off", self._ended)
        if not self._heard:
            return Health("off", self._ended or f"no frame yet{self._why_none()}")
        silence_ms = (now_ns - self._heard[-1].at_ns) / 1e6
        intervals = self._intervals_ms()
        typical_ms = max(self._sensor.period_ms, statistics.median(intervals) if len(intervals) >= GAPS else 0.0)
        if silence_ms > OFF_PERIODS * typical_ms:
            return Health("off", self._ended or f"no frame for {silence_ms:.0f} ms{self._why_none()}")
        if not self._content.good:
            return Health(self._content.state, self._content.reason)
        return self._timing(intervals, typical_ms)

    def _why_none(self) -> str:
        """What was wrong with the deliveries that brought no frame, as an addition; empty when there were none."""
        return f" ({self._problem})" if self._problem else ""

    def _timing(self, intervals: list[float], typical_ms: float) -> Health:
        period_ms = self._sensor.period_ms
        late_ms = statistics.median((heard.at_ns - heard.time_ns) / 1e6 for heard in list(self._heard)[-GAPS:])
        if late_ms > max(period_ms, self._sensor.max_age_ms / 2):
            return Health("delayed", f"frames arrive {late_ms:.0f} ms after their capture")
        if typical_ms > SLOW_PERIODS * period_ms:
            return Health("slow", f"a frame every {typical_ms:.0f} ms, expected every {period_ms:.0f} ms")
        gaps = sum(interval > GAP_PERIODS * period_ms for interval in intervals)
        if gaps >= GAPS:
            return Health("intermittent", f"{gaps} gaps among the last {len(intervals)} frames")
        return Health("ok")

    def _intervals_ms(self) -> list[float]:
        times = [heard.at_ns for heard in self._heard]
        return [(later - earlier) / 1e6 for earlier, later in itertools.pairwise(times)]

    def _same(self, before: Frame, after: Frame) -> bool:
        """Whether `after` tells nothing new. The same heights again are no fault: ground stands still."""
        if (before.time_ns, before.sequence) == (after.time_ns, after.sequence):
            return True
        if self._sensor.kind == "height":
            return False
        old, new = before.pixels, after.pixels
        return old is new or (np.array_equal(old[::16], new[::16]) and np.array_equal(old, new))
