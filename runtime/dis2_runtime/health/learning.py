"""Learn the limits of one sensor's health from a recording in which it was well. Pure: arrivals and frames come in."""

from __future__ import annotations

import dataclasses
import itertools
from collections import deque
from dataclasses import dataclass
from typing import Any

import numpy as np

from dis2_edge.errors import DataError
from dis2_edge.glance import ENTROPY_MOST, Values, entropy_bits
from dis2_edge.limits import HealthLimits
from dis2_edge.sensors import Sensor
from dis2_edge.statistics import SensorStatistics
from dis2_runtime.frames import Frame, Heard
from dis2_runtime.health.content import BITS_OUT, HOLES_MORE, HOLES_MOST, SPANS_OUT, Inspector
from dis2_runtime.health.glimpse import Glimpse
from dis2_runtime.health.judge import RECENT, usual_late_ms
from dis2_runtime.health.motion import likeness

FRAMES_LEAST, SECONDS_LEAST = 100, 10.0
"""A recording with fewer well-formed frames of a sensor, or of less time, teaches nothing."""
STILL_LEAST = 50
"""Frames of a scene that stands still, each unlike the one before, from which a sensor is known never to repeat."""
STILL_LAG, STILL_LIKE, STILL_DRIFT = 5, 0.8, 1.5
"""A scene stands still when a picture is like the one before, and little less like the one so many frames before."""
SAME_RATE = 0.02
"""A rate is the declared one when it differs by less than this share."""
SAME_MOST = 10
"""Repeated frames from which they are worth a word."""
OFF_MOST = 5.0
"""Periods of silence that no recording excuses."""
_TRUST = "if they were good, learn again with --trust"


@dataclass(frozen=True)
class Lesson:
    """What a recording taught of one sensor."""

    sensor: str
    """Its name."""
    frames: int
    """Well-formed frames that were looked at."""
    seconds: float
    """Time from the first to the last."""
    rate_hz: float
    """Real rate: one over the median time between frames."""
    limits: HealthLimits
    """The limits, with margins."""
    figures: dict[str, str]
    """What was seen, for people."""
    remarks: tuple[str, ...]
    """What the reader should know or do."""


