"""The live state of a flight in one small file, once a second, for whoever watches over it: `run --state FILE`.

Ticks only leave word; a thread writes. A disk that is full or hangs costs the file, never a tick and never the flight.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

from dis2_edge.errors import told
from dis2_edge.files import storage_errors, write_json
from dis2_runtime.engines.rows import rung_of
from dis2_runtime.outcome import Outcome

__all__ = ["LiveState"]

EVERY_S = 1.0
"""Shortest time between two writes."""
_RECENT = 100
"""Fresh ticks whose median latency is told, and ticks that the rate is taken from."""
_FAREWELL_S = 1.0
"""How long the thread gets to write the end; a disk that hangs is left behind."""


class LiveState:
    """A watcher of outcomes, used in a `with`; it begins by removing what an earlier flight left in the file."""

    def __init__(
        self,
        path: Path,
        bundle: str,
        announce: Callable[[str], None] = lambda text: None,
        telemetry: Callable[[], Mapping[str, Any] | None] = lambda: None,
        every_s: float = EVERY_S,
    ) -> None:
        """`announce` is told once that the file cannot be written; `telemetry` is asked by the thread."""
        self._path, self._bundle, self._announce, self._telemetry = path, bundle, announce, telemetry
        self._every_s, self._started_s = every_s, time.time()
        self._lock, self._over = threading.Lock(), threading.Event()
        self._last: dict[str, Any] = {
            "ticks": 0,
            "answered": 0,
            "scenario": "",
            "blind": False,
            "why": "",
            "sensors": {},
        }
        self._made_by, self._ended, self._failed = "", "", False
        self._latencies_ms: deque[float] = deque(maxlen=_RECENT)
        self._answered_s: deque[float] = deque(maxlen=_RECENT)
        with storage_errors(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.unlink(missing_ok=True)
        self._thread = threading.Thread(target=self._serve, name="state", daemon=True)
        self._thread.start()

    def __enter__(self) -> LiveState:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, Exception):
            self.end(f"error: {told(error)}")
        self._over.set()
        self._thread.join(_FAREWELL_S)

    def write(self, outcome: Outcome) -> None:
        """A tick was answered: remember it, without its arrays."""
        with self._lock:
            self._last = {
                "ticks": outcome.tick.number + 1,
                "answered": self._last["answered"] + 1,
                "scenario": outcome.scenario,
                "blind": outcome.state == "blind",
                "why": outcome.why,
                "sensors": {name: note.health.state for name, note in outcome.sensors.items()},
            }
            self._answered_s.append(time.monotonic())
            if outcome.state == "fresh":
                self._made_by = outcome.engine
                self._latencies_ms.append(outcome.latency_ms)

    def close(self) -> None:
        """Nothing of its own to close: the `with` does."""

    def end(self, why: str) -> None:
        """The flight ended by `why`, which the file will say."""
        self._ended = why

    def _serve(self) -> None:
        while True:
            over = self._over.is_set()
            self._keep()
            if over:
                return
            self._over.wait(self._every_s)

    def _keep(self) -> None:
        """Write the file, whatever comes of it."""
        try:
            write_json(self._path, self._table())
            self._failed = False
        except Exception as error:
            if not self._failed:
                self._failed = True
                with contextlib.suppress(OSError, ValueError):  # nobody listens any more
                    self._announce(f"the state in {self._path} is not written: {told(error)}")

    def _table(self) -> dict[str, Any]:
        with self._lock:
            last, made_by = self._last, self._made_by
            latencies_ms, answered_s = list(self._latencies_ms), list(self._answered_s)
        engine, precision = rung_of(made_by)
        return {
            "bundle": self._bundle,
            "pid": os.getpid(),
            "started_s": round(self._started_s, 3),
            "written_s": round(time.time(), 3),
            **last,
            "engine": engine,
            "precision": precision,
            "rate_hz": _rate_hz(answered_s),
            "p50_ms": round(statistics.median(latencies_ms), 3) if latencies_ms else None,
            "telemetry": self._read_telemetry(),
            "ended": self._ended,
        }

    def _read_telemetry(self) -> dict[str, Any] | None:
        """What the board says of itself; a reader that fails costs its part of the file alone."""
        try:
            told = self._telemetry()
        except Exception:
            return None
        return None if told is None else dict(told)


def _rate_hz(answered_s: list[float]) -> float:
    """Ticks a second over those that were answered last; 0 before the second."""
    if len(answered_s) < 2 or answered_s[-1] <= answered_s[0]:
        return 0.0
    return round((len(answered_s) - 1) / (answered_s[-1] - answered_s[0]), 2)
