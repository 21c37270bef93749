"""The one Driver over either package: whose thread, what is held, what is refused, how failures are told."""

from __future__ import annotations

import contextlib
import math
import threading
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import EngineError, InternalError
from dis2_runtime.driver import Argument, Driver, Size3, Stream
from dis2_runtime.driver.calls import Calls, Held
from dis2_runtime.driver.failures import OUT_OF_MEMORY, CallError, Situation, engine_error
from dis2_runtime.driver.graphs import begin_capture, drop_capture, end_capture
from dis2_runtime.driver.held import (
    HeldEvent,
    HeldGraph,
    HeldMemory,
    HeldModule,
    HeldPinned,
    HeldStream,
    Holder,
    Kernel,
    Recording,
)
from dis2_runtime.driver.packing import DEFAULT_SHARED, check_array, check_launch, pack

__all__ = ["OpenedDriver"]


class OpenedDriver:
    """See `dis2_runtime.driver.Driver`. Each call makes the context current by itself, in whichever thread."""

    def __init__(self, calls: Calls) -> None:
        self.name, self.device, self._calls = calls.name, calls.device, calls
        self.holder = Holder()
        self._here = threading.local()
        self._closed = False

    def __enter__(self) -> Driver:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Free what is held. A failure that no `synchronize` has shown comes out here, unless another is on its way."""
        if self._closed:
            return
        failure = self._ended()
        if failure is not None and kind is None:
            raise failure

    @contextlib.contextmanager
    def make_current(self) -> Iterator[None]:
        """Make the context this thread's; inside another such block this costs next to nothing.

        Leave it in the thread that entered it: InternalError otherwise.
        """
        if self._closed:
            raise InternalError("a driver was used after it was closed")
        depth = getattr(self._here, "depth", 0)
        if depth == 0:
            self._enter()
        self._here.depth, thread = depth + 1, threading.get_ident()
        try:
            yield
        finally:
            if threading.get_ident() != thread:
                raise InternalError("make_current was left in another thread than it was entered in")
            self._here.depth = depth
            if depth == 0:
                with contextlib.suppress(CallError):  # of a context that is lost, which has been told by then
                    self._calls.leave()

    @contextlib.contextmanager
    def calling(self, *, bytes: int = 0, image: bytes = b"", subject: str = "") -> Iterator[Calls]:
        """Inside, the context is current, and a CallError becomes an EngineError."""
        with self.make_current():
            try:
                yield self._calls
            except CallError as error:
                free = self._free_or_none() if error.code == OUT_OF_MEMORY else None
                raise engine_error(error, Situation(self.device, image, subject, bytes, free)) from error

    def module(self, image: bytes) -> HeldModule:
        """Load a cubin, or PTX text."""
        text = image if image[:4] == b"\x7fELF" else image.rstrip(b"\0") + b"\0"
        with self.calling(image=image) as calls:
            return self.holder.keep(HeldModule(self, calls.load(text)))

    def allocate(self, bytes: int) -> HeldMemory:
        """Memory of the device."""
        if bytes < 1:
            raise EngineError(f"{bytes} bytes of device memory were asked for", expected="1 or more")
        with self.calling(bytes=bytes) as calls:
            address, raw = calls.allocate(bytes)
            return self.holder.keep(HeldMemory(self, raw, address, bytes))

    def pinned(self, shape: tuple[int, ...], dtype: npt.DTypeLike, *, mapped: bool = False) -> HeldPinned:
        """Page-locked memory for an array, its values undefined."""
        kind = np.dtype(dtype)
        size = math.prod(shape) * kind.itemsize
        if size < 1 or kind.hasobject:
            raise EngineError(f"page-locked memory for {kind}, shape {shape}", expected="numbers to hold")
        with self.calling(bytes=size) as calls:
            data, address, raw = calls.pin(size, mapped)
            return self.holder.keep(HeldPinned(self, raw, data.view(kind).reshape(shape), address))

    def free_bytes(self) -> int:
        """Memory of the device that nobody has taken."""
        with self.calling() as calls:
            return calls.free_bytes()

    def stream(self) -> HeldStream:
        """A new stream; it lives as long as its driver."""
        with self.calling() as calls:
            return self.holder.keep(HeldStream(self, *calls.stream()))

    def event(self) -> HeldEvent:
        """A new event; it lives as long as its driver."""
        with self.calling() as calls:
            return self.holder.keep(HeldEvent(self, calls.event()))

    def copy_in(self, target: int, source: npt.NDArray[Any], stream: Stream) -> None:
        """Host to device."""
        data = self._copyable(check_array(source, written=False), stream)
        with self.calling() as calls:
            calls.copy_in(_address(target), data, _raw(stream))

    def copy_out(self, target: npt.NDArray[Any], source: int, stream: Stream) -> None:
        """Device to host."""
        data = self._copyable(check_array(target, written=True), stream)
        with self.calling() as calls:
            calls.copy_out(data, _address(source), _raw(stream))

    def fill(self, target: int, value: int, bytes: int, stream: Stream) -> None:
        """Set bytes."""
        if not 0 <= value <= 255 or bytes < 1:
            raise EngineError(f"fill {bytes} bytes with {value}", expected="1 byte or more, each 0 to 255")
        with self.calling() as calls:
            calls.fill(_address(target), value, bytes, _raw(stream))

    def launch(
        self, function: Kernel, grid: Size3, block: Size3, shared: int, stream: Stream, arguments: Sequence[Argument]
    ) -> None:
        """Start a kernel; above 48 KiB of shared memory it is opted in first, up to what the device has."""
        check_launch(function.name, grid, block, shared, self._calls.most_shared, self.device)
        packed = pack(function.name, arguments)
        with self.calling(subject=function.name) as calls:
            if shared > max(DEFAULT_SHARED, function.allowed):
                calls.allow_shared(function.raw, shared)
                function.allowed = shared
            calls.launch(function.raw, grid, block, shared, _raw(stream), packed)

    @contextlib.contextmanager
    def capture(self, stream: Stream) -> Iterator[Recording]:
        """Record instead of doing. Copies inside need page-locked arrays, whose addresses stay in the graph."""
        held, recording = _held(stream), Recording()
        with self.calling():
            begin_capture(held.handle)
            held.captured = True
            try:
                yield recording
            except BaseException:
                drop_capture(held.handle)
                raise
            finally:
                held.captured = False
            recording.graph = self.holder.keep(HeldGraph(self, end_capture(held.handle)))

    def _copyable(self, data: npt.NDArray[np.uint8], stream: Stream) -> npt.NDArray[np.uint8]:
        if _held(stream).captured and not self.holder.page_locked(data):
            raise EngineError("a copy of pageable memory was captured", expected="an array of `pinned`")
        return data

    def _free_or_none(self) -> int | None:
        try:
            return self._calls.free_bytes()
        except CallError:
            return None

    def _enter(self) -> None:
        try:
            self._calls.enter()
        except CallError as error:
            raise engine_error(error, Situation(self.device)) from error

    def _ended(self) -> EngineError | None:
        """Close for good, whatever the context has come to; the first failure that came out, if any."""
        try:
            with self.make_current():
                lost = self._let_go()
            failure = engine_error(lost, Situation(self.device)) if lost else None
        except EngineError as error:
            failure = error
        self._closed = True
        try:
            self._calls.close()
        except CallError as error:
            failure = failure or engine_error(error, Situation(self.device))
        return failure

    def _let_go(self) -> CallError | None:
        """Give everything back. On a context that is lost nothing can be, and nothing need be."""
        things = self.holder.take_all()
        try:
            self._calls.wait()
            for thing in things:
                thing.drop(self._calls)
        except CallError as error:
            return error
        for thing in things:
            thing.raw = None
        return None


def _held(stream: Stream) -> HeldStream:
    assert isinstance(stream, HeldStream), "a stream of another driver"
    return stream


def _raw(stream: Stream) -> Held:
    return _held(stream).raw


def _address(address: int) -> int:
    if not 0 < address < 2**64:
        raise EngineError(f"a copy to or from the address {address:#x}", expected="memory of the device")
    return int(address)
