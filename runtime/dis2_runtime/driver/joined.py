"""Work for a stream that is another's, by its handle: on one of ours that waits for it, and that it then waits for.

pycuda cannot wrap a handle, and plug-ins are handed one. Two events make a fork and a join, which is right while that
stream is captured, too: they become edges of its graph.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator

from dis2_runtime.driver import Driver, Stream
from dis2_runtime.driver.failures import CallError, Situation, engine_error
from dis2_runtime.driver.libcuda import call

__all__ = ["Joined"]

_NO_TIMING = 2


class Joined:
    """A stream of `driver` that can stand in for others; made once, it lives as long as the driver."""

    def __init__(self, driver: Driver) -> None:
        self._driver, self._own = driver, driver.stream()
        self._fork, self._join = self._event(), self._event()

    @contextlib.contextmanager
    def on(self, handle: int) -> Iterator[Stream]:
        """A stream whose work, given inside, stands in the order of the stream `handle`.

        EngineError where the driver refuses.
        """
        with self._told():
            call("cuEventRecord", self._fork, handle)
            call("cuStreamWaitEvent", self._own.handle, self._fork, 0)
        yield self._own
        with self._told():
            call("cuEventRecord", self._join, self._own.handle)
            call("cuStreamWaitEvent", handle, self._join, 0)

    def free(self) -> None:
        """Give the events back; the stream is the driver's."""
        with self._told():
            for event in (self._fork, self._join):
                call("cuEventDestroy_v2", event)

    def _event(self) -> ctypes.c_void_p:
        event = ctypes.c_void_p()
        with self._told():
            call("cuEventCreate", ctypes.byref(event), _NO_TIMING)
        return event

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        with self._driver.make_current():
            try:
                yield
            except CallError as error:
                raise engine_error(error, Situation(self._driver.device)) from error
