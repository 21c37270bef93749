"""The totals of a run, counted tick by tick: summary.json and the table at the end."""

from __future__ import annotations

from array import array
from collections import Counter, defaultdict
from typing import Any

import numpy as np

from dis2_edge.timing import P95_LEAST, P99_LEAST
from dis2_runtime.outcome import Outcome


class Totals:
    """Counts outcomes; eight bytes of memory a tick and stage."""

    def __init__(self) -> None:
        self.answered = 0
        self.states: Counter[str] = Counter()
        self.scenarios: Counter[str] = Counter()
        self.switches = 0
        self._scenario = ""
        self._latency_ms = array("d")
        self._stages_ms: defaultdict[str, array[float]] = defaultdict(lambda: array("d"))
        self._health: defaultdict[str, Counter[str]] = defaultdict(Counter)
        self._used: Counter[str] = Counter()
        self._dropped: dict[str, int] = {}

    def add(self, outcome: Outcome) -> bool:
        """Count one outcome; true when its scenario is another than that of the tick before."""
        self.answered += 1
        self.states[outcome.state] += 1
        self.scenarios[outcome.scenario] += 1
        switched = bool(self._scenario) and outcome.scenario != self._scenario
        self.switches += switched
        self._scenario = outcome.scenario
        for name, note in outcome.sensors.items():
            self._health[name][note.health.state] += 1
            self._used[name] += note.used
            self._dropped[name] = note.dropped
        if outcome.state == "fresh":
            self._latency_ms.append(outcome.latency_ms)
            for stage, value in outcome.stages_ms.items():
                self._stages_ms[stage].append(value)
        return switched

    def table(self) -> dict[str, Any]:
        """Plain values for JSON. Latency and stages are those of ticks with a fresh mask."""
        return {
            "answered": self.answered,
            "states": dict(self.states),
            "scenarios": dict(self.scenarios),
            "switches": self.switches,
            "latency_ms": _percentiles(self._latency_ms),
            "stages_ms": {stage: _percentiles(values) for stage, values in self._stages_ms.items()},
            "sensors": {
                name: {"ticks_used": self._used[name], "dropped": self._dropped[name], "health": dict(states)}
                for name, states in self._health.items()
            },
        }


def _percentiles(values: array[float]) -> dict[str, Any]:
    """n, median, p95, p99 and the largest; a percentile that n cannot tell is None."""
    if not values:
        return {"n": 0, "p50": None, "p95": None, "p99": None, "max": None}
    p50, p95, p99, most = (round(float(value), 3) for value in np.percentile(values, (50, 95, 99, 100)))
    return {
        "n": len(values),
        "p50": p50,
        "p95": p95 if len(values) >= P95_LEAST else None,
        "p99": p99 if len(values) >= P99_LEAST else None,
        "max": most,
    }
