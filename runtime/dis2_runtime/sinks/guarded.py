"""A guard around a sink: whatever fails in it is counted and told once, and tried again after a pause.

A flight never ends because of its output: a full card may get space again, a cable may be put back.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable

from dis2_edge.errors import told
from dis2_runtime.outcome import Outcome
from dis2_runtime.sinks import Sink, Syncing
from dis2_runtime.sinks.tally import Tally

SYNC_S = 0.5
"""How often output is brought to the disk."""
FIRST_PAUSE_S = 0.5
"""Pause after a failure, in time of the run; it doubles with each one that follows."""
LONGEST_PAUSE_S = 30.0
"""The longest such pause."""


class Guarded:
    """A sink whose `write` and `close` never raise. Pauses go by the ticks' time, so a simulated run is repeatable."""

    def __init__(
        self,
        name: str,
        sink: Sink,
        announce: Callable[[str], None] = lambda text: None,
        barrier: Callable[[], str] = lambda: "",
    ) -> None:
        """`barrier` says why nothing may be written now, as long as it says anything."""
        self._name, self._sink, self._announce, self._barrier = name, sink, announce, barrier
        self._pause_s, self._retry_ns = 0.0, 0
        self._synced_s = time.monotonic()
        self._unsynced = False
        self.tally = Tally()
        """What became of the outcomes."""

    def write(self, outcome: Outcome) -> None:
        """Hand `outcome` to the sink, or count it as lost."""
        barred = self._barrier()
        if barred or outcome.tick.time_ns < self._retry_ns:
            self.lose(barred or "pausing after a failure", dropped=1)
            return
        begin = time.perf_counter()
        try:
            self._sink.write(outcome)
        except Exception as error:
            self._pause(outcome.tick.time_ns)
            self.lose(told(error), failed=1)
            return
        self.tally.wrote((time.perf_counter() - begin) * 1e3)
        self._pause_s, self._unsynced = 0.0, True
        self.sync_if_due()

    def sync_if_due(self) -> None:
        """Bring output to the disk if there is some that is half a second old."""
        if self._unsynced and time.monotonic() - self._synced_s >= SYNC_S:
            self._sync()

    def close(self) -> None:
        """Sync and close the sink."""
        self._sync()
        try:
            self._sink.close()
        except Exception as error:
            self.lose(told(error), failed=1)

    def lose(self, reason: str, *, dropped: int = 0, failed: int = 0) -> None:
        """Count outcomes that came to nothing; the first loss is announced."""
        if self.tally.lose(reason, dropped=dropped, failed=failed):
            with contextlib.suppress(OSError, ValueError):  # nobody listens any more
                self._announce(f"sink {self._name} loses output: {reason}")

    def _sync(self) -> None:
        self._unsynced = False
        if isinstance(self._sink, Syncing):
            try:
                self._sink.sync()
            except Exception as error:
                self.lose(told(error), failed=1)
        self._synced_s = time.monotonic()

    def _pause(self, now_ns: int) -> None:
        self._pause_s = min(max(FIRST_PAUSE_S, 2 * self._pause_s), LONGEST_PAUSE_S)
        self._retry_ns = now_ns + round(self._pause_s * 1e9)
