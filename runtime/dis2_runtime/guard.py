"""The guard around the engine: a failed inference is tried again, on engines opened anew, then on other models.

The ladder of one scenario: once more; the same engine reloaded; the next rung (another precision, or the CPU's engine).
When the last rung has failed too, the scenario is out of service for `REST` inferences of others: the stream takes one
of fewer sensors. When none is left in service, all are tried again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType

from dis2_edge.errors import EngineError
from dis2_runtime.engine import Answer, Engine, Frames

REST = 50
"""Inferences of other scenarios for which one that failed on every rung is not tried."""
_AGAIN = "tried again"


@dataclass(frozen=True)
class Rung:
    """A way to get an engine."""

    name: str
    """What it is called in telemetry: int8, fp32."""
    open: Callable[[], Engine]
    """Open it; an EngineError says why it cannot be."""


class EngineGuard:
    """An engine that outlives failures; the first rung is opened on entry, the others when they are needed."""

    def __init__(self, rungs: Sequence[Rung]) -> None:
        self._rungs = tuple(rungs)
        self._open: dict[int, Engine] = {}
        self._place: dict[str, int] = {}
        self._rests: dict[str, int] = {}
        self._told: dict[str, str] = {}
        self.served: tuple[str, ...] = ()
        """The scenarios of the first rung, in service or not."""

    def __enter__(self) -> EngineGuard:
        self.served = self._engine(0).scenarios
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for engine in self._open.values():
            engine.__exit__(kind, error, trace)
        self._open.clear()

    @property
    def scenarios(self) -> tuple[str, ...]:
        """The scenarios that are in service now, in the order of the manifest."""
        return tuple(name for name in self.served if not self._rests.get(name)) or self.served

    def infer(self, scenario: str, frames: Frames, into: Answer | None = None) -> Answer:
        """Segment `frames`, on whatever rung answers; EngineError when none does."""
        first = self._place.get(scenario, 0)
        problem = ""
        for place in range(first, len(self._rungs)):
            for attempt in ("first", "again", "reloaded"):
                try:
                    if attempt == "reloaded":
                        self._drop(place)
                    answer = self._engine(place).infer(scenario, frames, into)
                except Exception as error:  # whatever a driver throws must not end the flight
                    problem = problem or f"{type(error).__name__}: {error}"
                    continue
                self._note(scenario, place, attempt, problem)
                self._rests = {name: left - 1 for name, left in self._rests.items() if left > 1 and name != scenario}
                return answer
        self._rests[scenario] = REST
        raise EngineError(f"{scenario} failed on {', '.join(rung.name for rung in self._rungs[first:])}: {problem}")

    def describe(self, scenario: str) -> str:
        """Which models answer for `scenario`, and what they stand in for."""
        name = self._rungs[self._place.get(scenario, 0)].name
        told = self._told.get(scenario, "")
        return f"{name}, {told}" if told else name

    def successor(self) -> EngineGuard:
        """Another guard of the same rungs with engines of its own, for when this one does not come back."""
        guard = EngineGuard(self._rungs)
        guard.served, guard._place = self.served, dict(self._place)
        guard._told = dict.fromkeys(self.served, "reloaded after it stalled")
        return guard

    def _engine(self, place: int) -> Engine:
        if place not in self._open:
            self._open[place] = self._rungs[place].open().__enter__()
        return self._open[place]

    def _drop(self, place: int) -> None:
        engine = self._open.pop(place, None)
        if engine is not None:
            engine.__exit__(None, None, None)

    def _note(self, scenario: str, place: int, attempt: str, problem: str) -> None:
        """Remember what the answer came from; a second try that went well is told once."""
        if not problem:
            if self._told.get(scenario, "").startswith(_AGAIN):
                del self._told[scenario]
            return
        how = {"first": "in place of a failed one", "again": _AGAIN, "reloaded": "reloaded"}[attempt]
        self._place[scenario], self._told[scenario] = place, f"{how} ({problem})"
