"""Where inference happens: in real time on a thread of its own, so that ticks are answered meanwhile; else inline."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from dis2_edge.errors import EngineError
from dis2_runtime.align.aligner import Aligned
from dis2_runtime.engine import Answer
from dis2_runtime.guard import EngineGuard
from dis2_runtime.senses import View
from dis2_runtime.ticks import Tick

_FAREWELL_S = 0.2
"""How long a running inference is waited for at the end."""


@dataclass(frozen=True)
class Request:
    """One inference, and what the tick that asked for it will want to tell."""

    tick: Tick
    """Whose mask it is to be."""
    scenario: str
    """Which model."""
    aligned: dict[str, Aligned]
    """The frames on the grid."""
    view: View
    """What the sensors offered."""
    chosen_ns: int
    """When the frames were chosen."""
    align_ms: float
    """Time that it took to bring them to the grid."""
    into: Answer
    """Buffers for the answer."""


@dataclass(frozen=True)
class Result:
    """What came of a request."""

    request: Request
    """The request."""
    problem: str
    """Why there is no answer; empty when `request.into` holds one."""
    engine: str
    """Which models answered."""
    took_ms: float
    """Time of the inference."""


class Inference(Protocol):
    """Takes one request at a time."""

    running: Request | None
    """What is being worked on."""
    needed_ms: float
    """What the last inference needed of the run's time."""

    def begin(self, request: Request) -> None:
        """Work on `request`; nothing may be running."""

    def finished(self) -> Result | None:
        """The result of what was running, once."""

    def scenarios(self) -> tuple[str, ...]:
        """The scenarios in service."""

    def give_up(self) -> None:
        """Leave what is running to itself and go on with engines opened anew."""

    def stop(self) -> None:
        """End; what hangs is left behind."""


class InlineInference:
    """`begin` does the work: simulated time stands still meanwhile."""

    def __init__(self, guard: EngineGuard) -> None:
        self._guard = guard
        self._result: Result | None = None
        self.running: Request | None = None
        self.needed_ms = 0.0

    def begin(self, request: Request) -> None:
        """Infer now."""
        self._result = _infer(self._guard, request)

    def finished(self) -> Result | None:
        """The result of the last `begin`, once."""
        result, self._result = self._result, None
        return result

    def scenarios(self) -> tuple[str, ...]:
        """The scenarios in service."""
        return self._guard.scenarios

    def give_up(self) -> None:
        """Nothing ever runs when this can be called."""

    def stop(self) -> None:
        """Nothing to end."""


class ThreadedInference:
    """One thread, one request at a time; `wake` is called when a result is there."""

    def __init__(self, guard: EngineGuard, wake: Callable[[], None]) -> None:
        self._guard, self._wake = guard, wake
        self._successors: list[EngineGuard] = []
        self.running: Request | None = None
        self.needed_ms = 0.0
        self._thread()

    def begin(self, request: Request) -> None:
        """Hand the request to the thread."""
        self.running = request
        self._requests.put(request)

    def finished(self) -> Result | None:
        """The result, if the thread has come to one."""
        try:
            result = self._results.get_nowait()
        except queue.Empty:
            return None
        self.running, self.needed_ms = None, result.took_ms
        return result

    def scenarios(self) -> tuple[str, ...]:
        """The scenarios in service."""
        return self._guard.scenarios

    def give_up(self) -> None:
        """A new thread with new engines; the old one's answer, should it ever come, is never looked at."""
        self._requests.put(None)
        self._guard, self.running = self._guard.successor(), None
        self._successors.append(self._guard)
        self._thread()

    def stop(self) -> None:
        """Wait a moment for what is running."""
        self._requests.put(None)
        self._worker.join(_FAREWELL_S)
        for guard in self._successors if not self._worker.is_alive() else ():
            guard.__exit__(None, None, None)

    def _thread(self) -> None:
        self._requests: queue.SimpleQueue[Request | None] = queue.SimpleQueue()
        self._results: queue.SimpleQueue[Result] = queue.SimpleQueue()
        self._worker = threading.Thread(
            target=_work, args=(self._guard, self._requests, self._results, self._wake), name="engine", daemon=True
        )
        self._worker.start()


def _work(
    guard: EngineGuard,
    requests: queue.SimpleQueue[Request | None],
    results: queue.SimpleQueue[Result],
    wake: Callable[[], None],
) -> None:
    while (request := requests.get()) is not None:
        results.put(_infer(guard, request))
        wake()


def _infer(guard: EngineGuard, request: Request) -> Result:
    begin = time.perf_counter()
    frames = {name: aligned.pixels for name, aligned in request.aligned.items()}
    try:
        guard.infer(request.scenario, frames, request.into)
    except EngineError as error:
        return Result(request, str(error), "", (time.perf_counter() - begin) * 1e3)
    return Result(request, "", guard.describe(request.scenario), (time.perf_counter() - begin) * 1e3)
