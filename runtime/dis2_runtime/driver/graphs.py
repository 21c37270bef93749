"""Capture of a stream, and the graph that it makes, through the driver itself: pycuda wraps no graphs."""

from __future__ import annotations

import ctypes

from dis2_runtime.driver.failures import CallError
from dis2_runtime.driver.libcuda import call

__all__ = ["Executable", "begin_capture", "drop_capture", "end_capture"]

# Calls that other threads make meanwhile are none of this capture's business.
_THREAD_LOCAL = 1


class Executable:
    """A graph, ready to be launched."""

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def launch(self, stream: int) -> None:
        """Put it on the stream of that handle."""
        call("cuGraphLaunch", self._handle, stream)

    def free(self) -> None:
        """Give it back."""
        call("cuGraphExecDestroy", self._handle)


def begin_capture(stream: int) -> None:
    """From now on record what the stream of that handle is given."""
    call("cuStreamBeginCapture_v2", stream, _THREAD_LOCAL)


def end_capture(stream: int) -> Executable:
    """What was recorded, instantiated."""
    graph, executable = ctypes.c_void_p(), ctypes.c_void_p()
    call("cuStreamEndCapture", stream, ctypes.byref(graph))
    try:
        call("cuGraphInstantiateWithFlags", ctypes.byref(executable), graph, 0)
    finally:
        call("cuGraphDestroy", graph)
    return Executable(executable.value or 0)


def drop_capture(stream: int) -> None:
    """End a capture whose work nobody wants; one that is broken already is ended by that."""
    graph = ctypes.c_void_p()
    try:
        call("cuStreamEndCapture", stream, ctypes.byref(graph))
        call("cuGraphDestroy", graph)
    except CallError:
        return
