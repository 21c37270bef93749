"""A source's clock on the run's: stamps are moved by the smallest delay between stamp and arrival seen of late.

A delay is never below the true one, and now and then a frame comes nearly without any: the smallest of the last half
minute tells the two clocks apart, and slow drift along with it. Pure: no thread, no clock of its own.
"""

from __future__ import annotations

HALF_NS = 30_000_000_000
"""Delays are forgotten after one to two of these, so that a clock that runs slow is followed."""
BACK_NS = 500_000_000
"""A stamp this far behind the largest one means that the source's clock was set back."""
AWAY_NS = 10_000_000_000
"""A frame that seems older than this says more about the source's clock than about the frame."""


class SourceClock:
    """Maps stamps of one source to the run's clock; all times in nanoseconds."""

    def __init__(self) -> None:
        self._newest_ns: int | None = None
        self._since_ns = 0
        self._before: int | None = None
        self._now = 0

    def map(self, stamp_ns: int, arrival_ns: int) -> int:
        """The run's time of `stamp_ns`, by a frame that arrived at `arrival_ns`; never later than the arrival."""
        delay_ns = arrival_ns - stamp_ns
        if self._newest_ns is None or stamp_ns < self._newest_ns - BACK_NS:
            self._anchor(delay_ns, arrival_ns)
        self._newest_ns = stamp_ns if self._newest_ns is None else max(self._newest_ns, stamp_ns)
        if arrival_ns - self._since_ns > HALF_NS:
            self._before, self._now, self._since_ns = self._now, delay_ns, arrival_ns
        self._now = min(self._now, delay_ns)
        least_ns = self._now if self._before is None else min(self._before, self._now)
        if delay_ns - least_ns > AWAY_NS:
            self._anchor(delay_ns, arrival_ns)
            self._newest_ns, least_ns = stamp_ns, delay_ns
        return stamp_ns + least_ns

    def _anchor(self, delay_ns: int, arrival_ns: int) -> None:
        self._newest_ns, self._before, self._now, self._since_ns = None, None, delay_ns, arrival_ns