class Learner:
    """Watches one sensor of a recording. What looks like a fault by the usual limits teaches only when trusted."""

    def __init__(self, sensor: Sensor, training: SensorStatistics | None = None, *, trust: bool = False) -> None:
        self.sensor, self._trust = sensor, trust
        self._inspector = Inspector(dataclasses.replace(sensor, health=HealthLimits()), training)
        self._doubts: list[tuple[float, str]] = []
        self._heard: list[Heard] = []
        self._looks: list[tuple[float, float, float, float, float, float]] = []
        self._recent: deque[Values] = deque(maxlen=STILL_LAG)
        self._repeats = self._still = self._bad = 0

    def hear(self, heard: Heard) -> None:
        """A frame arrived."""
        self._heard.append(heard)

    def see(self, frame: Frame) -> None:
        """Look into it, after it was heard. Frames of another form, flat or saturated ones teach nothing."""
        verdict = self._inspector.inspect(frame.pixels)
        if not verdict.good and not self._teaches():
            self._bad += 1
            return
        if not verdict.good and not self._trust:
            self._doubts.append((self._heard[-1].at_ns / 1e9 if self._heard else 0.0, verdict.reason))
            return
        seen = self._inspector.glimpse
        saturated = max((seen.share_of(end) for end in seen.ends), default=0.0)
        bits = entropy_bits(seen.some, seen.mean)
        self._looks.append((seen.hole_share, saturated, seen.mean, seen.std, bits, seen.noise_ratio()))
        self._repeats += seen.repeated
        self._still += not seen.repeated and self._stands(seen)
        self._recent.append(seen.values.copy())

    def lesson(self) -> Lesson:
        """What was learned; DataError when the recording is too short."""
        seconds = (self._heard[-1].at_ns - self._heard[0].at_ns) / 1e9 if self._heard else 0.0
        if len(self._looks) < FRAMES_LEAST or seconds < SECONDS_LEAST:
            doubts = f"; {self._doubted()}" if self._doubts else ""
            found = f"sensor {self.sensor.name!r}: {len(self._looks)} good frames in {seconds:.1f} s{doubts}"
            needed = f"at least {FRAMES_LEAST} in {SECONDS_LEAST:.0f} s"
            mend = f"; {_TRUST}" if self._doubts else ""
            raise DataError(found, expected=needed, mend=f"record for longer, with the sensor well{mend}")
        times = np.diff([heard.at_ns for heard in self._heard]) / 1e6
        lags = np.array([(heard.at_ns - heard.time_ns) / 1e6 for heard in self._heard])
        typical_ms = max(float(np.median(times)), 1e-3)
        limits: dict[str, Any] = {**self._timing(times, lags, typical_ms), **self._contents()}
        figures = self._figures(times, lags, typical_ms)
        return Lesson(
            self.sensor.name,
            len(self._looks),
            seconds,
            self._rate_hz(typical_ms),
            HealthLimits(**limits),
            figures,
            self._remarks(lags, typical_ms, HealthLimits(**limits)),
        )

    def _rate_hz(self, typical_ms: float) -> float:
        """The real rate; the declared one where that is right but for jitter."""
        right = abs(self.sensor.period_ms / typical_ms - 1) < SAME_RATE
        return self.sensor.rate_hz if right else _rounded(1000 / typical_ms)

    def _teaches(self) -> bool:
        """Whether a frame that the usual limits refuse is of the right form and says something."""
        seen = self._inspector.glimpse
        return seen.fresh and seen.hole_share < HOLES_MOST and seen.high > seen.low

    def _stands(self, seen: Glimpse) -> bool:
        """Whether the scene stood still, or there is nothing but noise to see: then only noise makes frames differ."""
        if seen.noise_ratio() > HealthLimits().noise_ratio:
            return len(self._recent) > 0
        if len(self._recent) < STILL_LAG or self._recent[0].shape != seen.values.shape:
            return False
        before, long_before = likeness(self._recent[-1], seen.values), likeness(self._recent[0], seen.values)
        return before > STILL_LIKE and 1 - long_before <= STILL_DRIFT * (1 - before)

    def _timing(self, times: Values, lags: Values, typical_ms: float) -> dict[str, float | None]:
        defaults = HealthLimits()
        off = min(OFF_MOST, max(defaults.off_periods, 1.3 * float(np.percentile(times, 99)) / typical_ms))
        gap = min(off, max(defaults.gap_periods, 1.2 * float(np.percentile(times, 95)) / typical_ms))
        rhythm = max(float(np.median(times[begin : begin + RECENT])) for begin in range(max(1, len(times) - RECENT)))
        late_ms = 1.5 * float(np.percentile(lags, 99))
        return {
            "off_periods": _rounded(off),
            "gap_periods": _rounded(gap),
            "slow_periods": _rounded(min(3.0, max(defaults.slow_periods, 1.2 * rhythm / typical_ms))),
            "late_ms": _rounded(late_ms) if late_ms > usual_late_ms(self.sensor) else None,
        }

    def _contents(self) -> dict[str, float | bool | None]:
        holes, saturated, means, stds, bits, ratios = np.array(self._looks).T
        defaults = HealthLimits()
        low, high = _widened(means, 0.05 * float(stds.mean()))
        bound = self.sensor.kind != "optical"  # light changes more in a day than in any recording
        bits_low, bits_high = _widened(bits, 0.05)
        plain = self.sensor.kind == "height"
        bits_low, bits_high = bits_low - BITS_OUT, bits_high + BITS_OUT
        return {
            "hole_share": _rounded(min(HOLES_MOST, float(holes.max()) + HOLES_MORE)),
            "saturated_share": _rounded(max(defaults.saturated_share, (1 + float(saturated.max())) / 2)),
            "mean_low": _rounded(low - SPANS_OUT * (high - low)) if bound else None,
            "mean_high": _rounded(high + SPANS_OUT * (high - low)) if bound else None,
            "entropy_low": None if plain or bits_low <= 0 else _rounded(bits_low),
            "entropy_high": None if plain or bits_high >= ENTROPY_MOST else _rounded(bits_high),
            "noise_ratio": _rounded(max(defaults.noise_ratio, min(1.98, 1.02 * float(ratios.max())))),
            "never_repeats": self._repeats == 0 and self._still >= STILL_LEAST,
        }

    def _figures(self, times: Values, lags: Values, typical_ms: float) -> dict[str, str]:
        holes, saturated, means, _, bits, ratios = np.array(self._looks).T
        jitter = np.percentile(np.abs(times - typical_ms), 95) / typical_ms
        return {
            "rate (Hz)": f"{1000 / typical_ms:.3g}",
            "jitter, p95": f"{jitter:.1%} of a period",
            "longest gap": f"{times.max() / typical_ms:.2f} periods",
            "lag (ms), median and p99": f"{np.median(lags):.1f}, {np.percentile(lags, 99):.1f}",
            "holes, most": f"{holes.max():.1%}",
            "saturated, most": f"{saturated.max():.1%}",
            "frame means": f"{means.min():.4g}..{means.max():.4g}",
            "entropy (bits)": f"{bits.min():.2f}..{bits.max():.2f}",
            "noise ratio, most": f"{ratios.max():.2f}",
            "repeated frames": f"{self._repeats} of {len(self._looks)}, {self._still} unlike while still",
        }

    def _doubted(self) -> str:
        (first_s, reason), (last_s, _) = self._doubts[0], self._doubts[-1]
        return f"{len(self._doubts)} frames between {first_s:.1f} and {last_s:.1f} s look like a fault ({reason})"

    def _remarks(self, lags: Values, typical_ms: float, limits: HealthLimits) -> tuple[str, ...]:
        old_ms = float(np.percentile(lags, 99)) + typical_ms
        dropped = sum(max(0, b.sequence - a.sequence - 1) for a, b in itertools.pairwise(self._heard))
        usual = HealthLimits()
        uneven = limits.slow_periods > usual.slow_periods or limits.off_periods > usual.off_periods
        remarks = (
            (bool(self._doubts), f"{self._doubted() if self._doubts else ''}: they were left out; {_TRUST}"),
            (uneven, "its frames came unevenly, and the limits now allow that: if it was a fault, learn without it"),
            (self._repeats >= SAME_MOST, f"{self._repeats} {_STOOD}"),
            (self._bad > 0, f"{self._bad} frames of another form, flat or saturated were left out"),
            (dropped > 0, f"{dropped} frames were lost"),
            (
                old_ms > self.sensor.max_age_ms,
                f"frames get {old_ms:.0f} ms old, max_age_ms is {self.sensor.max_age_ms:g}",
            ),
            (self._repeats == 0 and self._still < STILL_LEAST, _STAND_STILL),
        )
        return tuple(text for holds, text in remarks if holds)


_STOOD = "frames repeat the one before: right over still ground without noise; if it was stuck, learn without that"
_STAND_STILL = (
    "whether its frames never repeat is not known: record it for some seconds standing still, looking at something"
)


def _widened(values: Values, more: float) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    wide = 0.25 * (high - low) + more
    return low - wide, high + wide


def _rounded(value: float) -> float:
    return float(f"{value:.5g}")
