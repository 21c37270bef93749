"""Feeds bring the mail of all sensors to the stream: live, with a thread a sensor, or stepped, as fast as it goes.

The stream's own code is the same for both. Stepped, the clock stands still while the stream works and jumps to the next
arrival or tick when it waits: a run gives the same ticks on every machine.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Mapping
from typing import Protocol

from dis2_edge.errors import told
from dis2_edge.terminal import warn
from dis2_runtime.clock import RunClock
from dis2_runtime.frames import Delivery, Heard, Mail
from dis2_runtime.mailbox import Mailbox
from dis2_runtime.sources import Source, shown

AT_END = "the source has come to its end"
_GLANCE_S = 0.05
"""How often a waiting stream looks whether it was told to stop."""
_FAREWELL_S = 0.3
"""How long threads get to end, all together."""


class Feed(Protocol):
    """Mail from opened sources, and the run's clock."""

    simulated: bool
    """Whether the clock stands still while the stream works."""

    def start(self) -> None:
        """Begin; the clock stands at 0."""

    def now_ns(self) -> int:
        """Time of the run."""

    def wait(self, until_ns: int) -> list[Mail]:
        """The mail that has come, as soon as there is some; empty at `until_ns` or when told to stop."""

    def wake(self) -> None:
        """Let `wait` come back now; callable from any thread."""

    def alive(self) -> bool:
        """Whether any source may still deliver."""

    def stop(self) -> None:
        """End all sources and threads, at once."""


class SteppedFeed:
    """Simulated time: deliveries in order of arrival, without waiting."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self.simulated = True
        self._sources = dict(sources)
        self._next: dict[str, Delivery] = {}
        self._ends: list[Mail] = []
        self._now_ns = 0

    def start(self) -> None:
        """Draw the first delivery of each source."""
        for name in self._sources:
            self._draw(name)

    def now_ns(self) -> int:
        """Time of the run."""
        return self._now_ns

    def wait(self, until_ns: int) -> list[Mail]:
        """Jump to the next arrival, or to `until_ns`."""
        mails, self._ends = self._ends, []
        if mails:
            return mails
        earliest = min((delivery.due_ns for delivery in self._next.values()), default=until_ns + 1)
        self._now_ns = max(self._now_ns, min(earliest, until_ns))
        for name in [name for name, delivery in self._next.items() if delivery.due_ns <= self._now_ns]:
            mails.append(_mail(name, self._next.pop(name), self._now_ns))
            self._draw(name)
        return mails

    def wake(self) -> None:
        """Nothing to do: simulated time waits for nobody."""

    def alive(self) -> bool:
        """Whether any delivery is on its way."""
        return bool(self._next)

    def stop(self) -> None:
        """Close the sources."""
        close_sources(self._sources)

    def _draw(self, name: str) -> None:
        try:
            delivery = self._sources[name].next()
        except Exception as error:
            self._ends.append(Mail(name, ended=_reason(error), failed=True))
            return
        if delivery is None:
            self._ends.append(Mail(name, ended=AT_END))
        else:
            self._next[name] = delivery


class LiveFeed:
    """Real time: each sensor's thread waits until a frame is due and puts it into the sensor's mailbox."""

    def __init__(self, sources: Mapping[str, Source], ending: threading.Event, clock: RunClock | None = None) -> None:
        """`ending`, once set, ends waiting and all threads; `clock` is the one that live sources tell the time by."""
        self.simulated = False
        self._sources = dict(sources)
        self._gate = threading.Condition()
        self._ending = ending
        self._woken = False
        self._boxes = {name: Mailbox(name, self._gate) for name in sources}
        self._threads = {
            name: threading.Thread(target=self._serve, args=(name,), name=f"sensor {name}", daemon=True)
            for name in sources
        }
        self._clock = clock or RunClock()

    def start(self) -> None:
        """Start the clock and the threads."""
        self._clock.start()
        for thread in self._threads.values():
            thread.start()

    def now_ns(self) -> int:
        """Time of the run, monotonic."""
        return self._clock.now_ns()

    def wait(self, until_ns: int) -> list[Mail]:
        """Sleep until there is mail, it is `until_ns`, or the ending is set (seen within 50 ms)."""
        with self._gate:
            while True:
                mails = [mail for box in self._boxes.values() if (mail := box.take()) is not None]
                left_s = (until_ns - self.now_ns()) / 1e9
                if mails or left_s <= 0 or self._woken or self._ending.is_set():
                    self._woken = False
                    return mails
                self._gate.wait(min(left_s, _GLANCE_S))

    def wake(self) -> None:
        """End the present or the next `wait` at once."""
        with self._gate:
            self._woken = True
            self._gate.notify_all()

    def alive(self) -> bool:
        """Whether any sensor's thread still runs."""
        return any(thread.is_alive() for thread in self._threads.values())

    def stop(self) -> None:
        """Tell the threads to end and give them a moment; a thread that hangs in a driver is left behind."""
        self._ending.set()
        deadline = time.monotonic() + _FAREWELL_S
        for thread in self._threads.values():
            if thread.ident is not None:
                thread.join(max(0.0, deadline - time.monotonic()))

    def _serve(self, name: str) -> None:
        """A sensor's thread: whatever ends it becomes the sensor's state, never silence."""
        box, source = self._boxes[name], self._sources[name]
        try:
            while not self._ending.is_set() and (delivery := source.next()) is not None:
                if self._ending.wait(max(0.0, (delivery.due_ns - self.now_ns()) / 1e9)):
                    return
                box.put(delivery, self.now_ns())
            if not self._ending.is_set():
                box.end(AT_END, failed=False)
        except Exception as error:
            box.end(_reason(error), failed=True)
        finally:
            close_sources({name: source})


def close_sources(sources: Mapping[str, Source]) -> None:
    """Close all; one that cannot be is warned of: it was the last thing asked of it, and the others wait their turn."""
    for name, source in sources.items():
        try:
            source.close()
        except Exception as error:
            with contextlib.suppress(OSError, ValueError):  # nobody listens any more
                warn(f"the source of {name!r} was not closed well: {_reason(error)}")


def _mail(name: str, delivery: Delivery, at_ns: int) -> Mail:
    frame = delivery.frame
    heard = () if frame is None else (Heard(at_ns, frame.time_ns, frame.sequence),)
    return Mail(name, heard, frame, delivery.problem, delivery.lost)


def _reason(error: Exception) -> str:
    """What ended a source, for the sensor's state; a driver's or a user's error may tell a password."""
    return shown(told(error))
