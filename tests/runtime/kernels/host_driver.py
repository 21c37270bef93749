"""A Driver over kernels that were built for the CPU: no CUDA, no pretend libcuda, only the launch itself.

Each allocation is one of the C library's, to the byte, so that a sanitizer that is loaded sees what lies beyond it.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import EngineError
from dis2_runtime.driver import Argument, Captured, Device, Driver, Size3
from tests.runtime.kernels.shim.building import build

_C = ctypes.CDLL(None)
_C.posix_memalign.argtypes = (ctypes.POINTER(ctypes.c_void_p), ctypes.c_size_t, ctypes.c_size_t)
_C.free.argtypes = (ctypes.c_void_p,)


@dataclass
class HostMemory:
    address: int
    bytes: int
    held: dict[int, int]

    def free(self) -> None:
        if self.address:
            del self.held[self.address]
            _C.free(self.address)
        self.address = 0


class HostModule:
    def __init__(self, file: Path, driver: HostDriver) -> None:
        self.library, self.driver = ctypes.CDLL(str(file)), driver
        self.library.dis2_problem.restype = ctypes.c_char_p

    def function(self, name: str) -> Any:
        try:
            return self, getattr(self.library, f"{name}__launch"), name
        except AttributeError:
            raise EngineError(f"no kernel {name!r} in the module") from None

    def parameters(self, name: str) -> list[str]:
        """Types of its parameters: * for an address, else NumPy's letter and size. A GPU does not look at them."""
        told = getattr(self.library, f"{name}__parameters")
        told.restype = ctypes.c_char_p
        return str(told().decode()).split()

    def watch(self, held: dict[int, int]) -> None:
        """Look for races in that memory too, where it was built to look for them."""
        if hasattr(self.library, "dis2_races_watch"):
            self.library.dis2_races_forget()
            for address, bytes in held.items():
                self.library.dis2_races_watch(ctypes.c_void_p(address), ctypes.c_size_t(bytes))


class HostStream:
    handle = 0

    def synchronize(self) -> None: ...


class HostDriver:
    """Runs kernels in the order that `schedule` draws."""

    name: Literal["pycuda", "cuda-bindings"] = "pycuda"
    device = Device("host", (8, 7), 4, 1 << 33, 13000, True)

    def __init__(self, schedule: int = 0) -> None:
        self.schedule = schedule
        self.held: dict[int, int] = {}
        """Bytes by address of what is allocated."""

    def __enter__(self) -> Driver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...

    def make_current(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def module(self, image: bytes) -> HostModule:
        return HostModule(Path(image.decode()), self)

    def built(self, source: str, **how: Any) -> HostModule:
        """The module of kernel source `source`, built for the CPU."""
        return HostModule(build(source, **how), self)

    def allocate(self, bytes: int) -> HostMemory:
        address = ctypes.c_void_p()
        assert _C.posix_memalign(ctypes.byref(address), 256, bytes) == 0
        self.held[address.value or 0] = bytes
        return HostMemory(address.value or 0, bytes, self.held)

    def pinned(self, shape: tuple[int, ...], dtype: npt.DTypeLike, *, mapped: bool = False) -> Any:
        raise NotImplementedError

    def free_bytes(self) -> int:
        return self.device.memory_bytes

    def stream(self) -> HostStream:
        return HostStream()

    def event(self) -> Any:
        raise NotImplementedError

    def copy_in(self, target: int, source: npt.NDArray[Any], stream: Any) -> None:
        ctypes.memmove(target, source.ctypes.data, source.nbytes)

    def copy_out(self, target: npt.NDArray[Any], source: int, stream: Any) -> None:
        ctypes.memmove(target.ctypes.data, source, target.nbytes)

    def fill(self, target: int, value: int, bytes: int, stream: Any) -> None:
        ctypes.memset(target, value, bytes)

    def launch(
        self, function: Any, grid: Size3, block: Size3, shared: int, stream: Any, arguments: Sequence[Argument]
    ) -> None:
        module, call, name = function
        found = [f"{one.dtype.kind}{one.dtype.itemsize}" if isinstance(one, np.generic) else "*" for one in arguments]
        if found != module.parameters(name):
            raise EngineError(f"{name} is given {' '.join(found)}", expected=" ".join(module.parameters(name)))
        values = [np.array(one if isinstance(one, np.generic) else np.uint64(one)) for one in arguments]
        pointers = (ctypes.c_void_p * len(values))(*(value.ctypes.data for value in values))
        module.library.dis2_set_schedule(self.schedule)
        module.watch(self.held)
        sizes = [(ctypes.c_uint * 3)(*size) for size in (grid, block)]
        if call(*sizes, ctypes.c_uint(shared), pointers, None, ctypes.c_size_t(0)):
            raise EngineError(f"{name}: {module.library.dis2_problem().decode()}")

    @contextlib.contextmanager
    def capture(self, stream: Any) -> Iterator[Captured]:
        raise NotImplementedError
        yield
