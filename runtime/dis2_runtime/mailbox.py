"""A mailbox for each sensor: the latest frame wins, nothing queues up, every arrival is remembered without pixels."""

from __future__ import annotations

import threading
from collections import deque

from dis2_runtime.frames import Delivery, Frame, Heard, Mail

MOST_HEARD = 256
"""Arrivals kept for a reader that does not come; older ones are forgotten."""


class Mailbox:
    """Filled by one sensor's thread, emptied by the stream; both hold `gate` while they touch it."""

    def __init__(self, sensor: str, gate: threading.Condition) -> None:
        self._sensor, self._gate = sensor, gate
        self._heard: deque[Heard] = deque(maxlen=MOST_HEARD)
        self._frame: Frame | None = None
        self._problem = self._ended = ""
        self._lost = self._failed = self._news = False

    def put(self, delivery: Delivery, at_ns: int) -> None:
        """Put a delivery that arrived at `at_ns` over the last one, and wake the stream."""
        with self._gate:
            if delivery.frame is not None:
                self._heard.append(Heard(at_ns, delivery.frame.time_ns, delivery.frame.sequence))
                self._frame, self._problem, self._lost = delivery.frame, "", False
            elif delivery.problem:
                self._problem, self._lost = delivery.problem, delivery.lost
            self._wake()

    def end(self, reason: str, *, failed: bool) -> None:
        """Say that nothing more will come."""
        with self._gate:
            self._ended, self._failed = reason, failed
            self._wake()

    def take(self) -> Mail | None:
        """All that is new, or None; the caller holds `gate`."""
        if not self._news:
            return None
        heard = tuple(self._heard)
        mail = Mail(self._sensor, heard, self._frame, self._problem, self._lost, self._ended, self._failed)
        self._heard.clear()
        self._frame, self._problem, self._lost, self._news = None, "", False, False
        return mail

    def _wake(self) -> None:
        self._news = True
        self._gate.notify_all()
