"""A Video4Linux camera by its own ioctls: the driver's stamps (CLOCK_MONOTONIC) and numbers, which FFmpeg would lose.

The layouts are those of 64-bit Linux (videodev2.h). A few buffers are mapped once; a picture is copied out of its
buffer, which goes back at once, so that the driver always has one to fill.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import select
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import SourceError

QUERYCAP, G_FMT, S_FMT, S_PARM = 0x80685600, 0xC0D05604, 0xC0D05605, 0xC0CC5616
REQBUFS, QUERYBUF, QBUF, DQBUF = 0xC0145608, 0xC0585609, 0xC058560F, 0xC0585611
STREAMON, STREAMOFF = 0x40045612, 0x40045613
CAPTURE, MAPPED = 1, 1
"""V4L2_BUF_TYPE_VIDEO_CAPTURE, V4L2_MEMORY_MMAP."""
CAN_CAPTURE, CAN_STREAM, CAPS_OF_NODE = 0x1, 0x04000000, 0x80000000
DAMAGED, STAMP_MASK, STAMP_MONOTONIC = 0x40, 0xE000, 0x2000
BUFFERS = 4
FORMAT = struct.Struct("=I4x8I168x")
"""v4l2_format: type, then width, height, pixelformat, field, bytesperline, sizeimage, colorspace, priv."""
BUFFER = struct.Struct("=5I4xqq16sIIQ4I")
"""v4l2_buffer: index, type, bytesused, flags, field, seconds, microseconds, timecode, sequence, memory, m, length."""


class System(NamedTuple):
    """What is asked of the operating system; tests put a camera of their own here."""

    open: Callable[..., int] = os.open
    close: Callable[[int], None] = os.close
    ioctl: Callable[..., Any] = fcntl.ioctl
    map: Callable[..., Any] = mmap.mmap
    select: Callable[..., Any] = select.select


@dataclass(frozen=True)
class Mode:
    """How a camera gives its pictures."""

    fourcc: str
    """Pixel format, four letters."""
    size: tuple[int, int]
    """Height and width."""
    stride: int
    """Bytes a row; 0 where there are none, as in JPEG."""


@dataclass(frozen=True)
class Shot:
    """One picture as the driver gave it."""

    data: npt.NDArray[np.uint8]
    """Flat copy of its bytes."""
    sequence: int
    """The driver's number."""
    monotonic_ns: int | None
    """The driver's stamp on CLOCK_MONOTONIC; None if it stamps by another clock."""
    damaged: bool
    """Whether the driver says that the picture is."""


