"""A live source whose late deliveries wait in line, while those behind them are already being fetched.

A fault that delays frames says so by their time of arrival. A recording can wait until then; of a camera, the frames
that come meanwhile would be lost, and a delayed sensor would turn out slow as well. So a thread fetches each frame when
it comes, and `next` hands each on when it is due: whoever did both in turn would hand late frames on only when the next
one comes, in pairs.
"""

from __future__ import annotations

import threading
from collections import deque

from dis2_runtime.clock import RunClock
from dis2_runtime.frames import Delivery
from dis2_runtime.sources import Source
from dis2_runtime.sources.wrapped import WrappedSource

MOST_HELD = 128
"""Deliveries that wait at most; the oldest is lost first."""
_WAIT_S = 0.1
"""How long `next` waits for a delivery to fall due."""
_FAREWELL_S = 0.15
"""How long the fetching thread gets to end."""


class HeldSource(WrappedSource):
    """Hands on each delivery of a live source when it is due, one at a time and in order."""

    def __init__(self, source: Source, clock: RunClock) -> None:
        super().__init__(source)
        self._clock = clock
        self._gate = threading.Condition()
        self._line: deque[Delivery] = deque(maxlen=MOST_HELD)
        self._thread: threading.Thread | None = None
        self._ended, self._closed = False, False
        self._error: Exception | None = None

    def next(self) -> Delivery | None:
        """The oldest delivery in line, as soon as it is due; within 100 ms an empty one. None at the end of the line.

        Raises what the source raised, after what had come before it.
        """
        if self._thread is None:
            self._thread = threading.Thread(target=self._fetch, name="line of late frames", daemon=True)
            self._thread.start()
        until_ns = self._clock.now_ns() + round(_WAIT_S * 1e9)
        with self._gate:
            while not self._closed:
                now_ns = self._clock.now_ns()
                if self._line and self._line[0].due_ns <= now_ns:
                    return self._line.popleft()
                if not self._line and self._ended:
                    break
                if now_ns >= until_ns:
                    return Delivery(now_ns, None)
                first_ns = min(until_ns, self._line[0].due_ns) if self._line else until_ns
                self._gate.wait((first_ns - now_ns) / 1e9)
        if self._error is not None and not self._closed:
            raise self._error
        return None

    def close(self) -> None:
        """Close what is wrapped and let the line go; a source that hangs is left behind."""
        super().close()
        with self._gate:
            self._closed = True
            self._line.clear()
            self._gate.notify_all()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(_FAREWELL_S)

    def _fetch(self) -> None:
        try:
            while not self._closed and (delivery := self._source.next()) is not None:
                if delivery.frame is not None or delivery.problem:
                    self._put(delivery)
        except Exception as error:  # next() raises it
            self._error = error
        with self._gate:
            self._ended = True
            self._gate.notify_all()

    def _put(self, delivery: Delivery) -> None:
        with self._gate:
            if not self._closed:
                self._line.append(delivery)
                self._gate.notify_all()
