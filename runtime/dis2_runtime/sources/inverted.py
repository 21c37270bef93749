"""A source whose scale runs the other way than what was trained, such as a thermal camera that shows hot as black."""

from __future__ import annotations

import dataclasses

from dis2_edge.prepare import invert
from dis2_edge.sensors import Sensor
from dis2_runtime.frames import Delivery
from dis2_runtime.sources import Source
from dis2_runtime.sources.wrapped import WrappedSource


class InvertedSource(WrappedSource):
    """Mirrors every frame of a source in the sensor's valid range; all that follows sees it turned."""

    def __init__(self, source: Source, sensor: Sensor) -> None:
        super().__init__(source)
        self._sensor = sensor

    def next(self) -> Delivery | None:
        """The next delivery, its frame turned."""
        delivery = self._source.next()
        if delivery is None or delivery.frame is None:
            return delivery
        frame = dataclasses.replace(delivery.frame, pixels=invert(delivery.frame.pixels, self._sensor))
        return dataclasses.replace(delivery, frame=frame)
