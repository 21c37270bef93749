"""The witness: a sink that notes of every tick what the judge needs, and no pixels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from dis2_runtime.outcome import Outcome


class Seen(NamedTuple):
    """One sensor at one tick."""

    state: str
    """Its health."""
    used: bool
    """Whether its frame went into the mask."""


class Noted(NamedTuple):
    """One answered tick."""

    time_s: float
    """When it fell due, in seconds of the run."""
    mask: str
    """fresh, held or blind."""
    latency_ms: float
    """From the moment it fell due to its mask being handed on."""
    sensors: Mapping[str, Seen]
    """Every sensor, by name."""


class Witness:
    """Keeps a `Noted` of every outcome."""

    def __init__(self) -> None:
        self.noted: list[Noted] = []
        """In order of arrival."""

    def write(self, outcome: Outcome) -> None:
        """Note one outcome."""
        seen = {name: Seen(note.health.state, note.used) for name, note in outcome.sensors.items()}
        self.noted.append(Noted(outcome.tick.time_ns / 1e9, outcome.state, outcome.latency_ms, seen))

    def close(self) -> None:
        """Nothing to finish."""
