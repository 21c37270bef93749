"""`video:FILE` and `video:URL`: videos through PyAV. A file is recorded and paced by its own stamps; a URL is live.

What follows a file's question mark are our options; a URL keeps its question mark, and ours follow a `#`.
"""

from __future__ import annotations

import dataclasses
import re
import urllib.parse
from collections.abc import Iterator
from typing import Any

from dis2_edge.errors import SourceError
from dis2_edge.sensors import Sensor
from dis2_runtime.clock import RunClock
from dis2_runtime.frames import Delivery, Frame
from dis2_runtime.sources import Address, Source, options_of
from dis2_runtime.sources.decoded import pixels_of, require_av
from dis2_runtime.sources.live import LiveSource
from dis2_runtime.sources.pictures import check_sensor
from dis2_runtime.sources.video_link import LinkOptions, VideoLink, opened_video, reason_of

_URL = re.compile(r"[a-z][a-z0-9+.-]*://", re.IGNORECASE)


@dataclasses.dataclass(frozen=True)
class VideoOptions:
    """What may follow the question mark of `video:FILE?...`."""

    loop: bool = False
    """1 starts again after the last picture; else the source ends there."""
    rate_hz: float = 0.0
    """Pictures a second; 0 takes the file's own stamps."""
    start: float = 0.0
    """Seconds of the file to leave out at its beginning."""

    def __post_init__(self) -> None:
        if not (0 <= self.rate_hz <= 1e6 and 0 <= self.start <= 1e9):
            raise SourceError(f"rate_hz {self.rate_hz}, start {self.start}", expected="numbers of 0 or more")


class VideoFile:
    """The pictures of a file, each due at its stamp. One that cannot be decoded is a lost frame with its reason."""

    def __init__(self, sensor: Sensor, address: Address, options: VideoOptions) -> None:
        self._sensor, self._path, self._options = sensor, address.path, options
        self._container: Any = None
        self._pictures: Iterator[Any | str] = iter(())
        self._sequence, self._passed = -1, 0
        self._first_ns: int | None = None
        self._base_ns = self._last_ns = self._newest_ns = 0
        self._period_ns = round(1e9 / (options.rate_hz or sensor.rate_hz))

    def open(self) -> None:
        """Open the file and find its decoder."""
        if not self._path.is_file():
            raise SourceError(f"sensor {self._sensor.name!r}: {self._path} is not a file")
        self._begin()

    def next(self) -> Delivery | None:
        """The next picture at its stamp; None after the last, unless the file loops."""
        if self._container is None:
            return None
        picture = next(self._pictures, None)
        if picture is None and self._options.loop and self._passed:
            self._base_ns = self._last_ns + self._period_ns
            self._begin()
            picture = next(self._pictures, None)
        if picture is None:
            return None
        self._sequence += 1
        if isinstance(picture, str):
            return Delivery(self._last_ns, None, picture)
        self._passed += 1
        return self._delivery(picture)

    def close(self) -> None:
        """Let the file go."""
        container, self._container = self._container, None
        if container is not None:
            container.close()

    def _delivery(self, picture: Any) -> Delivery:
        time_ns, stamped = self._time_ns(picture)
        self._last_ns = max(self._last_ns, time_ns)
        try:
            pixels = pixels_of(picture, self._sensor)
        except SourceError as error:
            return Delivery(self._last_ns, None, str(error))
        return Delivery(self._last_ns, Frame(self._sensor.name, pixels, time_ns, self._sequence, stamped))

    def _time_ns(self, picture: Any) -> tuple[int, bool]:
        """Run's time of a picture, and whether the file told it."""
        if self._options.rate_hz:
            return self._base_ns + (self._passed - 1) * self._period_ns, True
        if picture.pts is None:
            return (self._last_ns + self._period_ns if self._passed > 1 else 0), False
        stamp_ns = round(picture.pts * picture.time_base * 1_000_000_000)
        if self._first_ns is None or stamp_ns < self._newest_ns:  # the first, or the first of another recording
            self._first_ns = stamp_ns
            self._base_ns = self._last_ns + self._period_ns if self._passed > 1 else self._base_ns
        self._newest_ns = stamp_ns
        return self._base_ns + stamp_ns - self._first_ns, True

    def _begin(self) -> None:
        """Open the file at `start`."""
        self.close()
        self._container = container = opened_video(str(self._path.absolute()), {}, None)  # "a:b.mp4" is no URL
        rate = container.streams.video[0].average_rate
        if rate and not self._options.rate_hz:
            self._period_ns = round(1e9 / rate)
        self._first_ns, self._passed = None, 0
        if self._options.start:
            start_us = (container.start_time or 0) + round(self._options.start * 1e6)
            try:
                container.seek(start_us)
            except require_av().FFmpegError as error:
                raise SourceError(f"{self._path} cannot be sought in: {reason_of(error)}") from error
        self._pictures = _pictures(container, start_us / 1e6 if self._options.start else None)


def _pictures(container: Any, from_s: float | None) -> Iterator[Any | str]:
    """Decoded pictures from `from_s` of the file's time on, or the reason why one was lost."""
    packets = container.demux(container.streams.video[0])
    while True:
        try:
            packet = next(packets, None)
            if packet is None:
                return
            decoded = packet.decode()
        except require_av().FFmpegError as error:
            yield f"a picture cannot be decoded: {reason_of(error)}"
            continue
        for picture in decoded:
            if from_s is None or picture.time is None or picture.time >= from_s:
                yield picture


def is_live(address: Address) -> bool:
    """A URL is live, a file is recorded."""
    return _URL.match(address.place) is not None


def make(sensor: Sensor, grid: tuple[int, int], address: Address, clock: RunClock) -> Source:
    """The source at `address`."""
    require_av()
    check_sensor(sensor, address.uri)
    place, _, query = address.place.partition("#" if is_live(address) else "?")
    options = dict(urllib.parse.parse_qsl(query, keep_blank_values=True))
    address = dataclasses.replace(address, place=place, options=options)
    if not is_live(address):
        return VideoFile(sensor, address, options_of(VideoOptions, address))
    link_options = options_of(LinkOptions, address)
    return LiveSource(sensor, VideoLink(sensor, address, link_options, clock), clock, link_options.most_wait_s)
