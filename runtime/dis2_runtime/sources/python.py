"""`python:MODULE:FUNCTION`: frames from a user's own iterator, live, or recorded with `paced=1`."""

from __future__ import annotations

import importlib
import math
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.errors import SourceError, UserError
from dis2_edge.sensors import Sensor
from dis2_runtime.clock import RunClock
from dis2_runtime.frames import Delivery, Frame
from dis2_runtime.sources import Address

_WAIT_S = 0.1
_FORMS = "an array, (array, time_ns) or (array, time_ns, sequence)"


class _Function:
    """A user's function, called when its frames are first wanted. Its faults are SourceErrors that name it."""

    def __init__(self, sensor: Sensor, address: Address) -> None:
        self._sensor, self._address = sensor, address
        self._call: Callable[..., Any] | None = None
        self._iterator: Iterator[Any] | None = None
        self._given = {key: value for key, value in address.options.items() if key != "paced"}

    def load(self) -> None:
        """Import the module, also from where the rig lies or the program runs, and find the function."""
        module_name, _, name = self._address.place.partition(":")
        uri, base = self._address.uri, str(self._address.base.resolve())
        if not module_name or not name:
            raise SourceError(f"{uri!r} names no function", expected="python:MODULE:FUNCTION")
        if base not in sys.path:
            sys.path.insert(0, base)
            importlib.invalidate_caches()
        try:
            self._call = getattr(importlib.import_module(module_name), name, None)
        except ModuleNotFoundError as error:
            expected = f"an installed module, or {module_name}.py in {base}" if error.name == module_name else ""
            raise SourceError(f"{uri!r}: {error}", expected=expected) from error
        except Exception as error:
            raise SourceError(f"{uri!r}: importing {module_name} raised {_told(error)}") from error
        if not callable(self._call):
            raise SourceError(f"{uri!r}: {module_name} has no function {name!r}")

    def next(self) -> Any:
        """What the iterator yields; StopIteration at its end."""
        try:
            if self._iterator is None and self._call is not None:
                self._iterator = iter(self._call(self._sensor, **self._given))
            if self._iterator is not None:
                return next(self._iterator)
        except StopIteration:
            raise
        except (Exception, SystemExit) as error:  # a user's sys.exit ends this sensor, not the flight
            raise SourceError(f"{self._address.uri} raised {_told(error)}") from error
        raise StopIteration

    def close(self) -> None:
        """Let a generator run its `finally`; SourceError when that raises. One that hangs is left behind."""
        close = getattr(self._iterator, "close", None)
        if close is not None and not getattr(self._iterator, "gi_running", False):
            try:
                close()
            except Exception as error:
                raise SourceError(f"{self._address.uri} raised {_told(error)} while it was closed") from error


@dataclass(frozen=True)
class _Item:
    """The newest of a live iterator."""

    pixels: npt.NDArray[Any] | None
    at_ns: int
    time_ns: int | None = None
    sequence: int = 0
    problem: str = ""


