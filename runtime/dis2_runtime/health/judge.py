"""The health of one sensor: a state with its reason, from arrivals and contents. Pure: no thread, no clock."""

from __future__ import annotations

import itertools
import statistics
from collections import deque
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dis2_edge.sensors import Sensor
from dis2_edge.statistics import SensorStatistics
from dis2_runtime.frames import Frame, Heard
from dis2_runtime.health.content import OK, Inspector, Verdict
from dis2_runtime.health.glimpse import Glimpse
from dis2_runtime.health.pauses import Pauses

State = Literal["ok", "paused", "off", "stuck", "garbage", "wrong", "slow", "delayed", "intermittent"]
USABLE = frozenset({"ok", "paused", "slow", "delayed", "intermittent"})
"""States in which a frame may be used while it is young enough; the others keep a sensor out at once."""
REMEMBERED = 31
"""Arrivals that gaps are looked for in."""
RECENT = 5
"""Times between frames whose median is the sensor's rhythm."""
LATEST = 3
"""Frames whose median lag tells whether a sensor is delayed, and times between frames that make a rhythm at all."""
WINDOWS = {"off": 2.0, "garbage": 2.0, "wrong": 2.0, "stuck": 4.0, "slow": 16.0, "delayed": 3.0, "intermittent": 80.0}
"""Nominal periods within which each state is named. stuck: of a sensor whose frames never repeat. slow: at a quarter of
the rate. delayed: from the arrival of the first late frame. intermittent: when half of the frames are lost in bursts of
0.4 s, at 10 Hz: three bursts have to come."""
WITNESSED_WINDOW = 20.0
"""Nominal periods within which stuck is named by another's picture, if that has structure and moves three pixels in
0.1 s; slower, or with a slower witness, it takes longer."""


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
        self._sensor, self._limits = sensor, sensor.health
        self._inspector, self._pauses = Inspector(sensor, training), Pauses(sensor)
        self._heard: deque[Heard] = deque(maxlen=REMEMBERED)
        self._last: Frame | None = None
        self._repeats = self._echoes = 0
        self._still_since_ns = 0
        self._content = OK
        self._problem, self._lost = "", False
        self._ended, self._failed = "", False
        self.moved = ""
        """What tells that the aircraft moves while this picture repeats: evidence that others have; see `motion`."""
        self.dropped = 0
        """Frames lost so far, by gaps in the sequence numbers."""

    @property
    def glimpse(self) -> Glimpse | None:
        """What the newest frame looks like; None when its content is not good."""
        return self._inspector.glimpse if self._content.good and self._inspector.glimpse.fresh else None

    @property
    def wants_witness(self) -> bool:
        """Whether the picture repeats, and only evidence from others would make that a fault."""
        return self._repeats > 0 and self._sensor.kind != "height" and not self._limits.never_repeats

    def hear(self, heard: Heard) -> None:
        """A frame arrived; its pixels may never be seen."""
        if self._heard:
            last = self._heard[-1]
            self.dropped += max(0, heard.sequence - last.sequence - 1)
            if (heard.at_ns - last.at_ns) / 1e6 > self._limits.off_periods * self._typical_ms(self._intervals_ms()):
                self._pauses.note(last.at_ns)
        self._heard.append(heard)

    def see(self, frame: Frame) -> Verdict:
        """Look into the newest frame, after it was heard; the verdict tells whether it is a good one."""
        at_ns = self._heard[-1].at_ns if self._heard else frame.time_ns
        self._content, self._problem, self._lost = self._inspector.inspect(frame.pixels), "", False
        self._count_repeats(frame, at_ns)
        self._last = frame
        return self._content if not self._content.good else self._standing(at_ns) or self._content

    def miss(self, problem: str, *, lost: bool = False) -> None:
        """The newest delivery could not be read, because of `problem`; or, when `lost`, nothing can be sent at all."""
        self._problem, self._lost = problem, lost
        if not lost:
            self._content = Verdict("garbage", problem)

    def end(self, reason: str, *, failed: bool) -> None:
        """Nothing more will come. After a failure the sensor is off at once, after a plain end by its silence."""
        self._ended, self._failed = reason, failed

    def health(self, now_ns: int) -> Health:
        """The state at `now_ns`: the gravest that holds."""
        if self._failed:
            return Health("off", self._ended)
        if not self._heard:
            return Health("off", self._ended or f"no frame yet{self._why_none()}")
        if self._lost:
            return Health("off", self._ended or self._problem)
        intervals = self._intervals_ms()
        typical_ms = self._typical_ms(intervals)
        silence_ms = (now_ns - self._heard[-1].at_ns) / 1e6
        if silence_ms > self._limits.off_periods * typical_ms:
            return self._silent(now_ns, silence_ms, typical_ms)
        fault = self._content if not self._content.good else self._standing(now_ns)
        if fault is not None:
            return Health(fault.state, fault.reason)
        return self._timing(intervals, typical_ms)

    def _silent(self, now_ns: int, silence_ms: float, typical_ms: float) -> Health:
        begin_ns = self._heard[-1].at_ns
        reason = f"no frame for {silence_ms:.0f} ms"
        waited = self._ended == "" and self._content.good
        if waited and self._pauses.excuse(begin_ns, now_ns - round(typical_ms * 1e6)):
            return Health("paused", f"{reason}, pauses of {self._sensor.pause_ms:.0f} ms are declared")
        return Health("off", self._ended or f"{reason}{self._why_none()}")

    def _standing(self, now_ns: int) -> Verdict | None:
        """stuck, or paused while that may be: what a picture that stands still means. None when it means nothing."""
        why = self._why_stuck()
        if not why:
            return None
        if self._pauses.excuse(self._still_since_ns, now_ns):
            self._pauses.note(self._still_since_ns)
            return Verdict("paused", f"{why}; pauses of {self._sensor.pause_ms:.0f} ms are declared")
        return Verdict("stuck", why)

    def _why_stuck(self) -> str:
        """The reason to call repeated frames a fault; empty when there is none: ground may well stand still."""
        if self._echoes >= self._limits.stuck_repeats:
            return f"the last {self._echoes + 1} frames have the same stamp and number"
        same = f"the last {self._repeats + 1} frames are the same"
        if self._repeats < self._limits.stuck_repeats:
            return ""
        if self._limits.never_repeats:
            return f"{same}, which this sensor's never are"
        return f"{same}, yet {self.moved}" if self.moved and self._sensor.kind != "height" else ""

    def _why_none(self) -> str:
        """What was wrong with the deliveries that brought no frame, as an addition; empty when there were none."""
        return f" ({self._problem})" if self._problem else ""

    def _timing(self, intervals: list[float], typical_ms: float) -> Health:
        period_ms, limits = self._sensor.period_ms, self._limits
        late_ms = statistics.median((heard.at_ns - heard.time_ns) / 1e6 for heard in list(self._heard)[-LATEST:])
        if late_ms > (limits.late_ms or usual_late_ms(self._sensor)):
            return Health("delayed", f"frames arrive {late_ms:.0f} ms after their capture")
        if typical_ms > period_ms:
            return Health("slow", f"a frame every {typical_ms:.0f} ms, expected every {period_ms:.0f} ms")
        gaps = sum(interval > limits.gap_periods * period_ms for interval in intervals)
        if gaps >= limits.gaps:
            return Health("intermittent", f"{gaps} gaps among the last {len(intervals)} frames")
        return Health("ok")

    def _typical_ms(self, intervals: list[float]) -> float:
        """The sensor's period, or the rhythm that it keeps where that is slow, in milliseconds a frame."""
        rhythm_ms = statistics.median(intervals[-RECENT:]) if len(intervals) >= LATEST else 0.0
        slow = rhythm_ms > self._limits.slow_periods * self._sensor.period_ms
        return rhythm_ms if slow else self._sensor.period_ms

    def _intervals_ms(self) -> list[float]:
        times = [heard.at_ns for heard in self._heard]
        return [(later - earlier) / 1e6 for earlier, later in itertools.pairwise(times)]

    def _count_repeats(self, frame: Frame, at_ns: int) -> None:
        last = self._last
        echo = last is not None and (last.time_ns, last.sequence) == (frame.time_ns, frame.sequence)
        same = echo or (last is not None and self._inspector.glimpse.repeated and _same_bits(last.pixels, frame.pixels))
        if same and not self._repeats:
            self._still_since_ns = at_ns
        self._echoes = self._echoes + 1 if echo else 0
        self._repeats = self._repeats + 1 if same else 0
        self.moved = self.moved if same else ""


def usual_late_ms(sensor: Sensor) -> float:
    """From how late frames of `sensor` are delayed, where no limit says it, in milliseconds."""
    return max(sensor.period_ms, sensor.max_age_ms / 2)


def _same_bits(one: npt.NDArray[Any], other: npt.NDArray[Any]) -> bool:
    """Whether two frames hold the same bits, NaN and all; in words of eight bytes where their memory allows."""
    if one is other or one.shape != other.shape or one.dtype != other.dtype:
        return one is other
    if not (one.flags.c_contiguous and other.flags.c_contiguous):
        return bool(np.array_equal(one, other))
    one, other = one.reshape(-1).view(np.uint8), other.reshape(-1).view(np.uint8)
    words = len(one) & ~7
    same = np.array_equal(one[:words].view(np.uint64), other[:words].view(np.uint64))
    return bool(same) and bool(np.array_equal(one[words:], other[words:]))
