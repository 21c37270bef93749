"""Who hears how a deploy goes: a person at a terminal, a log, a fleet, or a test that wants to be in the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from dis2_boards.deployment.steps import Step
from dis2_edge.gauge import Gauge
from dis2_edge.terminal import note, warn


class Telling(Protocol):
    """What a deploy tells of itself while it goes."""

    def begins(self, step: Step) -> None:
        """`step` is about to begin."""

    def progress(self, label: str, done: int, total: int) -> None:
        """Within a step: how far it is; `total` is 0 where it is not known."""

    def ended(self, step: Step, seconds: float) -> None:
        """`step` is done."""

    def remark(self, text: str) -> None:
        """Something that the user should know, and that stops nothing."""


class Spoken:
    """Tells a person on stderr: each step, its progress with the time left, what it took."""

    def __init__(self) -> None:
        self._gauge: Gauge | None = None

    def begins(self, step: Step) -> None:
        """Open the step's bar, or print its line."""
        self._gauge = Gauge(step.sentence)

    def progress(self, label: str, done: int, total: int) -> None:
        """Move the bar."""
        if self._gauge is not None:
            self._gauge.at(label, done, total)

    def ended(self, step: Step, seconds: float) -> None:
        """Close the bar; a long step is told with its seconds."""
        self.close()
        if seconds >= 1:
            note(f"{step.sentence}: {seconds:.1f} s")

    def remark(self, text: str) -> None:
        """A warning."""
        warn(text)

    def close(self) -> None:
        """Take the bar away, however the step ended."""
        if self._gauge is not None:
            self._gauge.close()
            self._gauge = None


@contextmanager
def timed(telling: Telling, step: Step, seconds: dict[str, float]) -> Iterator[None]:
    """Do `step` within: it is told before and after, and its time is kept in `seconds`."""
    telling.begins(step)
    started = time.monotonic()
    yield
    seconds[step.name] = time.monotonic() - started
    telling.ended(step, seconds[step.name])
