"""A live source whose late deliveries wait in line, while those behind them are already being fetched.

A fault that delays frames says so by their time of arrival. A recording can wait until then; of a camera, the frames
that come meanwhile would be lost, and a delayed sensor would turn out slow as well.
"""

from __future__ import annotations

from collections import deque

from dis2_runtime.clock import RunClock
from dis2_runtime.frames import Delivery
from dis2_runtime.sources import Source
from dis2_runtime.sources.wrapped import WrappedSource

MOST_HELD = 128
"""Deliveries that wait at most; the oldest is lost first."""


class HeldSource(WrappedSource):
    """Hands on each delivery of a live source when it is due, and nothing in the meantime."""

    def __init__(self, source: Source, clock: RunClock) -> None:
        super().__init__(source)
        self._clock = clock
        self._line: deque[Delivery] = deque(maxlen=MOST_HELD)

    def next(self) -> Delivery | None:
        """The newest delivery that is due; an empty one while none is."""
        delivery = self._source.next()
        if delivery is None:
            return None
        if delivery.frame is not None or delivery.problem:
            self._line.append(delivery)
        now_ns = self._clock.now_ns()
        found = Delivery(now_ns, None)
        while self._line and self._line[0].due_ns <= now_ns:
            found = self._line.popleft()
        return found
