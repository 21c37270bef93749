"""A source whose clock is off by a known time: its stamps are moved onto the run's clock, arrivals stay."""

from __future__ import annotations

import dataclasses

from dis2_runtime.frames import Delivery
from dis2_runtime.sources import Source
from dis2_runtime.sources.wrapped import WrappedSource


class ShiftedSource(WrappedSource):
    """Adds `offset_ms` to the capture time of every frame of a source."""

    def __init__(self, source: Source, offset_ms: float) -> None:
        super().__init__(source)
        self._offset_ns = round(offset_ms * 1e6)

    def next(self) -> Delivery | None:
        """The next delivery, its stamp moved."""
        delivery = self._source.next()
        if delivery is None or delivery.frame is None:
            return delivery
        frame = dataclasses.replace(delivery.frame, time_ns=delivery.frame.time_ns + self._offset_ns)
        return dataclasses.replace(delivery, frame=frame)
