"""When ticks fall due: with each frame of an anchor sensor, or at a fixed rate. Pure: times come from the caller."""

from __future__ import annotations

import math
from dataclasses import dataclass

from dis2_edge.bundle import Policy
from dis2_edge.task import Task

CROWDED_PERIODS = 0.5
"""Anchor frames closer than this to the tick before, in periods, start none: a burst is one tick."""
BACKLOG = 1000
"""Ticks that are answered when they are noticed late together; older ones are counted as missed."""


@dataclass(frozen=True)
class Tick:
    """A moment that wants a mask."""

    number: int
    """Counted from 0 without a gap, unless ticks were missed."""
    time_ns: int
    """When it fell due."""
    cause: str
    """What set it off."""


class Ticker:
    """Counts due ticks. Call `hear` for arrivals of the anchor in order, then `fallen_due`."""

    def __init__(self, task: Task, policy: Policy) -> None:
        self.anchor = policy.anchor
        self._period_ns = 1e9 / policy.ticks_hz(task)
        self._fallen: list[Tick] = []
        self._count = 0
        self._heard_ns = -math.inf
        self._last_ns = -self._period_ns  # so that an anchor's frame at 0 starts a tick
        self._silent_ns = policy.silent_periods * self._period_ns
        self._patience_ns = self._silent_ns + self._period_ns
        self.missed = 0
        """Ticks that fell due and were never handed out."""

    def hear(self, at_ns: int) -> None:
        """A frame of the anchor arrived at `at_ns`; too soon after a timer's tick it leaves the next to the anchor."""
        self._run_timer(at_ns - 1)
        speaks = at_ns - self._heard_ns <= self._silent_ns
        self._heard_ns = float(at_ns)
        if at_ns - self._last_ns >= CROWDED_PERIODS * self._period_ns:
            self._fall_due(at_ns, self.anchor)
            self._last_ns, self._patience_ns = float(at_ns), self._silent_ns
        elif speaks:
            self._patience_ns = self._silent_ns

    @property
    def period_ns(self) -> int:
        """Time from one tick to the next when all goes well."""
        return round(self._period_ns)

    def due_until(self, now_ns: int) -> int:
        """Ticks of a fixed rate until `now_ns`, by the clock and not by what was handed out; 0 with an anchor."""
        return 0 if self.anchor else int(now_ns / self._period_ns + 1e-6)

    @property
    def next_ns(self) -> int:
        """When the next tick falls due if no anchor frame comes before."""
        if self._fallen:
            return self._fallen[0].time_ns
        return round(self._last_ns + self._patience_ns if self.anchor else (self._count + 1) * self._period_ns)

    def fallen_due(self, now_ns: int) -> list[Tick]:
        """The ticks until `now_ns` that were not handed out yet, in order; all but the last are late."""
        self._run_timer(now_ns)
        fallen, self._fallen = self._fallen, []
        self.missed += max(0, len(fallen) - BACKLOG)
        return fallen[-BACKLOG:]

    def _run_timer(self, until_ns: int) -> None:
        while not self.anchor and round((self._count + 1) * self._period_ns) <= until_ns:
            self._fall_due(round((self._count + 1) * self._period_ns), "rate")
        while self.anchor and round(self._last_ns + self._patience_ns) <= until_ns:
            self._last_ns += self._patience_ns
            self._patience_ns = self._period_ns
            self._fall_due(round(self._last_ns), f"timer, {self.anchor} is silent")

    def _fall_due(self, time_ns: int, cause: str) -> None:
        self._fallen.append(Tick(self._count, time_ns, cause))
        self._count += 1
