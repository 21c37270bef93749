"""What all live sources share: a thread that reaches for the device again and again, and the newest frame it got.

The device is read in a thread of its own, so that a driver that hangs holds up nobody: `next` looks at what is there.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Protocol

import numpy.typing as npt

from dis2_edge.errors import told
from dis2_edge.sensors import Sensor
from dis2_runtime.clock import RunClock
from dis2_runtime.frames import Delivery, Frame
from dis2_runtime.sources import shown

WAIT_S = 0.1
"""How long `next` waits for a frame."""
FIRST_WAIT_S = 0.5
"""Pause before the second try; it doubles with each try in vain."""
SILENT_S, SILENT_PERIODS = 1.0, 3.0
"""Silence of a device that was reached, from which it is told: the longer of both, after a declared pause."""
FAREWELL_S = 0.15
"""How long the device's thread gets to end."""


@dataclass(frozen=True)
class Grab:
    """One frame as a link got it."""

    pixels: npt.NDArray[Any] | None
    """HxWxC; None when it could not be used, and then `problem` says why."""
    time_ns: int | None = None
    """Capture time on the run's clock; None when the device tells none."""
    lost: int = 0
    """Frames that the device lost since the last one."""
    problem: str = ""
    """Why there are no pixels."""


class Link(Protocol):
    """The way to one device."""

    def check(self) -> None:
        """Check packages and files here; a UserError keeps the aircraft on the ground."""

    def grabs(self, stop: threading.Event) -> Generator[Grab, None, None]:
        """Connect, and give frame after frame until the connection is lost, which a SourceError or the end tells.

        Called again after each loss. Looks at `stop` often and lets the device go when closed.
        """


class LiveSource:
    """Frames of a link: the latest wins, a lost connection is tried again after 0.5, 1, 2, 4 .. `most_wait_s`."""

    def __init__(self, sensor: Sensor, link: Link, clock: RunClock, most_wait_s: float) -> None:
        self._name, self._link, self._clock, self._most_wait_s = sensor.name, link, clock, most_wait_s
        self._silent_s = max(SILENT_S, (sensor.pause_ms + SILENT_PERIODS * sensor.period_ms) / 1e3)
        self._gate, self._stop = threading.Condition(), threading.Event()
        self._thread: threading.Thread | None = None
        self._frame: Frame | None = None
        self._problem, self._lost = "", False
        self._sequence, self._heard_ns = 0, 0
        self._wait_s = min(FIRST_WAIT_S, most_wait_s)

    def open(self) -> None:
        """Check what can be checked on the ground; the device is reached for in `next`."""
        self._link.check()

    def next(self) -> Delivery | None:
        """The newest frame, or within 100 ms an empty delivery with what is the matter; None after `close`."""
        if self._stop.is_set():
            return None
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name=f"device of {self._name}", daemon=True)
            self._heard_ns = self._clock.now_ns()
            self._thread.start()
        with self._gate:
            self._gate.wait_for(lambda: self._frame is not None or self._stop.is_set(), WAIT_S)
            frame, self._frame = self._frame, None
            now_ns = self._clock.now_ns()
            if frame:
                return Delivery(now_ns, frame)
            lost = self._lost or not self._problem
            return Delivery(now_ns, None, self._problem or self._silence(now_ns), lost)

    def close(self) -> None:
        """Tell the thread to let the device go; one that hangs in a driver is left behind."""
        if self._stop.is_set():
            return
        self._stop.set()
        if self._thread is not None and self._thread is not threading.current_thread():
            self._thread.join(FAREWELL_S)

    def _silence(self, now_ns: int) -> str:
        silent_s = (now_ns - self._heard_ns) / 1e9
        return f"the device has not answered for {silent_s:.0f} s" if silent_s > self._silent_s else ""

    def _serve(self) -> None:
        while not self._stop.is_set():
            reason = self._read()
            with self._gate:
                self._problem, self._lost = f"{shown(reason)}; trying again in {self._wait_s:g} s", True
            wait_s, self._wait_s = self._wait_s, min(2 * self._wait_s, self._most_wait_s)
            self._stop.wait(wait_s)

    def _read(self) -> str:
        """One connection from beginning to end; why it ended."""
        try:
            with contextlib.closing(self._link.grabs(self._stop)) as grabs:
                for grab in grabs:
                    self._take(grab)
                    if self._stop.is_set():
                        break
        except Exception as error:  # whatever a driver raises, it is told, and the link is tried again
            return told(error)
        return "connection lost"

    def _take(self, grab: Grab) -> None:
        now_ns = self._clock.now_ns()
        with self._gate:
            self._sequence += 1 + grab.lost
            self._heard_ns, self._problem, self._lost = now_ns, grab.problem, False
            self._wait_s = min(FIRST_WAIT_S, self._most_wait_s)
            if grab.pixels is None:
                return
            time_ns = now_ns if grab.time_ns is None else grab.time_ns
            self._frame = Frame(self._name, grab.pixels, time_ns, self._sequence, grab.time_ns is not None)
            self._gate.notify_all()
