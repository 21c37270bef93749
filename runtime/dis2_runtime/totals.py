"""The totals of a run, counted tick by tick: summary.json and the table at the end."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import Any

from dis2_edge.percentiles import Percentile
from dis2_runtime.histogram import Histogram
from dis2_runtime.outcome import Outcome


class Totals:
    """Counts outcomes, in memory that does not grow with them."""

    def __init__(self) -> None:
        self.answered = 0
        self.states: Counter[str] = Counter()
        self.scenarios: Counter[str] = Counter()
        self.switches = 0
        self._scenario = ""
        self._latency_ms = Histogram()
        self._stages_ms: defaultdict[str, Histogram] = defaultdict(Histogram)
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
            self._latency_ms.add(outcome.latency_ms)
            for stage, value in outcome.stages_ms.items():
                self._stages_ms[stage].add(value)
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


def _percentiles(values: Histogram) -> dict[str, Any]:
    """n, median, p95, p99 to 1 %, each with its 95 % bounds, and the largest; what n cannot tell is None."""
    if not values.n:
        return {"n": 0, "p50": None, "p95": None, "p99": None, "max": None, "bounds": {}}
    spread = values.spread()
    shares = {"p50": spread.p50, "p95": spread.p95, "p99": spread.p99}
    return {
        "n": values.n,
        **{name: share and share.ms for name, share in shares.items()},
        "max": round(values.most_ms, 3),
        "bounds": {name: _bounds(share) for name, share in shares.items() if share},
    }


def _bounds(share: Percentile) -> list[float | None]:
    return [share.low_ms, share.high_ms]
