"""The run's clock: nanoseconds from its start, monotonic, so that no jump of the computer's time reaches a tick."""

from __future__ import annotations

import time


class RunClock:
    """0 at `start`; before that it stands at 0."""

    def __init__(self) -> None:
        self._start_ns: int | None = None

    def start(self) -> None:
        """Let the run begin now."""
        self._start_ns = time.monotonic_ns()

    def now_ns(self) -> int:
        """Time of the run."""
        return 0 if self._start_ns is None else time.monotonic_ns() - self._start_ns

    def from_monotonic(self, monotonic_ns: int) -> int:
        """The run's time of a stamp that a driver took from CLOCK_MONOTONIC; may lie before 0."""
        return 0 if self._start_ns is None else monotonic_ns - self._start_ns
