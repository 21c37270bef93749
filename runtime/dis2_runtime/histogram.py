"""Times of a whole flight in a few kilobytes: counts in bins whose width grows with the time."""

from __future__ import annotations

import math
from array import array

from dis2_edge.percentiles import Spread

LOWEST_MS, GROWTH = 1e-3, 1.02
BINS = 1100
"""Bins from a microsecond to three quarters of an hour."""
ERROR = math.sqrt(GROWTH) - 1
"""Largest relative error of a percentile: 1 % of it. Times below LOWEST_MS count as that."""
_LOG_GROWTH = math.log(GROWTH)


class Histogram:
    """Memory does not grow with the samples; the largest one is kept exactly."""

    def __init__(self) -> None:
        self._counts = array("Q", bytes(8 * BINS))
        self.n = 0
        """Samples so far."""
        self.most_ms = 0.0
        """The largest."""

    def add(self, ms: float) -> None:
        """Count one sample."""
        place = int(math.log(ms / LOWEST_MS) / _LOG_GROWTH) if ms > LOWEST_MS else 0
        self._counts[min(place, BINS - 1)] += 1
        self.n += 1
        self.most_ms = max(self.most_ms, ms)

    def at(self, rank: int) -> float:
        """The rank-th smallest sample, counted from 1, to within ERROR of itself."""
        passed = 0
        for place, count in enumerate(self._counts):
            passed += count
            if passed >= rank:
                return min(float(LOWEST_MS * GROWTH ** (place + 0.5)), self.most_ms)
        return self.most_ms

    def spread(self) -> Spread:
        """Median, p95 and p99 with their bounds."""
        return Spread.by_rank(self.n, self.at)
