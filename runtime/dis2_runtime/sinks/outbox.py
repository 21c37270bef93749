"""An outbox: the thread and the queue between the stream and one sink, so that no sink ever delays a tick.

`write` copies what the sink wants into a spare parcel, which takes some tens of microseconds. With no spare parcel left
the outcome is dropped and counted. All parcels are made at the start.
"""

from __future__ import annotations

import dataclasses
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from dis2_edge.task import Task
from dis2_runtime.outcome import Outcome
from dis2_runtime.sinks import Sink, Wants
from dis2_runtime.sinks.guarded import SYNC_S, Guarded
from dis2_runtime.sinks.tally import Tally

FAREWELL_S = 0.4
"""How long all outboxes together get at the end, so that SIGTERM ends the process within a second."""
MASKS, FRAMES, ROWS = 16, 4, 1024
"""Parcels of a sink that wants masks, one that wants frames too, and one that wants neither."""

_NO_MASK = np.empty((0, 0), np.uint8)


class Parcel:
    """The arrays of one outcome on its way to a sink."""

    def __init__(self, wants: Wants, task: Task) -> None:
        self._wants = wants
        self._mask = np.full(task.grid if wants.mask else (0, 0), 0, np.uint8)
        self._confidence = np.full(task.grid if wants.confidence else (0, 0), 0, np.uint8)
        self._frames = {
            sensor.name: np.zeros((*task.grid, sensor.channels), sensor.dtype)
            for sensor in task.sensors
            if sensor.name in wants.frames
        }

    def fill(self, outcome: Outcome) -> Outcome:
        """`outcome` with copies of those of its arrays that the sink wants."""
        wants, confidence = self._wants, outcome.confidence_map
        mask = _copied(outcome.mask, self._mask) if wants.mask else _NO_MASK
        if confidence is not None:
            confidence = _copied(confidence, self._confidence) if wants.confidence else None
        name = next((name for name in wants.frames if name in outcome.frames), None)
        frames = {} if name is None else {name: _copied(outcome.frames[name], self._frames[name])}
        return dataclasses.replace(outcome, mask=mask, confidence_map=confidence, frames=frames)


class Outbox:
    """A sink's own thread, and the sink that the stream sees in its place."""

    def __init__(
        self,
        name: str,
        sink: Sink,
        task: Task,
        announce: Callable[[str], None] = lambda text: None,
        barrier: Callable[[], str] = lambda: "",
    ) -> None:
        """`announce` and `barrier` as for Guarded."""
        wants: Wants = getattr(sink, "wants", Wants())
        self._guard = Guarded(name, sink, announce, barrier)
        self._count = FRAMES if wants.frames else MASKS if wants.mask or wants.confidence else ROWS
        self._spare = deque(Parcel(wants, task) for _ in range(self._count))
        self._queue: queue.SimpleQueue[tuple[Parcel, Outcome] | None] = queue.SimpleQueue()
        self._given_up = False
        self._thread = threading.Thread(target=self._serve, name=f"sink {name}", daemon=True)
        self._thread.start()

    @property
    def tally(self) -> Tally:
        """What became of the outcomes."""
        return self._guard.tally

    def write(self, outcome: Outcome) -> None:
        """Queue a copy of `outcome`, or drop it where the sink is too far behind."""
        try:
            parcel = self._spare.pop()
        except IndexError:
            self._guard.lose(f"it is slow: {self._count} outcomes were waiting for it", dropped=1)
            return
        self._queue.put((parcel, parcel.fill(outcome)))

    def close(self) -> None:
        """Let the sink finish what is queued, for a moment."""
        close_all([self])

    def begin_close(self) -> None:
        """Tell the thread that nothing more will come."""
        self._queue.put(None)

    def end_close(self, deadline_s: float) -> None:
        """Wait for the thread until `deadline_s` of the monotonic clock, then leave it behind and count the loss."""
        self._thread.join(max(0.0, deadline_s - time.monotonic()))
        if self._thread.is_alive():
            self._given_up = True
            waiting = self._count - len(self._spare)
            reason = f"it did not finish within {FAREWELL_S} s at the end"
            self._guard.lose(reason, dropped=waiting, failed=0 if waiting else 1)

    def _serve(self) -> None:
        while not self._given_up:
            try:
                item = self._queue.get(timeout=SYNC_S)
            except queue.Empty:
                self._guard.sync_if_due()
                continue
            if item is None:
                self._guard.close()
                return
            parcel, outcome = item
            self._guard.write(outcome)
            self._spare.append(parcel)


def close_all(outboxes: Iterable[Outbox]) -> None:
    """Close `outboxes` side by side, within FAREWELL_S."""
    outboxes, deadline_s = list(outboxes), time.monotonic() + FAREWELL_S
    for outbox in outboxes:
        outbox.begin_close()
    for outbox in outboxes:
        outbox.end_close(deadline_s)


def _copied(array: npt.NDArray[Any], into: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """A copy of `array` in `into`, if that has its shape and type.

    Copied as bytes, which keeps the interpreter's lock: NumPy would let it go, and a sink's thread that takes it gives
    it back milliseconds later.
    """
    if array.shape != into.shape or array.dtype != into.dtype or not array.flags.c_contiguous:
        return array.copy()
    into.reshape(-1).data[:] = array.reshape(-1).data
    return into
