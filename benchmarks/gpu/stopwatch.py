"""Time on the GPU: events around one call, the cache cold, many calls.

Each call is queued behind a kernel that spins for a millisecond, so that its launches stand ready when the first event
is passed: no contestant is charged for Python. Before that a buffer larger than the cache is read. (Writing it would
leave the cache full of lines that the timed call has to write back.)
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Protocol

WARM_UP = 5
"""Calls that are not timed."""
LEAST, MOST, SECONDS = 20, 100, 0.5
"""Calls that are timed: as many as fit into SECONDS, but within these."""
SPIN_CYCLES = 2_000_000
"""Clock cycles to spin: about a millisecond."""
SMALLEST_FLUSH = 128 << 20
"""Bytes that are read at least, to clear the cache."""
ALOFT = 10
"""Calls that are queued before the host waits."""

Call = Callable[[], object]


class Stopwatch(Protocol):
    """Times calls."""

    def measure(self, call: Call) -> list[float]:
        """Milliseconds of each timed call."""


class CudaStopwatch:
    """Times what a call puts on torch's current stream."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch
        cache = getattr(torch.cuda.get_device_properties(0), "L2_cache_size", 0)
        size = max(2 * int(cache), SMALLEST_FLUSH)
        self.buffer = torch.ones(size // 4, dtype=torch.int32, device="cuda")
        self.largest = torch.empty((), dtype=torch.int32, device="cuda")
        self.spin = getattr(torch.cuda, "_sleep", None)

    def measure(self, call: Call) -> list[float]:
        """Milliseconds of each timed call."""
        for _ in range(WARM_UP):
            call()
        self.torch.cuda.synchronize()
        spans: list[tuple[Any, Any]] = []
        begun = time.monotonic()
        while len(spans) < LEAST or (len(spans) < MOST and time.monotonic() - begun < SECONDS):
            spans.append(self._span(call))
            if len(spans) % ALOFT == 0:
                self.torch.cuda.synchronize()
        self.torch.cuda.synchronize()
        return [first.elapsed_time(second) for first, second in spans]

    def _span(self, call: Call) -> tuple[Any, Any]:
        first, second = (self.torch.cuda.Event(enable_timing=True) for _ in range(2))
        self.torch.amax(self.buffer, dim=0, out=self.largest)
        if self.spin is not None:
            self.spin(SPIN_CYCLES)
        first.record()
        call()
        second.record()
        return first, second
