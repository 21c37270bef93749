"""Read telemetry about once a second in a thread of its own: no tick ever waits for a sensor."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Any

from dis2_boards.telemetry.open import Telemetry
from dis2_boards.telemetry.reading import Reading
from dis2_boards.telemetry.watched import Tally, Watched

EVERY_S = 1.0
"""Time between two readings in flight."""
_FAREWELL_S = 1.0
"""How long a reading that hangs is waited for at the end; then its thread is left behind."""


class Watch:
    """Reads `telemetry` while it is open (`with`), closes it after, and adds up what it read.

    The first reading is taken at once. A reading that raises ends the watch, with the reason in `latest` and totals;
    it never reaches the flight.
    """

    def __init__(
        self, telemetry: Telemetry, every_s: float = EVERY_S, clock_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._telemetry, self._every_s, self._clock_s = telemetry, every_s, clock_s
        self._latest = Reading(source=telemetry.source, why="nothing was read so far")
        self._row: tuple[float, dict[str, Any] | None] = (0.0, None)
        self._lock, self._over = threading.Lock(), threading.Event()
        self._whole = Tally()
        self._windows: list[Tally] = []
        self._thread = threading.Thread(target=self._serve, name="telemetry", daemon=True)

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join(_FAREWELL_S)

    def row(self) -> dict[str, Any] | None:
        """The newest reading for a tick's row, with its age; None when it tells nothing."""
        time_s, row = self._row
        return None if row is None else {**row, "age_ms": round(1e3 * (self._clock_s() - time_s), 1)}

    @property
    def latest(self) -> Reading:
        """The newest reading: costs nothing."""
        return self._latest

    def watched(self) -> Watched:
        """What all readings so far came to."""
        with self._lock:
            return self._whole.watched()

    @contextlib.contextmanager
    def window(self) -> Iterator[Tally]:
        """Readings taken inside the `with` are added up apart as well."""
        tally = Tally()
        with self._lock:
            self._windows.append(tally)
        try:
            yield tally
        finally:
            with self._lock:
                self._windows.remove(tally)

    def _serve(self) -> None:
        try:
            while not self._over.is_set():
                reading = self._telemetry.read()
                self._keep(self._clock_s(), reading)
                self._over.wait(self._every_s)
        except Exception as error:
            why = f"telemetry ended: {type(error).__name__}: {error}"
            self._keep(self._clock_s(), Reading(source=self._telemetry.source, why=why))
        finally:
            with contextlib.suppress(Exception):
                self._telemetry.close()

    def _keep(self, time_s: float, reading: Reading) -> None:
        with self._lock:
            self._latest, self._row = reading, (time_s, reading.row())
            for tally in (self._whole, *self._windows):
                tally.add(time_s, reading)
