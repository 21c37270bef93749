"""What a flight tells a person: lines and a bar. In real time from a thread of its own, as a terminal may be stopped.

A pipe that nobody reads, a terminal after Ctrl-S, a full disk behind stdout: none of these delays or ends a flight.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections import deque
from collections.abc import Generator, Iterator
from typing import Protocol

from dis2_edge.terminal import progress, say
from dis2_runtime.outcome import Outcome

MOST_LINES = 256
"""Lines kept for a person who does not read; the oldest are lost first."""
FAREWELL_S = 0.2
"""How long the voice gets to finish at the end."""


class Voice(Protocol):
    """A watcher of outcomes, one step of the bar each, that says lines beside it."""

    def say(self, line: str) -> None:
        """Say a line; callable from any thread."""

    def write(self, outcome: Outcome) -> None:
        """A tick was answered."""

    def close(self) -> None:
        """Take the bar away."""


class InlineVoice:
    """Simulated time can wait for the person."""

    def __init__(self, ticks: int | None) -> None:
        """`ticks` is how many there will be, as far as that is known."""
        self._bar = _bar(ticks)
        next(self._bar)

    def say(self, line: str) -> None:
        """Say a line now."""
        say(line)

    def write(self, outcome: Outcome) -> None:
        """Move the bar."""
        next(self._bar)

    def close(self) -> None:
        """Take the bar away."""
        _end(self._bar)


class ThreadedVoice:
    """`say` and `write` only leave word; what cannot be told, as nobody listens any more, is not."""

    def __init__(self, ticks: int | None) -> None:
        """`ticks` is how many there will be, as far as that is known."""
        self._lines: deque[str] = deque(maxlen=MOST_LINES)
        self._ticks, self._answered = ticks, 0
        self._news, self._closing = threading.Event(), False
        self._thread = threading.Thread(target=self._serve, name="voice", daemon=True)
        self._thread.start()

    def say(self, line: str) -> None:
        """Leave a line to be said."""
        self._lines.append(line)
        self._news.set()

    def write(self, outcome: Outcome) -> None:
        """Leave a step of the bar."""
        self._answered += 1
        self._news.set()

    def close(self) -> None:
        """Wait a moment until all is said; who does not listen is not waited for."""
        self._closing = True
        self._news.set()
        self._thread.join(FAREWELL_S)

    def _serve(self) -> None:
        bar, moved, closing = _bar(self._ticks), 0, False
        with contextlib.suppress(OSError, ValueError):
            next(bar)
        while not closing:
            self._news.wait()
            self._news.clear()
            closing = self._closing
            while self._lines:
                with contextlib.suppress(OSError, ValueError):
                    say(self._lines.popleft())
            while moved < self._answered:
                moved += 1
                next(bar, None)
        with contextlib.suppress(OSError, ValueError):
            _end(bar)


def _bar(ticks: int | None) -> Iterator[int]:
    return iter(progress(itertools.count(), "fly", ticks))


def _end(bar: Iterator[int]) -> None:
    if isinstance(bar, Generator):
        bar.close()