class Device:
    """A camera that streams while the object lives; a SourceError tells what it cannot do or that it is gone."""

    def __init__(self, path: str, fourcc: str, size: tuple[int, int], rate_hz: float, system: System) -> None:
        self._path, self._system = path, system
        self._maps: list[Any] = []
        self._file = self._call("open", system.open, path, os.O_RDWR | os.O_NONBLOCK)
        try:
            self._check()
            self.mode = self._set_mode(fourcc, size)
            if rate_hz:
                self._set_rate(rate_hz)
            self._map_buffers()
            self._ioctl("start", STREAMON, bytearray(struct.pack("=I", CAPTURE)))
        except BaseException:
            self.close()
            raise

    def shot(self, wait_s: float) -> Shot | None:
        """The next picture; None when none came within `wait_s`."""
        ready, _, _ = self._call("wait for", self._system.select, [self._file], [], [], wait_s)
        if not ready:
            return None
        buffer = _buffer()
        try:
            self._system.ioctl(self._file, DQBUF, buffer)
        except BlockingIOError:
            return None
        except OSError as error:
            raise SourceError(f"connection lost ({error.strerror})") from error
        index, _, used, flags, _, seconds, micros, _, sequence, *_ = BUFFER.unpack(buffer)
        data = np.frombuffer(bytes(self._maps[index][: used or None]), np.uint8)
        self._ioctl("give a buffer back to", QBUF, _buffer(index))
        stamp = seconds * 1_000_000_000 + micros * 1000 if flags & STAMP_MASK == STAMP_MONOTONIC else None
        return Shot(data, sequence, stamp, bool(flags & DAMAGED))

    def close(self) -> None:
        """Stop the camera and let it go; may be called twice."""
        if self._file < 0:
            return
        with contextlib.suppress(OSError):  # a camera that was pulled out cannot be stopped, and need not be
            self._system.ioctl(self._file, STREAMOFF, bytearray(struct.pack("=I", CAPTURE)))
        for mapped in self._maps:
            mapped.close()
        self._maps = []
        self._system.close(self._file)
        self._file = -1

    def _check(self) -> None:
        caps = bytearray(104)
        self._ioctl("ask", QUERYCAP, caps)
        whole, node = struct.unpack_from("=II", caps, 84)
        able = node if whole & CAPS_OF_NODE else whole
        if not (able & CAN_CAPTURE and able & CAN_STREAM):
            raise SourceError(f"{self._path} gives no pictures", mend="look for another node: v4l2-ctl --list-devices")

    def _set_mode(self, fourcc: str, size: tuple[int, int]) -> Mode:
        """Ask for a mode; 0 and "" leave what the driver has. Another one than was asked for is refused."""
        fields = bytearray(FORMAT.pack(CAPTURE, *[0] * 8))
        self._ioctl("ask", G_FMT, fields)
        _, width, height, code, *_ = FORMAT.unpack(fields)
        if fourcc or min(size) > 0:
            height, width = size if min(size) > 0 else (height, width)
            code = int.from_bytes(fourcc.encode(), "little") if fourcc else code
            fields = bytearray(FORMAT.pack(CAPTURE, width, height, code, *[0] * 5))
            self._ioctl("set the format of", S_FMT, fields)
        _, now_width, now_height, now_code, _, stride, *_ = FORMAT.unpack(fields)
        mode = Mode(now_code.to_bytes(4, "little").decode("latin-1"), (now_height, now_width), stride)
        if (now_width, now_height, now_code) != (width, height, code):
            asked = f"{width}x{height} {code.to_bytes(4, 'little').decode('latin-1')}"
            found = f"{self._path} offers {now_width}x{now_height} {mode.fourcc}"
            raise SourceError(found, expected=asked, mend=f"see: v4l2-ctl -d {self._path} --list-formats-ext")
        return mode

    def _set_rate(self, rate_hz: float) -> None:
        parameters = bytearray(204)
        struct.pack_into("=5I", parameters, 0, CAPTURE, 0, 0, 1000, round(rate_hz * 1000))
        self._ioctl("set the rate of", S_PARM, parameters)

    def _map_buffers(self) -> None:
        request = bytearray(struct.pack("=3I8x", BUFFERS, CAPTURE, MAPPED))
        self._ioctl("ask for buffers of", REQBUFS, request)
        count = struct.unpack_from("=I", request)[0]
        if count < 2:
            raise SourceError(f"{self._path} has no memory for two pictures")
        for index in range(count):
            buffer = _buffer(index)
            self._ioctl("ask for a buffer of", QUERYBUF, buffer)
            offset, length = BUFFER.unpack(buffer)[10:12]
            self._maps.append(self._call("map", self._system.map, self._file, length, offset=offset & 0xFFFFFFFF))
            self._ioctl("give a buffer to", QBUF, _buffer(index))

    def _ioctl(self, doing: str, request: int, argument: bytearray) -> None:
        self._call(doing, self._system.ioctl, self._file, request, argument)

    def _call(self, doing: str, function: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
        try:
            return function(*arguments, **named)
        except OSError as error:
            raise SourceError(f"cannot {doing} {self._path} ({error.strerror or error})") from error


def _buffer(index: int = 0) -> bytearray:
    return bytearray(BUFFER.pack(index, CAPTURE, 0, 0, 0, 0, 0, bytes(16), 0, MAPPED, 0, 0, 0, 0, 0))
