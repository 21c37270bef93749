"""What became of the outcomes that a sink was given: counts, the first reason for a loss, times. Of fixed size."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

from dis2_edge.timing import P95_LEAST

_STEPS = 8
"""Bins of time for every doubling: a percentile is right within 5 %."""
_SHORTEST_MS = 1e-3
_BINS = 256


class Tally:
    """Counts of one sink; any thread may add to them."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._bins = np.zeros(_BINS, np.int64)
        self.written = 0
        """Outcomes that the sink took."""
        self.dropped = 0
        """Outcomes that were never tried: the sink was busy, pausing, or over its quota."""
        self.failed = 0
        """Outcomes, or attempts to bring them to the disk, that failed."""
        self.reason = ""
        """The first reason for a loss."""

    def wrote(self, took_ms: float) -> None:
        """One outcome was taken in `took_ms`."""
        place = round(_STEPS * math.log2(max(took_ms, _SHORTEST_MS) / _SHORTEST_MS))
        with self._lock:
            self.written += 1
            self._bins[min(place, _BINS - 1)] += 1

    def lose(self, reason: str, *, dropped: int = 0, failed: int = 0) -> bool:
        """Count a loss; true for the first, whose reason is kept."""
        with self._lock:
            self.dropped += dropped
            self.failed += failed
            first = not self.reason
            self.reason = self.reason or reason
            return first

    def table(self) -> dict[str, Any]:
        """Plain values for summary.json; a percentile that so few writes cannot tell is None."""
        with self._lock:
            times = {
                "p50": self._percentile(0.5, least=1),
                "p95": self._percentile(0.95, least=P95_LEAST),
            }
            counts = {"written": self.written, "dropped": self.dropped, "failed": self.failed}
            return {**counts, "reason": self.reason, "write_ms": times}

    def _percentile(self, share: float, least: int) -> float | None:
        if self.written < least:
            return None
        place = int(np.searchsorted(np.cumsum(self._bins), math.ceil(share * self.written)))
        return round(_SHORTEST_MS * 2 ** (place / _STEPS), 3)
