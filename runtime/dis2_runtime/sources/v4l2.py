"""`v4l2:/dev/videoN`: a camera of this computer, with its driver's stamps and numbers."""

from __future__ import annotations

import contextlib
import io
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass

import numpy as np
from PIL import Image

from dis2_edge.errors import SourceError
from dis2_edge.sensors import Sensor
from dis2_runtime.clock import RunClock
from dis2_runtime.sources import Address, options_of
from dis2_runtime.sources.decoded import picture_from, pixels_of, require_av
from dis2_runtime.sources.live import Grab, LiveSource
from dis2_runtime.sources.pictures import Pixels, check_sensor, fitted, unpacked
from dis2_runtime.sources.v4l2_device import Device, Mode, Shot, System

PACKED = {
    "GREY": "GRAY8",
    "Y10 ": "GRAY16_LE",
    "Y12 ": "GRAY16_LE",
    "Y14 ": "GRAY16_LE",
    "Y16 ": "GRAY16_LE",
    "RGB3": "RGB",
    "BGR3": "BGR",
    "BGR4": "BGRx",
    "XR24": "BGRx",
}
"""Pixel formats, by their four letters, that need no arithmetic."""
MIXED = {"YUYV": "yuyv422", "UYVY": "uyvy422", "NV12": "nv12", "YU12": "yuv420p"}
"""Pixel formats that PyAV turns to RGB."""
JPEGS = ("MJPG", "JPEG")
LOOK_S = 0.1
"""How long one look for a picture takes."""
MOST_GAP = 1000
"""Pictures that may be lost at once; a larger step means that the driver began to count anew."""


@dataclass(frozen=True)
class CameraOptions:
    """What may follow the question mark of `v4l2:/dev/videoN?...`."""

    format: str = ""
    """Pixel format, such as Y16, GREY, YUYV, MJPG; empty: Y16 for 16-bit sensors, else what the driver has."""
    size: tuple[int, ...] = ()
    """Height and width; empty: what the driver has."""
    rate_hz: float = 0.0
    """Pictures a second to ask for; 0: what the driver has."""
    timeout_s: float = 5.0
    """Silence after which the camera is opened anew. A flat-field correction takes up to 2 s."""
    most_wait_s: float = 8.0
    """Longest pause between two tries."""

    def __post_init__(self) -> None:
        if self.format and self.fourcc not in (*PACKED, *MIXED, *JPEGS):
            known = ", ".join(name.strip() for name in (*PACKED, *MIXED, *JPEGS))
            raise SourceError(f"format is {self.format!r}", expected=f"one of {known}")
        if len(self.size) not in (0, 2) or any(side < 1 for side in self.size):
            raise SourceError(f"size is {self.size}", expected="height and width: size=480,640")
        if not (0 <= self.rate_hz <= 1e4 and 0.1 <= self.timeout_s <= 600 and 0.1 <= self.most_wait_s <= 3600):
            found = f"rate_hz {self.rate_hz}, timeout_s {self.timeout_s}, most_wait_s {self.most_wait_s}"
            raise SourceError(found, expected="0 or more; seconds from 0.1 to 600 and 3600")

    @property
    def fourcc(self) -> str:
        """The format as four letters."""
        return f"{self.format:<4}"


class CameraLink:
    """Opens the camera and takes its pictures."""

    def __init__(
        self, sensor: Sensor, path: str, options: CameraOptions, clock: RunClock, system: System | None = None
    ) -> None:
        self._sensor, self._path, self._options, self._clock = sensor, path, options, clock
        self._system = system or System()
        self._fourcc = options.fourcc.strip() and options.fourcc
        if not self._fourcc and sensor.dtype == "uint16":
            self._fourcc = "Y16 "

    def check(self) -> None:
        """Find the package that the format needs."""
        if self._fourcc in MIXED:
            require_av()

    def grabs(self, stop: threading.Event) -> Generator[Grab, None, None]:
        """Pictures until the camera is gone."""
        height, width = self._options.size or (0, 0)
        device = Device(self._path, self._fourcc, (height, width), self._options.rate_hz, self._system)
        with contextlib.closing(device):
            heard, number = time.monotonic(), None
            while not stop.is_set():
                shot = device.shot(LOOK_S)
                if shot is None:
                    if time.monotonic() - heard > self._options.timeout_s:
                        raise SourceError(f"{self._path} has given nothing for {self._options.timeout_s:g} s")
                    continue
                lost = 0 if number is None else shot.sequence - number - 1
                heard, number = time.monotonic(), shot.sequence
                yield self._grab(shot, device.mode, lost if 0 < lost < MOST_GAP else 0)

    def _grab(self, shot: Shot, mode: Mode, lost: int) -> Grab:
        time_ns = None if shot.monotonic_ns is None else self._clock.from_monotonic(shot.monotonic_ns)
        if shot.damaged:
            return Grab(None, time_ns, lost, "the driver says that the picture is damaged")
        try:
            return Grab(developed(shot.data, mode, self._sensor), time_ns, lost)
        except SourceError as error:
            return Grab(None, time_ns, lost, str(error))


def developed(data: Pixels, mode: Mode, sensor: Sensor) -> Pixels:
    """HxWxC of `sensor` from a camera's bytes; SourceError when they are too few, no JPEG, or false colours."""
    if mode.fourcc in PACKED:
        return fitted(unpacked(data, PACKED[mode.fourcc], mode.size, mode.stride), sensor)
    if mode.fourcc in MIXED:
        return pixels_of(picture_from(data, MIXED[mode.fourcc], mode.size, mode.stride), sensor)
    if mode.fourcc in JPEGS:
        return fitted(_from_jpeg(data), sensor)
    known = ", ".join(name.strip() for name in (*PACKED, *MIXED, *JPEGS))
    raise SourceError(f"the camera's format {mode.fourcc!r} is none that we read", expected=f"one of {known}")


def _from_jpeg(data: Pixels) -> Pixels:
    try:
        with Image.open(io.BytesIO(data.tobytes()), formats=["JPEG"]) as picture:
            pixels = np.asarray(picture if picture.mode == "L" else picture.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise SourceError(f"a JPEG cannot be read ({type(error).__name__})") from error
    return pixels[..., None] if pixels.ndim == 2 else pixels


def make(sensor: Sensor, grid: tuple[int, int], address: Address, clock: RunClock) -> LiveSource:
    """The source at `address`."""
    check_sensor(sensor, address.uri)
    options = options_of(CameraOptions, address)
    path = str(address.path)
    return LiveSource(sensor, CameraLink(sensor, path, options, clock), clock, options.most_wait_s)
