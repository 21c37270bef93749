"""The calls of a driver through pycuda, the documented default on a Jetson; imported only when it is opened."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import threading
import warnings
from collections.abc import Iterator
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dis2_runtime.driver import Device, Size3
from dis2_runtime.driver.calls import Held
from dis2_runtime.driver.failures import CallError
from dis2_runtime.driver.libcuda import call, code_of

__all__ = ["PycudaCalls"]

_NON_BLOCKING = 1


class PycudaCalls:
    """See `dis2_runtime.driver.calls.Calls`. Raises ImportError where pycuda or libcuda is missing."""

    name: Literal["pycuda", "cuda-bindings"] = "pycuda"

    def __init__(self, device: int) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # pycuda warns of what its ImportError says too
            self._cuda: Any = importlib.import_module("pycuda.driver")
        with self._telling():
            self._cuda.init()
            self._ordinal, self._gpu = device, self._cuda.Device(device)
            self.device, self.most_shared = self._describe()
            self._context = self._gpu.retain_primary_context()
        self._opener = threading.get_ident()

    def enter(self) -> None:
        """Make the primary context this thread's."""
        with self._telling():
            self._context.push()

    def leave(self) -> None:
        """Take it off this thread again."""
        with self._telling():
            self._cuda.Context.pop()

    def close(self) -> None:
        """Let go of the primary context.

        pycuda's `detach` pushes it, releases it and leaves it on the thread that retained it; in any other thread it
        does nothing at all. Both are put right here.
        """
        before = _current()
        with self._telling():
            self._context.detach()
        if threading.get_ident() != self._opener:
            call("cuDevicePrimaryCtxRelease_v2", self._ordinal)
        elif _current() != before:
            call("cuCtxPopCurrent_v2", None)

    def wait(self) -> None:
        """Until all work of the context is done."""
        with self._telling():
            self._cuda.Context.synchronize()

    def free_bytes(self) -> int:
        """Memory of the device that nobody has taken."""
        with self._telling():
            return int(self._cuda.mem_get_info()[0])

    def allocate(self, bytes: int) -> tuple[int, Held]:
        """Address and holder of device memory."""
        with self._telling():
            memory = self._cuda.mem_alloc(bytes)
            return int(memory), memory

    def release(self, memory: Held) -> None:
        """Give it back."""
        with self._telling():
            memory.free()

    def pin(self, bytes: int, mapped: bool) -> tuple[npt.NDArray[np.uint8], int, Held]:
        """Page-locked memory."""
        flags = self._cuda.host_alloc_flags.DEVICEMAP if mapped else 0
        with self._telling():
            array = self._cuda.pagelocked_empty((bytes,), np.uint8, mem_flags=flags)
            return array, int(array.base.get_device_pointer()) if mapped else 0, array.base

    def unpin(self, memory: Held) -> None:
        """Give it back."""
        with self._telling():
            memory.free()

    def load(self, image: bytes) -> Held:
        """A module."""
        with self._telling():
            return self._cuda.module_from_buffer(image)

    def function(self, module: Held, name: str) -> Held:
        """A kernel of it."""
        with self._telling():
            return module.get_function(name)

    def allow_shared(self, function: Held, bytes: int) -> None:
        """Let the kernel have that much dynamic shared memory."""
        with self._telling():
            function.set_attribute(self._cuda.function_attribute.MAX_DYNAMIC_SHARED_SIZE_BYTES, bytes)

    def unload(self, module: Held) -> None:
        """Its last reference does it."""

    def stream(self) -> tuple[int, Held]:
        """Handle and holder of a stream."""
        with self._telling():
            stream = self._cuda.Stream(_NON_BLOCKING)
            return int(stream.handle), stream

    def synchronize(self, stream: Held) -> None:
        """Until its work is done."""
        with self._telling():
            stream.synchronize()

    def drop_stream(self, stream: Held) -> None:
        """Its last reference does it."""

    def event(self) -> Held:
        """An event with its time."""
        with self._telling():
            return self._cuda.Event()

    def record(self, event: Held, stream: Held) -> None:
        """Mark a point of the stream."""
        with self._telling():
            event.record(stream)

    def elapsed_ms(self, begin: Held, end: Held) -> float:
        """Time between two points, in milliseconds."""
        with self._telling():
            end.synchronize()
            return float(end.time_since(begin))

    def drop_event(self, event: Held) -> None:
        """Its last reference does it."""

    def copy_in(self, target: int, source: npt.NDArray[np.uint8], stream: Held) -> None:
        """Host to device."""
        with self._telling():
            self._cuda.memcpy_htod_async(target, source, stream)

    def copy_out(self, target: npt.NDArray[np.uint8], source: int, stream: Held) -> None:
        """Device to host."""
        with self._telling():
            self._cuda.memcpy_dtoh_async(target, source, stream)

    def fill(self, target: int, value: int, bytes: int, stream: Held) -> None:
        """Set bytes."""
        with self._telling():
            self._cuda.memset_d8_async(target, value, bytes, stream)

    def launch(self, function: Held, grid: Size3, block: Size3, shared: int, stream: Held, packed: bytes) -> None:
        """Start a kernel; to pycuda its arguments are one structure."""
        arguments = (np.void(packed),) if packed else ()
        with self._telling():
            function(*arguments, grid=grid, block=block, shared=shared, stream=stream)

    def _describe(self) -> tuple[Device, int]:
        asked, names = self._gpu.get_attribute, self._cuda.device_attribute
        device = Device(
            name=self._gpu.name(),
            capability=self._gpu.compute_capability(),
            multiprocessors=int(asked(names.MULTIPROCESSOR_COUNT)),
            memory_bytes=int(self._gpu.total_memory()),
            driver_version=int(self._cuda.get_driver_version()),
            integrated=bool(asked(names.INTEGRATED)),
        )
        return device, int(asked(names.MAX_SHARED_MEMORY_PER_BLOCK_OPTIN))

    @contextlib.contextmanager
    def _telling(self) -> Iterator[None]:
        """pycuda's errors hold no code, only "<call> failed: <the driver's text> - <a log>"."""
        try:
            yield
        except self._cuda.Error as error:
            name, _, told = str(error).partition(" failed: ")
            raise CallError(name, code_of(told.partition(" - ")[0]), told) from error


def _current() -> int:
    context = ctypes.c_void_p()
    call("cuCtxGetCurrent", ctypes.byref(context))
    return context.value or 0
