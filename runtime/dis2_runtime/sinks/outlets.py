"""All sinks of a run, each behind its guard: in threads of their own in real time, in line in simulated time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dis2_edge.task import Task
from dis2_runtime.sinks import Sink
from dis2_runtime.sinks.guarded import Guarded
from dis2_runtime.sinks.outbox import Outbox, close_all

UNLIMITED = "telemetry"
"""The sink that no quota stops: its rows are small, and the last that one wants to lose."""


class Outlets:
    """Made with the sinks, closed after the last tick."""

    def __init__(
        self,
        sinks: Mapping[str, Sink],
        task: Task,
        announce: Callable[[str], None],
        barrier: Callable[[], str],
        *,
        live: bool,
    ) -> None:
        """`announce` hears of the first loss of each sink, `barrier` says why no pictures may be written now."""
        self._closed, self._made = False, dict(sinks)
        self._guards: dict[str, Guarded | Outbox] = {}
        for name, sink in sinks.items():
            limit = (lambda: "") if name == UNLIMITED else barrier
            made = Outbox(name, sink, task, announce, limit) if live else Guarded(name, sink, announce, limit)
            self._guards[name] = made

    @property
    def sinks(self) -> Sequence[Sink]:
        """What the stream writes to; their `write` never raises."""
        return list(self._guards.values())

    def close(self) -> None:
        """Finish what is queued and close every sink; a second time does nothing."""
        if self._closed:
            return
        self._closed = True
        close_all(guard for guard in self._guards.values() if isinstance(guard, Outbox))
        for guard in self._guards.values():
            if isinstance(guard, Guarded):
                guard.close()

    def table(self) -> dict[str, Any]:
        """What became of the outcomes, by sink."""
        return {name: guard.tally.table() for name, guard in self._guards.items()}

    def remarks(self) -> list[str]:
        """What the sinks themselves have to say about the run."""
        return [text for sink in self._made.values() if (text := getattr(sink, "remark", ""))]
