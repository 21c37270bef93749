"""The calls of a driver through NVIDIA's cuda-bindings; imported only when it is opened."""

from __future__ import annotations

import ctypes
import importlib
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dis2_runtime.driver import Device, Size3
from dis2_runtime.driver.calls import Held
from dis2_runtime.driver.failures import CallError

__all__ = ["CudaBindingsCalls"]

_NON_BLOCKING = 1
_DEVICEMAP = 2
_NAME_BYTES = 256
_BUFFER_POINTER, _BUFFER_SIZE = 1, 2


class CudaBindingsCalls:
    """See `dis2_runtime.driver.calls.Calls`. Raises ImportError where cuda-bindings is missing."""

    name: Literal["pycuda", "cuda-bindings"] = "cuda-bindings"

    def __init__(self, device: int) -> None:
        self._cuda: Any = importlib.import_module("cuda.bindings.driver")
        self._call("cuInit", 0)
        self._gpu = self._call("cuDeviceGet", device)
        self.device, self.most_shared = self._describe()
        self._context = self._call("cuDevicePrimaryCtxRetain", self._gpu)

    def enter(self) -> None:
        """Make the primary context this thread's."""
        self._call("cuCtxPushCurrent", self._context)

    def leave(self) -> None:
        """Take it off this thread again."""
        self._call("cuCtxPopCurrent")

    def close(self) -> None:
        """Let go of the primary context."""
        self._call("cuDevicePrimaryCtxRelease", self._gpu)

    def wait(self) -> None:
        """Until all work of the context is done."""
        self._call("cuCtxSynchronize")

    def free_bytes(self) -> int:
        """Memory of the device that nobody has taken."""
        return int(self._call("cuMemGetInfo")[0])

    def allocate(self, bytes: int) -> tuple[int, Held]:
        """Address and holder of device memory."""
        memory = self._call("cuMemAlloc", bytes)
        return int(memory), memory

    def release(self, memory: Held) -> None:
        """Give it back."""
        self._call("cuMemFree", memory)

    def pin(self, bytes: int, mapped: bool) -> tuple[npt.NDArray[np.uint8], int, Held]:
        """Page-locked memory."""
        address = int(self._call("cuMemHostAlloc", bytes, _DEVICEMAP if mapped else 0))
        seen = int(self._call("cuMemHostGetDevicePointer", address, 0)) if mapped else 0
        return np.ctypeslib.as_array((ctypes.c_uint8 * bytes).from_address(address)), seen, address

    def unpin(self, memory: Held) -> None:
        """Give it back."""
        self._call("cuMemFreeHost", memory)

    def load(self, image: bytes) -> Held:
        """A module."""
        return self._call("cuModuleLoadData", image)

    def function(self, module: Held, name: str) -> Held:
        """A kernel of it."""
        return self._call("cuModuleGetFunction", module, name.encode())

    def allow_shared(self, function: Held, bytes: int) -> None:
        """Let the kernel have that much dynamic shared memory."""
        attribute = self._cuda.CUfunction_attribute.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        self._call("cuFuncSetAttribute", function, attribute, bytes)

    def unload(self, module: Held) -> None:
        """Give it back."""
        self._call("cuModuleUnload", module)

    def stream(self) -> tuple[int, Held]:
        """Handle and holder of a stream."""
        stream = self._call("cuStreamCreate", _NON_BLOCKING)
        return int(stream), stream

    def synchronize(self, stream: Held) -> None:
        """Until its work is done."""
        self._call("cuStreamSynchronize", stream)

    def drop_stream(self, stream: Held) -> None:
        """Give it back."""
        self._call("cuStreamDestroy", stream)

    def event(self) -> Held:
        """An event with its time."""
        return self._call("cuEventCreate", 0)

    def record(self, event: Held, stream: Held) -> None:
        """Mark a point of the stream."""
        self._call("cuEventRecord", event, stream)

    def elapsed_ms(self, begin: Held, end: Held) -> float:
        """Time between two points, in milliseconds."""
        self._call("cuEventSynchronize", end)
        return float(self._call("cuEventElapsedTime", begin, end))

    def drop_event(self, event: Held) -> None:
        """Give it back."""
        self._call("cuEventDestroy", event)

    def copy_in(self, target: int, source: npt.NDArray[np.uint8], stream: Held) -> None:
        """Host to device."""
        self._call("cuMemcpyHtoDAsync", target, source.ctypes.data, source.nbytes, stream)

    def copy_out(self, target: npt.NDArray[np.uint8], source: int, stream: Held) -> None:
        """Device to host."""
        self._call("cuMemcpyDtoHAsync", target.ctypes.data, source, target.nbytes, stream)

    def fill(self, target: int, value: int, bytes: int, stream: Held) -> None:
        """Set bytes."""
        self._call("cuMemsetD8Async", target, value, bytes, stream)

    def launch(self, function: Held, grid: Size3, block: Size3, shared: int, stream: Held, packed: bytes) -> None:
        """Start a kernel; the driver copies its arguments before this returns."""
        size = ctypes.c_size_t(len(packed))
        held = ctypes.create_string_buffer(packed, max(1, len(packed)))
        where = (_BUFFER_POINTER, ctypes.addressof(held), _BUFFER_SIZE, ctypes.addressof(size), 0)
        extra = (ctypes.c_void_p * len(where))(*where)
        self._call("cuLaunchKernel", function, *grid, *block, shared, stream, 0, ctypes.addressof(extra))

    def _describe(self) -> tuple[Device, int]:
        names = self._cuda.CUdevice_attribute

        def asked(name: str) -> int:
            return int(self._call("cuDeviceGetAttribute", getattr(names, f"CU_DEVICE_ATTRIBUTE_{name}"), self._gpu))

        device = Device(
            name=self._call("cuDeviceGetName", _NAME_BYTES, self._gpu).partition(b"\0")[0].decode(errors="replace"),
            capability=(asked("COMPUTE_CAPABILITY_MAJOR"), asked("COMPUTE_CAPABILITY_MINOR")),
            multiprocessors=asked("MULTIPROCESSOR_COUNT"),
            memory_bytes=int(self._call("cuDeviceTotalMem", self._gpu)),
            driver_version=int(self._call("cuDriverGetVersion")),
            integrated=bool(asked("INTEGRATED")),
        )
        return device, asked("MAX_SHARED_MEMORY_PER_BLOCK_OPTIN")

    def _call(self, name: str, *arguments: Any) -> Any:
        """One call: its answer, several as a tuple; CallError when it does not succeed."""
        code, *answers = getattr(self._cuda, name)(*arguments)
        if int(code):
            failed, text = self._cuda.cuGetErrorString(code)
            raise CallError(name, int(code), "unknown error" if int(failed) else text.decode(errors="replace"))
        return answers[0] if len(answers) == 1 else tuple(answers)
