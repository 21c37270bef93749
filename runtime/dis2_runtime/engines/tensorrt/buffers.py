"""Buffers that the scenarios of an engine share: taken once, at fixed addresses; only one scenario runs at a time."""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from dis2_runtime.driver import Driver, Memory, Pinned

__all__ = ["Buffers", "Mirror"]

ALIGNED = 256
"""Bytes to which TensorRT wants its scratch memory aligned; an allocation is."""


class Owned(Protocol):
    """What holds memory of the device."""

    def free(self) -> None:
        """Give it back."""


class Mirror:
    """Host memory with its place on the device: one and the same where the GPU shares the processor's memory."""

    def __init__(self, driver: Driver, shape: tuple[int, ...], dtype: npt.DTypeLike, *, mapped: bool) -> None:
        self._driver = driver
        self._pinned: Pinned = driver.pinned(shape, dtype, mapped=mapped)
        self.array: npt.NDArray[Any] = self._pinned.array
        """As the host sees it."""
        self._memory: Memory | None = None if mapped else driver.allocate(self.array.nbytes)
        self.address = self._pinned.address if self._memory is None else self._memory.address
        """Where kernels find it."""

    def send(self, stream: Any) -> None:
        """Bring the host's side to the device, in the stream's order."""
        if self._memory is not None:
            self._driver.copy_in(self.address, self.array, stream)

    def fetch(self, stream: Any) -> None:
        """Bring the device's side to the host, in the stream's order."""
        if self._memory is not None:
            self._driver.copy_out(self.array, self.address, stream)

    def free(self) -> None:
        """Give both back."""
        if self._memory is not None:
            self._memory.free()
        self._pinned.free()


class Buffers:
    """Every buffer of an engine, each made when it is first asked for."""

    def __init__(self, driver: Driver) -> None:
        self._driver = driver
        self._mapped = driver.device.integrated
        self._mirrors: dict[tuple[Any, ...], Mirror] = {}
        self._places: dict[tuple[Any, ...], Memory] = {}
        self._scratch: Memory | None = None
        self._owned: list[Owned] = []

    def own(self, thing: Owned) -> None:
        """Free `thing` with the buffers."""
        self._owned.append(thing)

    def mirror(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> Mirror:
        """Memory of both sides for the array `name`."""
        key = (name, shape, np.dtype(dtype).name)
        if key not in self._mirrors:
            self._mirrors[key] = Mirror(self._driver, shape, dtype, mapped=self._mapped)
        return self._mirrors[key]

    def place(self, name: str, shape: tuple[int, ...], dtype: npt.DTypeLike) -> int:
        """Address of device memory for the array `name`, which the host never sees."""
        key = (name, shape, np.dtype(dtype).name)
        if key not in self._places:
            self._places[key] = self._driver.allocate(math.prod(shape) * np.dtype(dtype).itemsize)
        return self._places[key].address

    def scratch(self, bytes: int) -> Memory:
        """Memory of at least `bytes` for one inference; what was given out before is no longer valid."""
        if self._scratch is None or self._scratch.bytes < bytes:
            if self._scratch is not None:
                self._scratch.free()
                self._scratch = None
            self._scratch = self._driver.allocate(max(bytes, ALIGNED))
        return self._scratch

    def free(self) -> None:
        """Give all of it back."""
        for mirror in self._mirrors.values():
            mirror.free()
        for place in self._places.values():
            place.free()
        if self._scratch is not None:
            self._scratch.free()
        for thing in self._owned:
            thing.free()
        self._owned.clear()
        self._mirrors.clear()
        self._places.clear()
        self._scratch = None
