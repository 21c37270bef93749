"""Work of Python's in a stream's order: what a fake engine does in place of its kernels, captures included."""

from __future__ import annotations

import ctypes
import traceback
from collections.abc import Callable

_CALLBACK = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class HostWork:
    """Puts functions on streams through cuLaunchHostFunc, in a child with the pretend GPU."""

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libcuda.so.1")
        self._library.cuLaunchHostFunc.argtypes = (ctypes.c_void_p, _CALLBACK, ctypes.c_void_p)
        self._kept: list[object] = []  # a graph may call them as long as it lives

    def enqueue(self, stream: int, work: Callable[[], None]) -> None:
        """Do `work` when the stream comes to it; an error in it fails the stream as a kernel's would.

        As with TensorRT, the context must be current: `driver.make_current()`.
        """

        def guarded(_: int | None) -> None:
            try:
                work()
            except BaseException:
                traceback.print_exc()
                self._library.pretend_break(719)

        callback = _CALLBACK(guarded)
        self._kept.append(callback)
        code = self._library.cuLaunchHostFunc(stream, callback, None)
        if code:
            raise RuntimeError(f"cuLaunchHostFunc answered {code}")
