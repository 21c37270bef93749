"""`gst:PIPELINE`: a GStreamer pipeline that ends in our appsink, which keeps the newest picture and drops the oldest.

What the pipeline hands over must be RGB or grey in system memory: its own elements convert faster than we could.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Generator

from dis2_edge.errors import SourceError
from dis2_edge.sensors import Sensor
from dis2_runtime.clock import RunClock
from dis2_runtime.sources import Address, shown
from dis2_runtime.sources.gst_pipeline import READABLE, Pipeline, Sample
from dis2_runtime.sources.live import Grab, LiveSource
from dis2_runtime.sources.pictures import PACKINGS, check_sensor, fitted, unpacked

PULL_S = 0.1
"""How long one look for a picture takes."""
SILENT_S = 5.0
"""Silence after which the pipeline is started anew."""
MOST_WAIT_S = 8.0
"""Longest pause between two starts."""
MOST_GAP = 1000
"""Pictures that may be lost at once; a larger step of a buffer's number is no number of pictures."""


class GstLink:
    """Starts the pipeline and takes its pictures."""

    def __init__(self, sensor: Sensor, description: str, clock: RunClock) -> None:
        self._sensor, self._description, self._clock = sensor, description, clock

    def check(self) -> None:
        """Find GStreamer and every element of the pipeline."""
        if "appsink" in self._description:
            raise SourceError("the pipeline has an appsink", expected="one that ends before it", mend="leave it out")
        Pipeline(self._description, tuple(PACKINGS)).close()

    def grabs(self, stop: threading.Event) -> Generator[Grab, None, None]:
        """Pictures until the pipeline ends or fails."""
        pipeline = Pipeline(self._description, tuple(PACKINGS))
        try:
            pipeline.play()
            heard, number = time.monotonic(), None
            while not stop.is_set():
                sample = pipeline.pull(PULL_S)
                if sample is None:
                    _complain(pipeline.trouble(), time.monotonic() - heard)
                    continue
                lost = 0 if number is None or sample.number is None else sample.number - number - 1
                heard, number = time.monotonic(), sample.number
                yield self._grab(sample, lost if 0 < lost < MOST_GAP else 0)
        finally:
            pipeline.close()

    def _grab(self, sample: Sample, lost: int) -> Grab:
        time_ns = None if sample.monotonic_ns is None else self._clock.from_monotonic(sample.monotonic_ns)
        try:
            pixels = unpacked(sample.data, sample.form, sample.size, sample.stride)
            return Grab(fitted(pixels, self._sensor), time_ns, lost)
        except SourceError as error:
            return Grab(None, time_ns, lost, str(error))


def _complain(trouble: str, silent_s: float) -> None:
    """SourceError if the pipeline is in trouble or silent for too long."""
    if "negotiat" in trouble:
        raise SourceError(f"no pixel format that we read ({shown(trouble)})", mend=READABLE)
    if trouble:
        raise SourceError(shown(trouble))
    if silent_s > SILENT_S:
        raise SourceError(f"the pipeline has given nothing for {silent_s:.0f} s")


def make(sensor: Sensor, grid: tuple[int, int], address: Address, clock: RunClock) -> LiveSource:
    """The source at `address`, all of which is the pipeline."""
    check_sensor(sensor, address.uri)
    return LiveSource(sensor, GstLink(sensor, address.place, clock), clock, MOST_WAIT_S)
