"""What a Python package does for a driver: the bare calls, without checks, order or words for who flies it."""

from __future__ import annotations

from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

from dis2_runtime.driver import Device, Size3

__all__ = ["Calls"]

Held = Any
"""A package's own object for memory, a stream, a module; only the package looks inside."""


class Calls(Protocol):
    """One GPU behind one package. Failures are CallErrors; all but `enter` and `close` want the context current."""

    name: Literal["pycuda", "cuda-bindings"]
    device: Device
    most_shared: int
    """Bytes of shared memory that a block may ask for."""

    def enter(self) -> None:
        """Make the primary context this thread's."""

    def leave(self) -> None:
        """Take it off this thread again."""

    def close(self) -> None:
        """Let go of the primary context, from whichever thread; it is current nowhere."""

    def wait(self) -> None:
        """Until all work of the context is done."""

    def free_bytes(self) -> int:
        """Memory of the device that nobody has taken."""

    def allocate(self, bytes: int) -> tuple[int, Held]:
        """Address and holder of device memory."""

    def release(self, memory: Held) -> None:
        """Give it back."""

    def pin(self, bytes: int, mapped: bool) -> tuple[npt.NDArray[np.uint8], int, Held]:
        """Page-locked memory: as the host sees it, where the device does (0 unless mapped), holder."""

    def unpin(self, memory: Held) -> None:
        """Give it back."""

    def load(self, image: bytes) -> Held:
        """A module."""

    def function(self, module: Held, name: str) -> Held:
        """A kernel of it."""

    def allow_shared(self, function: Held, bytes: int) -> None:
        """Let the kernel have that much dynamic shared memory."""

    def unload(self, module: Held) -> None:
        """Give it back."""

    def stream(self) -> tuple[int, Held]:
        """Handle and holder of a stream that does not wait for the default one."""

    def synchronize(self, stream: Held) -> None:
        """Until its work is done."""

    def drop_stream(self, stream: Held) -> None:
        """Give it back."""

    def event(self) -> Held:
        """An event with its time."""

    def record(self, event: Held, stream: Held) -> None:
        """Mark a point of the stream."""

    def elapsed_ms(self, begin: Held, end: Held) -> float:
        """Time between two points, in milliseconds; waits for `end`."""

    def drop_event(self, event: Held) -> None:
        """Give it back."""

    def copy_in(self, target: int, source: npt.NDArray[np.uint8], stream: Held) -> None:
        """Host to device, in the stream's order."""

    def copy_out(self, target: npt.NDArray[np.uint8], source: int, stream: Held) -> None:
        """Device to host, in the stream's order."""

    def fill(self, target: int, value: int, bytes: int, stream: Held) -> None:
        """Set bytes, in the stream's order."""

    def launch(self, function: Held, grid: Size3, block: Size3, shared: int, stream: Held, packed: bytes) -> None:
        """Start a kernel; `packed` holds its arguments."""
