"""What a driver hands out: memory, modules, streams, events, graphs, each given back once, at the latest with it."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from dis2_runtime.driver import Event, Graph, Stream
from dis2_runtime.driver.calls import Calls, Held
from dis2_runtime.driver.graphs import Executable

__all__ = [
    "HeldEvent",
    "HeldGraph",
    "HeldMemory",
    "HeldModule",
    "HeldPinned",
    "HeldStream",
    "Holder",
    "Kernel",
    "Owner",
    "Recording",
]


class Owner(Protocol):
    """The driver, as what it handed out knows it."""

    holder: Holder

    def calling(self, *, subject: str = "") -> AbstractContextManager[Calls]:
        """Inside, the context is current and a CallError becomes an EngineError."""


class _Thing:
    """One of the driver's things; `drop` is called once."""

    def __init__(self, owner: Owner, raw: Held) -> None:
        self._owner, self.raw = owner, raw

    def drop(self, calls: Calls) -> None:
        """Give it back."""
        raise NotImplementedError

    def free(self) -> None:
        """Give it back; a second time does nothing."""
        if self._owner.holder.forget(self):
            with self._owner.calling() as calls:
                self.drop(calls)
            self.raw = None


_T = TypeVar("_T", bound=_Thing)


class Holder:
    """All that was handed out and not given back."""

    def __init__(self) -> None:
        self._things: dict[int, _Thing] = {}

    def keep(self, thing: _T) -> _T:
        """Take note of `thing`."""
        self._things[id(thing)] = thing
        return thing

    def forget(self, thing: _Thing) -> bool:
        """Whether it was still held."""
        return self._things.pop(id(thing), None) is not None

    def take_all(self) -> list[_Thing]:
        """Everything, newest first, and held no longer."""
        things = list(self._things.values())[::-1]
        self._things.clear()
        return things

    def page_locked(self, array: npt.NDArray[Any]) -> bool:
        """Whether `array` lies within memory that was page-locked here."""
        begin = array.ctypes.data
        spans = (thing.span for thing in self._things.values() if isinstance(thing, HeldPinned))
        return any(first <= begin and begin + array.nbytes <= last for first, last in spans)


class HeldMemory(_Thing):
    """See `dis2_runtime.driver.Memory`."""

    def __init__(self, owner: Owner, raw: Held, address: int, bytes: int) -> None:
        super().__init__(owner, raw)
        self.address, self.bytes = address, bytes

    def drop(self, calls: Calls) -> None:
        """Give it back."""
        calls.release(self.raw)


class HeldPinned(_Thing):
    """See `dis2_runtime.driver.Pinned`."""

    def __init__(self, owner: Owner, raw: Held, array: npt.NDArray[Any], address: int) -> None:
        super().__init__(owner, raw)
        self.array, self.address = array, address
        self.span = (array.ctypes.data, array.ctypes.data + array.nbytes)

    def drop(self, calls: Calls) -> None:
        """Give it back; who looks at `array` again sees nothing rather than other people's memory."""
        self.array = np.empty(0, self.array.dtype)
        calls.unpin(self.raw)


class Kernel:
    """A kernel of a module."""

    def __init__(self, name: str, raw: Held) -> None:
        self.name = name
        self.raw: Held = raw
        self.allowed = 0
        """Bytes of shared memory that it was opted in for."""


class HeldModule(_Thing):
    """See `dis2_runtime.driver.Module`."""

    def __init__(self, owner: Owner, raw: Held) -> None:
        super().__init__(owner, raw)
        self._kernels: list[Kernel] = []

    def function(self, name: str) -> Kernel:
        """The kernel called `name`."""
        with self._owner.calling(subject=name) as calls:
            kernel = Kernel(name, calls.function(self.raw, name))
        self._kernels.append(kernel)
        return kernel

    def drop(self, calls: Calls) -> None:
        """Give it back; to pycuda a kernel that somebody holds would keep its module loaded."""
        for kernel in self._kernels:
            kernel.raw = None
        calls.unload(self.raw)


class HeldStream(_Thing):
    """See `dis2_runtime.driver.Stream`."""

    def __init__(self, owner: Owner, handle: int, raw: Held) -> None:
        super().__init__(owner, raw)
        self.handle = handle
        self.captured = False

    def synchronize(self) -> None:
        """Wait until all its work is done."""
        with self._owner.calling() as calls:
            calls.synchronize(self.raw)

    def drop(self, calls: Calls) -> None:
        """Give it back."""
        calls.drop_stream(self.raw)


class HeldEvent(_Thing):
    """See `dis2_runtime.driver.Event`."""

    def record(self, stream: Stream) -> None:
        """Mark what `stream` has been given until now."""
        assert isinstance(stream, HeldStream)
        with self._owner.calling() as calls:
            calls.record(self.raw, stream.raw)

    def elapsed_ms(self, since: Event) -> float:
        """Time from `since` to this point, in milliseconds."""
        assert isinstance(since, HeldEvent)
        with self._owner.calling() as calls:
            return calls.elapsed_ms(since.raw, self.raw)

    def drop(self, calls: Calls) -> None:
        """Give it back."""
        calls.drop_event(self.raw)


class HeldGraph(_Thing):
    """See `dis2_runtime.driver.Graph`."""

    raw: Executable

    def launch(self, stream: Stream) -> None:
        """Do the work again."""
        with self._owner.calling():
            self.raw.launch(stream.handle)

    def drop(self, calls: Calls) -> None:
        """Give it back."""
        self.raw.free()


class Recording:
    """See `dis2_runtime.driver.Captured`."""

    graph: Graph
