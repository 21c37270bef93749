"""A camera for tests that answers the ioctls of Video4Linux, so that the driver's side is played without a driver."""

from __future__ import annotations

import errno
import struct
import time
from typing import Any

from dis2_runtime.sources import v4l2_device as v4l2
from dis2_runtime.sources.v4l2_device import System


class FakeCamera:
    """Gives `pictures` (bytes), one each `period_s`; the number of each is its place, plus `skips` before it."""

    def __init__(
        self, pictures: list[bytes], fourcc: str, size: tuple[int, int], stride: int, *, period_s: float = 0.005
    ) -> None:
        self.pictures, self.period_s = pictures, period_s
        self.mode = (size[1], size[0], int.from_bytes(fourcc.encode(), "little"), 0, stride)
        self.capabilities = v4l2.CAN_CAPTURE | v4l2.CAN_STREAM
        self.flags = v4l2.STAMP_MONOTONIC
        self.skips: dict[int, int] = {}
        self.gone = self.absent = self.mute = False
        self.asked: list[int] = []
        self.opened = self.closed = 0
        self.memory = [bytearray(max(map(len, pictures), default=1)) for _ in range(v4l2.BUFFERS)]
        self._free: list[int] = []
        self._next = self._number = 0
        self._streaming = False

    @property
    def system(self) -> System:
        return System(self._open, self._close, self._ioctl, self._map, self._select)

    def _open(self, path: str, flags: int) -> int:
        if self.absent:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory")
        self.opened += 1
        self._free, self._streaming = [], False
        return 7

    def _close(self, file: int) -> None:
        assert file == 7
        self.closed += 1

    def _map(self, file: int, length: int, offset: int) -> Any:
        return _Mapped(self.memory[offset // 4096])

    def _select(self, reads: list[int], writes: list[int], odd: list[int], wait_s: float) -> Any:
        time.sleep(min(wait_s, self.period_s))
        ready = self.gone or (self._streaming and not self.mute and self._next < len(self.pictures))
        return (reads if ready else []), [], []

    def _ioctl(self, file: int, request: int, argument: bytearray) -> None:
        if self.gone:
            raise OSError(errno.ENODEV, "No such device")
        self.asked.append(request)
        assert len(argument) == (request >> 16) & 0x3FFF  # the size that the kernel would copy
        if request == v4l2.QUERYCAP:
            struct.pack_into("=II", argument, 84, self.capabilities | v4l2.CAPS_OF_NODE, self.capabilities)
        elif request in (v4l2.G_FMT, v4l2.S_FMT):
            argument[:] = v4l2.FORMAT.pack(v4l2.CAPTURE, *self.mode, 0, 0, 0)
        elif request == v4l2.QUERYBUF:
            index = struct.unpack_from("=I", argument)[0]
            struct.pack_into("=I", argument, 64, index * 4096)
            struct.pack_into("=I", argument, 72, len(self.memory[index]))
        elif request == v4l2.QBUF:
            self._free.append(struct.unpack_from("=I", argument)[0])
        elif request == v4l2.DQBUF:
            self._hand_over(argument)
        elif request == v4l2.STREAMON:
            assert len(self._free) == v4l2.BUFFERS
            self._streaming = True

    def _hand_over(self, argument: bytearray) -> None:
        picture = self.pictures[self._next]
        self._number += self.skips.get(self._next, 0)
        index = self._free.pop(0)
        self.memory[index][: len(picture)] = picture
        seconds, rest = divmod(time.monotonic_ns(), 10**9)
        argument[:] = v4l2.BUFFER.pack(
            index, 1, len(picture), self.flags, 0, seconds, rest // 1000, bytes(16), self._number, 1, 0, 0, 0, 0, 0
        )
        self._next, self._number = self._next + 1, self._number + 1


class _Mapped:
    def __init__(self, memory: bytearray) -> None:
        self._memory = memory

    def __getitem__(self, part: slice) -> bytes:
        return bytes(self._memory[part])

    def close(self) -> None:
        pass
