"""The CUDA driver behind one small interface: modules, memory, copies, streams, events, graphs.

`open_driver` takes pycuda where it is installed (the documented default on a Jetson), else cuda-bindings; kernels and
engines know neither. Addresses are plain integers; every failure of the driver is an EngineError that names the call.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

__all__ = ["DRIVERS", "Device", "Driver", "Event", "Function", "Graph", "Memory", "Module", "Pinned", "Size3", "Stream"]

DRIVERS = ("pycuda", "cuda-bindings")
"""Python packages that can stand behind a Driver, best liked first."""

Size3 = tuple[int, int, int]
"""x, y, z of a grid of blocks or of a block of threads."""
Function = Any
"""A kernel of a module; what it is only its driver knows."""
Argument = np.generic | int
"""An argument of a kernel: a NumPy scalar goes as its type, an int as a 64-bit address."""


@dataclass(frozen=True)
class Device:
    """What a GPU says of itself."""

    name: str
    """As its driver calls it."""
    capability: tuple[int, int]
    """Compute capability: (8, 7) of an Orin."""
    multiprocessors: int
    """Count of SMs that are switched on."""
    memory_bytes: int
    """Memory in all; of a Tegra it is the processor's too."""
    driver_version: int
    """The newest CUDA that the driver serves: 12060 is 12.6."""
    integrated: bool
    """Whether it shares its memory with the processor (Tegra): mapped memory needs no copies there."""


class Memory(Protocol):
    """A piece of the device's memory; freed by `free` or with its driver."""

    address: int
    bytes: int

    def free(self) -> None:
        """Give it back; a second time does nothing."""


class Pinned(Protocol):
    """Host memory that the device may read: page-locked, and mapped where it was asked for."""

    array: npt.NDArray[Any]
    """The memory as the host sees it."""
    address: int
    """Where the device sees it, if it is mapped; else 0."""

    def free(self) -> None:
        """Give it back; `array` must not be used after that."""


class Module(Protocol):
    """Kernels that were loaded from a cubin or from PTX."""

    def function(self, name: str) -> Function:
        """The kernel called `name`; EngineError naming the module's fault when there is none."""


class Stream(Protocol):
    """An order of work on the device."""

    handle: int
    """What TensorRT and others take as a stream."""

    def synchronize(self) -> None:
        """Wait until all its work is done; a kernel's failure comes out here."""


class Event(Protocol):
    """A point in a stream, with its time."""

    def record(self, stream: Stream) -> None:
        """Mark what `stream` has been given until now."""

    def elapsed_ms(self, since: Event) -> float:
        """Time from `since` to this point, in milliseconds; waits for it."""


class Graph(Protocol):
    """Captured work, launched as one."""

    def launch(self, stream: Stream) -> None:
        """Do the work again, on the same addresses."""


class Driver(Protocol):
    """One device, opened; used in a `with`, from one thread at a time. Each call makes the context current itself."""

    name: Literal["pycuda", "cuda-bindings"]
    device: Device

    def __enter__(self) -> Driver: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def make_current(self) -> AbstractContextManager[None]:
        """Make the device's context that of the calling thread, while inside: for calls of TensorRT, or to save time.

        Leave it in the thread that entered it, and soon: pycuda ends the process of a thread that ends with it.
        """

    def module(self, image: bytes) -> Module:
        """Load a cubin, or PTX text; EngineError when it is for another architecture or a newer driver."""

    def allocate(self, bytes: int) -> Memory:
        """Memory of the device, aligned to 256 bytes; EngineError with what is free when it does not suffice."""

    def pinned(self, shape: tuple[int, ...], dtype: npt.DTypeLike, *, mapped: bool = False) -> Pinned:
        """Page-locked host memory; `mapped` lets kernels use it in place (zero-copy on a Tegra)."""

    def free_bytes(self) -> int:
        """Memory of the device that nobody has taken."""

    def stream(self) -> Stream:
        """A new stream that does not wait for the default one; it lives as long as its driver."""

    def event(self) -> Event:
        """A new event; it lives as long as its driver."""

    def copy_in(self, target: int, source: npt.NDArray[Any], stream: Stream) -> None:
        """Copy a contiguous host array to the address `target`; at once for pinned arrays, as the stream goes."""

    def copy_out(self, target: npt.NDArray[Any], source: int, stream: Stream) -> None:
        """Copy from the address `source` into a contiguous host array."""

    def fill(self, target: int, value: int, bytes: int, stream: Stream) -> None:
        """Set bytes at the address `target`."""

    def launch(
        self, function: Function, grid: Size3, block: Size3, shared: int, stream: Stream, arguments: Sequence[Argument]
    ) -> None:
        """Start a kernel with `shared` bytes of dynamic shared memory; arguments go by their NumPy types."""

    def capture(self, stream: Stream) -> AbstractContextManager[Captured]:
        """Record what `stream` is given inside instead of doing it; `.graph` is there after the block.

        Copies inside need arrays of `pinned`, whose addresses stay in the graph.
        """


class Captured(Protocol):
    """A capture: its graph, once the block was left without an error."""

    graph: Graph
