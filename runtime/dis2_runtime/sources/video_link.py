"""The way to a live video: PyAV on a URL, with credentials from a file, stamps mapped to the run's clock."""

from __future__ import annotations

import threading
import urllib.parse
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dis2_edge.errors import SourceError
from dis2_edge.sensors import Sensor
from dis2_edge.terminal import warn
from dis2_runtime.clock import RunClock
from dis2_runtime.sources import Address
from dis2_runtime.sources.decoded import pixels_of, require_av
from dis2_runtime.sources.live import Grab
from dis2_runtime.stamps import SourceClock

_CODEC_MEND = "send H.264, H.265 or MJPEG, or decode it outside: gst:PIPELINE"


@dataclass(frozen=True)
class LinkOptions:
    """What may follow the `#` of `video:URL#...`."""

    transport: Literal["tcp", "udp"] = "tcp"
    """How RTSP brings its packets: tcp loses none, udp waits for none."""
    timeout_s: float = 5.0
    """Silence after which a connection counts as lost."""
    most_wait_s: float = 8.0
    """Longest pause between two tries."""
    credentials: str = ""
    """File with one line USER:PASSWORD; a relative one is taken below the rig's folder."""

    def __post_init__(self) -> None:
        if not (0.1 <= self.timeout_s <= 600 and 0.1 <= self.most_wait_s <= 3600):
            found = f"timeout_s {self.timeout_s}, most_wait_s {self.most_wait_s}"
            raise SourceError(found, expected="seconds from 0.1 to 600 and 3600")


class VideoLink:
    """Connects to one URL and decodes what comes."""

    def __init__(self, sensor: Sensor, address: Address, options: LinkOptions, clock: RunClock) -> None:
        self._sensor, self._address, self._options, self._clock = sensor, address, options, clock
        self._url = address.place

    def check(self) -> None:
        """Read the credentials."""
        if self._options.credentials:
            user_and_password = read_credentials(self._address.base / self._options.credentials)
            self._url = with_credentials(self._address.place, user_and_password)

    def grabs(self, stop: threading.Event) -> Generator[Grab, None, None]:
        """Pictures until the connection is lost."""
        settings = {"fflags": "nobuffer", "flags": "low_delay", "analyzeduration": "1000000", "fpsprobesize": "0"}
        if self._url.lower().startswith("rtsp"):
            settings["rtsp_transport"] = self._options.transport
        with opened_video(self._url, settings, self._options.timeout_s) as container:
            source_clock, lost = SourceClock(), 0
            stream = container.streams.video[0]
            stream.codec_context.thread_type = "SLICE"  # threads a picture would each hold one back
            packets = container.demux(stream)
            while not stop.is_set():
                try:
                    packet = next(packets, None)
                except require_av().FFmpegError as error:
                    raise SourceError(f"connection lost ({reason_of(error)})") from error
                if packet is None:
                    return
                try:
                    pictures = packet.decode()
                except require_av().FFmpegError:
                    lost += 1  # the number that it would have had is the trace that it leaves
                    continue
                for picture in pictures:
                    yield self._grab(picture, source_clock, lost)
                    lost = 0

    def _grab(self, picture: Any, source_clock: SourceClock, lost: int) -> Grab:
        time_ns = None
        if picture.pts is not None:
            stamp_ns = round(picture.pts * picture.time_base * 1_000_000_000)
            time_ns = source_clock.map(stamp_ns, self._clock.now_ns())
        try:
            return Grab(pixels_of(picture, self._sensor), time_ns, lost)
        except SourceError as error:
            return Grab(None, time_ns, lost, str(error))


def opened_video(place: str, settings: dict[str, str], timeout_s: float | None) -> Any:
    """The av container at `place`, its video stream with a decoder. SourceError, without the place's secrets."""
    av = require_av()
    try:
        container = av.open(place, options=settings, timeout=timeout_s)
    except av.FFmpegError as error:
        raise SourceError(f"the video cannot be opened ({reason_of(error)})") from error
    try:
        if not container.streams.video:
            raise SourceError("no video stream there", expected="one or more")
        if container.streams.video[0].codec_context is None:  # to decode it all the same would crash PyAV
            raise SourceError("no decoder for this video's codec", mend=_CODEC_MEND)
    except SourceError:
        container.close()
        raise
    return container


def reason_of(error: Exception) -> str:
    """What FFmpeg says, without the place, which may hold a password."""
    return getattr(error, "strerror", None) or type(error).__name__


def read_credentials(path: Path) -> str:
    """USER:PASSWORD from the first line of `path`; warns if others may read the file."""
    try:
        mode, text = path.stat().st_mode, path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"credentials file {path} cannot be read ({reason_of(error)})") from error
    line = text.strip()
    user, colon, password = line.partition(":")
    if "\n" in line or not colon or not user or not password:
        raise SourceError(f"credentials file {path} holds something else", expected="one line USER:PASSWORD")
    if mode & 0o077:
        warn(f"credentials file {path} can be read by others: chmod 600 {path}")
    return line


def with_credentials(url: str, user_and_password: str) -> str:
    """`url` with user and password before its host, in place of any that stand there."""
    scheme, _, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    user, _, password = user_and_password.partition(":")
    quoted = f"{urllib.parse.quote(user, safe='')}:{urllib.parse.quote(password, safe='')}"
    return f"{scheme}://{quoted}@{host.rpartition('@')[2]}{slash}{path}"