class PythonSource:
    """A live iterator in a thread of its own: the latest item wins, the others are gaps in the numbers."""

    def __init__(self, sensor: Sensor, address: Address, clock: RunClock) -> None:
        self._sensor, self._clock = sensor, clock
        self._function = _Function(sensor, address)
        self._gate = threading.Condition()
        self._thread: threading.Thread | None = None
        self._item: _Item | None = None
        self._over, self._failure = False, ""
        self._closing = threading.Event()

    def open(self) -> None:
        """Import the function; it is called with the first `next`."""
        self._function.load()

    def next(self) -> Delivery | None:
        """The newest frame, or an empty delivery after 100 ms; None at the end. SourceError when it raised."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._draw, name=f"python {self._sensor.name}", daemon=True)
            self._thread.start()
        with self._gate:
            self._gate.wait_for(lambda: self._item is not None or self._over, _WAIT_S)
            item, self._item = self._item, None
            if item is None and self._over:
                if self._failure:
                    raise SourceError(self._failure)
                return None
        if item is None:
            return Delivery(self._clock.now_ns(), None)
        if item.pixels is None:
            return Delivery(item.at_ns, None, item.problem)
        time_ns = item.at_ns if item.time_ns is None else item.time_ns
        stamped = item.time_ns is not None
        return Delivery(item.at_ns, Frame(self._sensor.name, item.pixels, time_ns, item.sequence, stamped))

    def close(self) -> None:
        """Tell the thread to end; an iterator that hangs is left behind."""
        self._closing.set()
        if self._thread is not None:
            self._thread.join(0.1)

    def _draw(self) -> None:
        """The thread: take items until the end, an error or the closing."""
        failure, count = "", 0
        try:
            while not self._closing.is_set():
                item = self._understood(self._function.next(), count)
                count = item.sequence + 1
                with self._gate:
                    self._item = item
                    self._gate.notify_all()
            self._function.close()
        except StopIteration:
            pass
        except UserError as error:
            failure = str(error)
        with self._gate:
            self._over, self._failure = True, failure
            self._gate.notify_all()

    def _understood(self, given: Any, count: int) -> _Item:
        at_ns = self._clock.now_ns()
        pixels, *rest = given if isinstance(given, tuple) and given else (given,)
        time_ns, sequence = [*rest, None, None][:2]
        fits = all(value is None or _is_whole(value) for value in (time_ns, sequence))
        array = _array(pixels)
        if array is None or len(rest) > 2 or not fits:
            return _Item(None, at_ns, sequence=count, problem=f"the iterator gave {_kind(given)}, expected {_FORMS}")
        moment = None if time_ns is None else self._clock.from_monotonic(int(time_ns))
        return _Item(array, at_ns, moment, count if sequence is None else int(sequence))


class PacedSource:
    """A recorded iterator that says when each frame was captured, in seconds from 0: it flies at any speed."""

    def __init__(self, sensor: Sensor, address: Address) -> None:
        self._sensor, self._function = sensor, _Function(sensor, address)
        self._due_ns, self._count = 0, 0

    def open(self) -> None:
        """Import the function."""
        self._function.load()

    def next(self) -> Delivery | None:
        """The next frame; an item that is none is lost with its reason. SourceError when the iterator raised."""
        try:
            given = self._function.next()
        except StopIteration:
            return None
        number, self._count = self._count, self._count + 1
        pixels, time_s = given if isinstance(given, tuple) and len(given) == 2 else (None, None)
        array = _array(pixels)
        time_ns = _time_ns(time_s)
        if array is None or time_ns is None:
            self._due_ns += round(self._sensor.period_ms * 1e6)  # so that time goes on
            return Delivery(self._due_ns, None, f"the iterator gave {_kind(given)}, expected (array, time_s)")
        self._due_ns = max(self._due_ns, time_ns)
        return Delivery(self._due_ns, Frame(self._sensor.name, array, time_ns, number))

    def close(self) -> None:
        """Let the iterator end."""
        self._function.close()


def is_live(address: Address) -> bool:
    """Whether the iterator flies in real time only; `paced=1` makes it a recording."""
    paced = address.options.get("paced", "0").lower()
    if paced not in ("0", "1", "true", "false"):
        raise SourceError(f"{address.uri!r}: paced is {paced!r}", expected="0 or 1")
    return paced in ("0", "false")


def _array(pixels: Any) -> npt.NDArray[Any] | None:
    """A copy of HxW or HxWxC numbers, as the iterator may use its buffer again; None of anything else."""
    if not isinstance(pixels, np.ndarray) or pixels.ndim not in (2, 3) or pixels.dtype.kind not in "buif":
        return None
    return np.array(pixels if pixels.ndim == 3 else pixels[..., None], order="C")


def _is_whole(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _time_ns(value: Any) -> int | None:
    """Seconds from 0 as nanoseconds; None of what is no such time."""
    number = isinstance(value, (int, float, np.integer, np.floating)) and not isinstance(value, bool)
    return round(float(value) * 1e9) if number and math.isfinite(value) and 0 <= value < 1e9 else None


def _kind(given: Any) -> str:
    """What was given, in a few words."""
    if isinstance(given, tuple):
        return f"({', '.join(_kind(part) for part in given)})"
    if isinstance(given, np.ndarray):
        return f"an array of shape {given.shape}, {given.dtype}"
    return type(given).__name__


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def make(sensor: Sensor, grid: tuple[int, int], address: Address, clock: RunClock) -> PythonSource | PacedSource:
    """The source at `address`."""
    return PythonSource(sensor, address, clock) if is_live(address) else PacedSource(sensor, address)
