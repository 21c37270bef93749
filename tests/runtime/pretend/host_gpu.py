"""A Driver whose device is this computer: kernels built for the CPU, streams that do at once, captures that replay.

It stands where the question is what an engine asks of a driver; the real bindings on a pretend libcuda ask the rest.
"""

from __future__ import annotations

import contextlib
import ctypes
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import EngineError
from dis2_runtime.driver import Argument, Captured, Size3
from tests.runtime.kernels.host_driver import HostDriver, HostMemory

Work = Callable[[], None]


def view(address: int, shape: tuple[int, ...], dtype: npt.DTypeLike) -> npt.NDArray[Any]:
    """The array at `address`, which is this computer's."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    return np.frombuffer((ctypes.c_uint8 * size).from_address(address), dtype).reshape(shape)


class Gpu(HostDriver):
    """Counts what is alive and captured, and fails on demand."""

    def __init__(self, *, integrated: bool = True, capability: tuple[int, int] = (8, 7), room: int = 1 << 30) -> None:
        super().__init__()
        self.device = replace(HostDriver.device, integrated=integrated, capability=capability, memory_bytes=room)
        self.room, self.taken, self.captures, self.launched = room, 0, True, 0
        self._recording: list[Work] | None = None

    def stream(self) -> Any:
        return Stream(self)

    def enqueue(self, handle: int, work: Work) -> None:
        """Do `work`, or note it while a capture is on."""
        if self._recording is None:
            work()
        else:
            self._recording.append(work)

    def allocate(self, bytes: int) -> Any:
        if self.taken + bytes > self.room:
            raise EngineError(f"no {bytes} bytes of the device's memory: {self.room - self.taken} are free")
        self.taken += bytes
        return Counted(super().allocate(bytes), self)

    def pinned(self, shape: tuple[int, ...], dtype: npt.DTypeLike, *, mapped: bool = False) -> Any:
        memory = self.allocate(max(1, int(np.prod(shape)) * np.dtype(dtype).itemsize))
        return Pinned(view(memory.address, shape, dtype), memory.address if mapped else 0, memory)

    def event(self) -> Any:
        return Event()

    def copy_in(self, target: int, source: npt.NDArray[Any], stream: Any) -> None:
        self.enqueue(stream.handle, lambda: HostDriver.copy_in(self, target, source, stream))

    def copy_out(self, target: npt.NDArray[Any], source: int, stream: Any) -> None:
        self.enqueue(stream.handle, lambda: HostDriver.copy_out(self, target, source, stream))

    def fill(self, target: int, value: int, bytes: int, stream: Any) -> None:
        self.enqueue(stream.handle, lambda: HostDriver.fill(self, target, value, bytes, stream))

    def launch(
        self, function: Any, grid: Size3, block: Size3, shared: int, stream: Any, arguments: Sequence[Argument]
    ) -> None:
        def work() -> None:
            self.launched += 1
            HostDriver.launch(self, function, grid, block, shared, stream, arguments)

        self.enqueue(stream.handle, work)

    @contextlib.contextmanager
    def capture(self, stream: Any) -> Iterator[Captured]:
        if not self.captures:
            raise EngineError("this driver captures nothing")
        self._recording, found = [], Recorded()
        try:
            yield found
            found.graph = Graph(self._recording)
        finally:
            self._recording = None


@dataclass
class Counted:
    memory: HostMemory
    gpu: Gpu

    @property
    def address(self) -> int:
        return self.memory.address

    @property
    def bytes(self) -> int:
        return self.memory.bytes

    def free(self) -> None:
        if self.memory.address:
            self.gpu.taken -= self.memory.bytes
        self.memory.free()


@dataclass
class Pinned:
    array: npt.NDArray[Any]
    address: int
    memory: Counted

    def free(self) -> None:
        self.memory.free()


@dataclass
class Stream:
    gpu: Gpu
    handle: int = 7

    def synchronize(self) -> None:
        assert self.gpu._recording is None, "nothing may be waited for while a stream is captured"


class Event:
    def record(self, stream: Any) -> None:
        self.at = time.perf_counter()

    def elapsed_ms(self, since: Any) -> float:
        return float(1000 * (self.at - since.at))


class Recorded:
    graph: Any = None


@dataclass
class Graph:
    works: list[Work]
    launches: int = 0

    def launch(self, stream: Any) -> None:
        self.launches += 1
        for work in self.works:
            work()
